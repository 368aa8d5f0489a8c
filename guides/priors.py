"""Guides that do not look at the future: with them the same loop is another method (theory, section 4)."""

import pyro
import pyro.distributions as dist
import torch
from gymnasium.spaces import Box
from torch import Tensor, nn

from gio_pyro.distributions.squash import uniform_in_box
from gio_pyro.nn import width
from gio_pyro.types import Policy, Spec, finite

LEAST_PRIOR = 1e-6
"""The least share of an action in a prior that moves by itself: 13.8 nats."""


class UniformGuide(nn.Module):
    """ρ(a) uniform over the actions: maximum-entropy reinforcement learning (a soft actor-critic), up to a constant.

    Of A discrete actions each has 1/A. A continuous one is uniform over the action box; before the squash, where the
    site lives, that is a logistic distribution of scale ½ (tanh of it is uniform on (−1, 1)).

    Raises:
        InputError: an action space that is neither Discrete nor a Box.
    """

    ignores_future = True

    zeros: Tensor

    def __init__(self, spec: Spec) -> None:
        super().__init__()
        self.continuous = isinstance(spec.action_space, Box)
        size = width(spec.action_space) if self.continuous else finite(spec.action_space, "action")
        self.register_buffer("zeros", torch.zeros(size), persistent=False)

    def forward(self, policy: Policy, state: Tensor, future: Tensor) -> Tensor:
        """Sample "action": `[B]` integers, or `[B, d]` numbers."""
        zeros = self.zeros.expand(len(state), -1)
        uniform = uniform_in_box(zeros) if self.continuous else dist.Categorical(logits=zeros)
        with pyro.plate("batch", state.shape[0]):
            return pyro.sample("action", uniform)


class MarginalGuide(nn.Module):
    """ρ(a) = π_0(a), learned as the policy's marginal over visited states: MIRL, which penalises I(S; A).

    Raises:
        InputError: an action space that is not Discrete.
    """

    ignores_future = True
    objective = "sleep"
    learning_rate = 0.01

    def __init__(self, spec: Spec) -> None:
        super().__init__()
        self.logits = nn.Parameter(torch.zeros(finite(spec.action_space, "action")))

    def forward(self, policy: Policy, state: Tensor, future: Tensor) -> Tensor:
        """Sample "action", `[B]` integers."""
        with pyro.plate("batch", state.shape[0]):
            return pyro.sample("action", dist.Categorical(logits=self.logits.expand(len(state), -1)))


class HabitGuide(nn.Module):
    """ρ(a) = π_0(a|s), a habit that follows the policy slowly: KL control with a learned prior.

    Raises:
        InputError: a state or action space that is not Discrete.
    """

    ignores_future = True
    objective = "sleep"
    learning_rate = 0.01

    def __init__(self, spec: Spec) -> None:
        super().__init__()
        self.table = nn.Parameter(torch.zeros(finite(spec.state_space, "state"), finite(spec.action_space, "action")))

    def forward(self, policy: Policy, state: Tensor, future: Tensor) -> Tensor:
        """Sample "action", `[B]` integers."""
        with pyro.plate("batch", state.shape[0]):
            return pyro.sample("action", dist.Categorical(logits=self.table[state]))


class MovingMarginalGuide(nn.Module):
    """ρ(a) = π_0(a), which moves with the policy: π_0 ← (1 − η) π_0 + η Σ_s d(s) π(·|s), d the replayed states: MIRL.

    The whole distribution moves with every improvement and stays normalised, as in Grau-Moya et al. (2019);
    `MarginalGuide` climbs to the same prior by gradients. It is uniform at first. Exploring draws from it. Networks
    read d from a batch of replay, tables from all of it. No action's share falls below `LEAST_PRIOR`: an action that
    the policy has lost costs at most −log of that, and can come back.

    Raises:
        InputError: an action space that is not Discrete.
    """

    ignores_future = True
    rate = 0.05
    """η, in (0, 1]."""

    prior: Tensor

    def __init__(self, spec: Spec) -> None:
        super().__init__()
        actions = finite(spec.action_space, "action")
        self.register_buffer("prior", torch.full((actions,), 1.0 / actions))

    def forward(self, policy: Policy, state: Tensor, future: Tensor) -> Tensor:
        """Sample "action", `[B]` integers."""
        with pyro.plate("batch", state.shape[0]):
            return pyro.sample("action", self.explore(state))

    def explore(self, state: Tensor) -> dist.Categorical:
        """Return π_0 for each state, a batch of B categorical distributions."""
        return dist.Categorical(logits=self.prior.log().expand(len(state), -1))

    def follow(self, policy: Policy, state: Tensor, weight: Tensor) -> None:
        """Move towards the policy's marginal over states `[B, ...]` that count `weight` `[B]`."""
        marginal = (weight / weight.sum()).to(self.prior) @ policy(state).probs
        moved = self.prior.lerp(marginal, self.rate).clamp_min(min(LEAST_PRIOR, 1.0 / len(self.prior)))
        self.prior.copy_(moved / moved.sum())
