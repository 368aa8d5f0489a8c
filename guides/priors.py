"""Guides that do not look at the future: with them the same loop is another method (theory, section 4)."""

import pyro
import pyro.distributions as dist
import torch
from gymnasium.spaces import Box
from torch import Tensor, nn

from gio_pyro.networks import width
from gio_pyro.squash import uniform_in_box
from gio_pyro.types import Policy, Spec, finite


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
