"""Models of finitely many futures: p_ψ(F|s, a) as a table of logits, or as a network over one-hot inputs."""

import pyro
import pyro.distributions as dist
import torch
from pyro.nn import PyroModule
from torch import Tensor, nn
from torch.nn.functional import one_hot

from gio_pyro.types import Policy, Spec


class CategoricalModel(PyroModule):
    """p_ψ(F|s, a) = softmax(table[s, a]): one free distribution for each state and action.

    It can represent every finite world, and shares nothing between states. The table holds S · A · F numbers and
    starts uniform. Each entry is learned apart from the others, so it takes larger steps than a network would.

    Raises:
        InputError: a space that is not Discrete.
    """

    learning_rate = 0.1

    def __init__(self, spec: Spec) -> None:
        super().__init__()
        self.table = nn.Parameter(torch.zeros(*spec.sizes()))

    def forward(self, policy: Policy, state: Tensor, future: Tensor | None = None) -> Tensor:
        """Sample "action" and "future", `[B]` integers each."""
        with pyro.plate("batch", state.shape[0]):
            action = pyro.sample("action", policy(state))
            return pyro.sample("future", dist.Categorical(logits=self.table[state, action]), obs=future)


class CategoricalNetworkModel(PyroModule):
    """p_ψ(F|s, a) from a network with one hidden layer over one-hot states and actions.

    Raises:
        InputError: a space that is not Discrete.
    """

    learning_rate = 1e-3
    hidden = 128

    def __init__(self, spec: Spec) -> None:
        super().__init__()
        self.states, self.actions, futures = spec.sizes()
        self.net = nn.Sequential(
            nn.Linear(self.states + self.actions, self.hidden), nn.ReLU(), nn.Linear(self.hidden, futures)
        )

    def forward(self, policy: Policy, state: Tensor, future: Tensor | None = None) -> Tensor:
        """Sample "action" and "future", `[B]` integers each."""
        with pyro.plate("batch", state.shape[0]):
            action = pyro.sample("action", policy(state))
            x = torch.cat([one_hot(state, self.states), one_hot(action, self.actions)], -1)
            logits = self.net(x.to(torch.get_default_dtype()))
            return pyro.sample("future", dist.Categorical(logits=logits), obs=future)
