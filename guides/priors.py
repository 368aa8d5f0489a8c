"""Guides that do not look at the future: with them the same loop is another method (theory, section 4)."""

import pyro
import pyro.distributions as dist
import torch
from pyro.nn import PyroModule
from torch import Tensor, nn

from gio_pyro.types import Policy, Spec, finite


class UniformGuide(PyroModule):
    """ρ(a) = 1/A: maximum-entropy reinforcement learning (a soft actor-critic), less log A nats at every step.

    Raises:
        InputError: an action space that is not Discrete.
    """

    ignores_future = True

    def __init__(self, spec: Spec) -> None:
        super().__init__()
        self.actions = finite(spec.action_space, "action")
        self.register_buffer("logits", torch.zeros(self.actions), persistent=False)

    def forward(self, policy: Policy, state: Tensor, future: Tensor) -> Tensor:
        """Sample "action", `[B]` integers."""
        with pyro.plate("batch", state.shape[0]):
            return pyro.sample("action", dist.Categorical(logits=self.logits.expand(len(state), -1)))


class MarginalGuide(PyroModule):
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


class HabitGuide(PyroModule):
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
