"""Guides that ignore the future, ρ(a|s): maximum-entropy RL, MIRL and KL control (theory, section 4)."""

from typing import Any

import pyro
import pyro.distributions as dist
import torch
from gymnasium.spaces import Box, Discrete
from torch import Tensor, nn

from gio_pyro.distributions.squash import uniform_in_box
from gio_pyro.nn import encoder, mlp, width
from gio_pyro.types import Policy, Spec, finite

MIN_PRIOR = 1e-6
"""Lower bound of a probability in `MovingMarginalGuide`: −13.8 nats."""

LOG_SCALE = (-5.0, 2.0)
"""Bounds of the log scale of a continuous habit, before the squash."""


class UniformGuide(nn.Module):
    """ρ(a) uniform over the actions: maximum-entropy reinforcement learning (a soft actor-critic), up to a constant.

    Discrete actions have probability 1/A each. Continuous actions are uniform over the action box; before the squash,
    at the site, that is a logistic distribution of scale ½ (its tanh is uniform on (−1, 1)).

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
    """ρ(a) = π_0(a), the policy's marginal over visited states, learned by gradients: MIRL, which penalises I(S; A).

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
    """ρ(a) = π_0(a|s), a slowly learned average of the policy: KL control with a learned prior.

    Beside a planner it is the planner's prior, and the planner's plans are distilled into it (`distils`): a habit that
    acts alike without planning. In finite worlds it is a table, for other spaces a network: categorical, or normal
    before the squash to the action box. It is uniform, or standard normal, at first.
    """

    ignores_future = True
    distils = True
    objective = "sleep"
    learning_rate = 0.01

    def __init__(self, spec: Spec) -> None:
        super().__init__()
        states, actions = spec.state_space, spec.action_space
        self.discrete, self.encoder = isinstance(actions, Discrete), None
        size = width(actions) * (1 if self.discrete else 2)
        if self.discrete and isinstance(states, Discrete):
            self.table = nn.Parameter(torch.zeros(int(states.n), size))
            return
        self.learning_rate = 1e-3
        self.encoder = encoder(states)
        self.net = mlp(self.encoder.size, spec.hidden, size)
        for parameter in self.net[-1].parameters():
            nn.init.zeros_(parameter)

    def observe(self, state: Tensor, action: Tensor, future: Tensor) -> None:
        """Update the input statistics with new data."""
        if self.encoder is not None:
            self.encoder.observe(state)

    def forward(self, policy: Policy, state: Tensor, future: Tensor) -> Tensor:
        """Sample "action": `[B]` integers, or `[B, d]` numbers."""
        with pyro.plate("batch", state.shape[0]):
            return pyro.sample("action", self.habit(state))

    def habit(self, state: Tensor) -> Any:
        """Return ρ(·|s), a batch of B distributions."""
        found = self.table[state] if self.encoder is None else self.net(self.encoder(state))
        if self.discrete:
            return dist.Categorical(logits=found)
        mean, log_scale = found.chunk(2, -1)
        return dist.Normal(mean, log_scale.clamp(*LOG_SCALE).exp()).to_event(1)


class MovingMarginalGuide(nn.Module):
    """ρ(a) = π_0(a), an exponential moving average: π_0 ← (1 − η) π_0 + η Σ_s d(s) π(·|s), d the replayed states: MIRL.

    The prior is updated after every policy improvement, as in Grau-Moya et al. (2019); `MarginalGuide` learns the same
    prior by gradients. It is uniform at initialisation, and is also the exploration policy. Agents with networks
    estimate d from a batch of replay, tabular ones from all of it. Probabilities are at least `MIN_PRIOR`, so that
    actions which the policy no longer takes can recover.

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
        """Return π_0 for states `[B, ...]`, a batch of B categorical distributions."""
        return dist.Categorical(logits=self.prior.log().expand(len(state), -1))

    def follow(self, policy: Policy, state: Tensor, weight: Tensor) -> None:
        """Update the prior towards the policy's marginal over states `[B, ...]` with weights `[B]`."""
        marginal = (weight / weight.sum()).to(self.prior) @ policy(state).probs
        updated = self.prior.lerp(marginal, self.rate).clamp_min(min(MIN_PRIOR, 1.0 / len(self.prior)))
        self.prior.copy_(updated / updated.sum())
