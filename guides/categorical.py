"""Learned guides over finitely many actions, parameterised relative to the policy.

    q_φ(a|s, F) ∝ π(a|s) exp h_φ(s, F)_a

The exact posterior (theory, equation 2) has h(s, F)_a = log p(F|s, a) up to a constant, which does not depend
on the policy. So the guide adapts immediately when the policy changes, and only has to learn the dynamics.
"""

from typing import Any

import pyro
import pyro.distributions as dist
import torch
from torch import Tensor, nn

from gio_pyro.distributions.normalised import log_softmax, normalised
from gio_pyro.nn import DENSE, PairEncoder, SeenValues, load_seen, mlp
from gio_pyro.types import Policy, Spec, finite


class CategoricalGuide(nn.Module):
    """q_φ(a|s, F) ∝ π(a|s) exp table[s, F, a]; a table of S · F · A numbers, 0 at initialisation, where q = π.

    Of more than 64 futures, the table holds those that `observe` has seen follow s, and all others share one entry.

    Raises:
        InputError: a space that is not Discrete.
    """

    learning_rate = 0.1
    seen: SeenValues | None
    """The futures that were seen in each state; None where the table is full."""

    def __init__(self, spec: Spec) -> None:
        super().__init__()
        states, actions, futures = spec.sizes()
        self.seen = SeenValues(states, futures) if futures > DENSE else None
        full = (states, futures, actions)
        self.table = nn.Parameter(torch.zeros(full if self.seen is None else (states, 2, actions)))

    def forward(self, policy: Policy, state: Tensor, future: Tensor) -> Tensor:
        """Sample "action", `[B]` integers."""
        with pyro.plate("batch", state.shape[0]):
            return pyro.sample("action", self._posterior(policy, state, future))

    def _posterior(self, policy: Policy, state: Tensor, future: Tensor) -> dist.Categorical:
        if self.seen is None:
            return tilted(policy, state, self.table[state, future])
        h = self.seen.entry_of(self.table, state, future)
        return normalised(log_softmax(log_policy(policy, state) + h))

    def observe(self, state: Tensor, action: Tensor, future: Tensor) -> None:
        """List the futures that follow, `[B]` integers each."""
        if self.seen is not None:
            self.seen.add(state, future, self.table)

    def _load_from_state_dict(self, state_dict: dict[str, Any], prefix: str, *others: Any) -> None:
        """Keep the full table of a checkpoint that has one, and take the size of any other from it."""
        self.seen = load_seen(self.table, self.seen, state_dict, prefix)
        super()._load_from_state_dict(state_dict, prefix, *others)


class CategoricalNetworkGuide(nn.Module):
    """q_φ(a|s, F) ∝ π(a|s) exp h_φ(s, F)_a over finitely many actions, with a network h of state and future.

    Raises:
        InputError: an action space that is not Discrete.
    """

    learning_rate = 1e-3

    def __init__(self, spec: Spec) -> None:
        super().__init__()
        self.encoder = PairEncoder(spec.state_space, spec.future_space, spec.baseline)
        self.net = mlp(self.encoder.size, spec.hidden, finite(spec.action_space, "action"))

    def observe(self, state: Tensor, action: Tensor, future: Tensor) -> None:
        """Update the input statistics with new data."""
        self.encoder.observe(state, future)

    def forward(self, policy: Policy, state: Tensor, future: Tensor) -> Tensor:
        """Sample "action", `[B]` integers."""
        with pyro.plate("batch", state.shape[0]):
            return pyro.sample("action", tilted(policy, state, self.net(self.encoder(state, future))))


def tilted(policy: Policy, state: Tensor, h: Tensor) -> dist.Categorical:
    """Return the categorical distribution ∝ π(a|s) exp h_a; `h` is `[B, A]`."""
    return dist.Categorical(logits=log_policy(policy, state) + h)


def log_policy(policy: Policy, state: Tensor) -> Tensor:
    """Return log π(a|s) of all actions, `[B, A]` nats."""
    pi = policy(state)
    log_pi: Tensor = pi.log_prob(pi.enumerate_support(expand=False))
    return log_pi.T
