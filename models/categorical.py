"""Categorical models of finitely many futures, p_ψ(F|s, a): a table of logits, or a network."""

from typing import Any

import pyro
import pyro.distributions as dist
import torch
from torch import Tensor, nn

from gio_pyro.distributions.listed import ListedCategorical
from gio_pyro.nn import DENSE, SeenValues, action_features, encoder, joined, load_seen, mlp, width
from gio_pyro.types import Policy, Spec, finite


class CategoricalModel(nn.Module):
    """p_ψ(F|s, a) = softmax(table[s, a]): a separate distribution for each state and action.

    The table holds S · A · F logits, uniform at initialisation, and can represent every finite MDP without
    generalising between states. As each entry is learned separately, the learning rate is larger than a network's.

    Of more than 64 futures, the table holds logits of those that `observe` has seen follow s and a, and one for all
    others. As these have equal gradients, it learns as the full table does, at a fraction of its size.

    Raises:
        InputError: a space that is not Discrete.
    """

    learning_rate = 0.1
    seen: SeenValues | None
    """The futures that were seen, in the row s · A + a; None where the table is full."""

    def __init__(self, spec: Spec) -> None:
        super().__init__()
        states, self.actions, futures = spec.sizes()
        self.seen = SeenValues(states * self.actions, futures) if futures > DENSE else None
        full = (states, self.actions, futures)
        self.table = nn.Parameter(torch.zeros(full if self.seen is None else (states * self.actions, 2)))

    def forward(self, policy: Policy, state: Tensor, future: Tensor | None = None) -> Tensor:
        """Sample "action" and "future", `[B]` integers each."""
        with pyro.plate("batch", state.shape[0]):
            action = pyro.sample("action", policy(state))
            return pyro.sample("future", self._outcome(state, action), obs=future)

    def _outcome(self, state: Tensor, action: Tensor) -> dist.Categorical | ListedCategorical:
        if self.seen is None:
            return dist.Categorical(logits=self.table[state, action])
        row = state * self.actions + action
        values, logits = self.seen.values[row], self.seen.entries_of(self.table, row)
        rest = logits[:, 0]
        rest = rest.detach() + (rest - rest.detach()) / self.seen.others(row)  # the gradient of one of them
        return ListedCategorical(values, logits[:, 1:], rest, self.seen.count)

    def observe(self, state: Tensor, action: Tensor, future: Tensor) -> None:
        """List the futures that follow, `[B]` integers each."""
        if self.seen is not None:
            self.seen.add(state * self.actions + action, future, self.table)

    def _load_from_state_dict(self, state_dict: dict[str, Any], prefix: str, *others: Any) -> None:
        """Keep the full table of a checkpoint that has one, and take the size of any other from it."""
        self.seen = load_seen(self.table, self.seen, state_dict, prefix)
        super()._load_from_state_dict(state_dict, prefix, *others)


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
