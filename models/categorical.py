"""Categorical models of finitely many futures, p_ψ(F|s, a): a table of logits, or a network."""

import pyro
import pyro.distributions as dist
import torch
from torch import Tensor, nn

from gio_pyro.nn import action_features, encoder, joined, mlp, width
from gio_pyro.types import Policy, Spec, finite


class CategoricalModel(nn.Module):
    """p_ψ(F|s, a) = softmax(table[s, a]): a separate distribution for each state and action.

    The table holds S · A · F logits, uniform at initialisation, and can represent every finite MDP without
    generalising between states. As each entry is learned separately, the learning rate is larger than a network's.

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


class CategoricalNetworkModel(nn.Module):
    """p_ψ(F|s, a) over finitely many futures, from a network of states and actions of any space.

    Raises:
        InputError: a future space that is not Discrete.
    """

    learning_rate = 1e-3

    def __init__(self, spec: Spec) -> None:
        super().__init__()
        self.encoder, self.actions = encoder(spec.state_space), spec.action_space
        inputs = self.encoder.size + width(spec.action_space)
        self.net = mlp(inputs, spec.hidden, finite(spec.future_space, "future"))

    def observe(self, state: Tensor, action: Tensor, future: Tensor) -> None:
        """Update the input statistics with new data."""
        self.encoder.observe(state)

    def forward(self, policy: Policy, state: Tensor, future: Tensor | None = None) -> Tensor:
        """Sample "action", and "future", `[B]` integers."""
        with pyro.plate("batch", state.shape[0]):
            action = pyro.sample("action", policy(state))
            x = joined(self.encoder(state), action_features(self.actions, action))
            return pyro.sample("future", dist.Categorical(logits=self.net(x)), obs=future)
