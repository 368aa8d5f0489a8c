"""Behaviour policies μ: samples of the policy, or its most probable action, mixed with exploratory actions.

Exploratory actions are uniform, or drawn from the guide's method `explore`. Each behaviour maps a batch of states to
actions of the site "action" `[N, ...]` and their log μ(a|s) under the mixture, `[N]` nats.
"""

import math
from collections.abc import Callable, Hashable
from typing import Any

import torch
from torch import Tensor

from gio_pyro.distributions.masks import legal, restricted
from gio_pyro.distributions.squash import uniform_in_box
from gio_pyro.programs import log_probs
from gio_pyro.types import Policy

TIE = 1e-4
"""Relative tolerance of ties between probabilities; before training they differ only by rounding."""


class _Finite:
    """Behaviour policy μ over finitely many actions.

    Args:
        policy: π.
        uniform_share: probability of an exploratory action, in [0, 1].
        greedy: take the most probable action instead of a sample of π otherwise; ties are broken at random.
        explore: distribution of exploratory actions; None for uniform.
    """

    def __init__(
        self, policy: Policy, uniform_share: float, *, greedy: bool = False, explore: Policy | None = None
    ) -> None:
        self.policy, self.uniform_share, self.greedy, self.explore = policy, uniform_share, greedy, explore

    def mu(self, state: Tensor) -> Tensor:
        """Return μ(·|s), `[N, A]`."""
        log_pi = log_probs(self.policy(state))
        pi = log_pi.exp()
        own = mode(pi) if self.greedy else pi
        if self.explore is None:
            return (1 - self.uniform_share) * own + self._uniform(legal(log_pi)).to(pi)
        return (1 - self.uniform_share) * own + self.uniform_share * log_probs(self.explore(state), "explore").exp()

    def _uniform(self, allowed: Tensor) -> Tensor:
        """Return the probability that uniform exploration adds to each action, `[N, A]`."""
        return torch.where(allowed, self.uniform_share / allowed.sum(-1, keepdim=True).double(), 0.0)


def mode(pi: Tensor) -> Tensor:
    """Return the greedy distribution of probabilities `[N, A]`, uniform over ties (`TIE`), `[N, A]`."""
    best = (pi >= (1 - TIE) * pi.amax(-1, keepdim=True)).to(pi)
    return best / best.sum(-1, keepdim=True)


def select_action(policy: Any, state: Tensor, allowed: Tensor | None = None, *, deterministic: bool) -> Tensor:
    """Return an action of the policy in each state `[N, ...]`, as values of the site "action" `[N, ...]`.

    Args:
        policy: π, with its method `mode`.
        state: the states.
        allowed: flags `[N, A]` of allowed actions; None for those that the states allow.
        deterministic: take the most probable action instead of a sample.
    """
    if allowed is None:
        chosen: Tensor = policy.mode(state) if deterministic else policy(state).sample()
        return chosen
    log_pi = restricted(log_probs(policy(state)), allowed)
    return log_pi.argmax(-1) if deterministic else torch.multinomial(log_pi.exp(), 1).squeeze(-1)


def mixed_behaviour(
    policy: Policy, *, uniform_share: float, greedy: bool = False, explore: Policy | None = None, finite: bool
) -> "DiscreteBehaviour | ContinuousBehaviour":
    """Return the behaviour of any policy over `finite` or continuous actions, mixed with exploratory ones."""
    if finite:
        return DiscreteBehaviour(policy, uniform_share, greedy=greedy, explore=explore)
    return ContinuousBehaviour(policy, uniform_share, explore=explore)


class TableBehaviour(_Finite):
    """Behaviour policy of a finite world; caches μ(·|s) for each visited state, since π is fixed during a collection.

    `key(state)` is the key of the cache: the state, and its action mask if that may change during a collection.
    """

    def __init__(
        self,
        policy: Policy,
        uniform_share: float,
        *,
        greedy: bool = False,
        explore: Policy | None = None,
        key: Callable[[int], Hashable] = int,
    ) -> None:
        super().__init__(policy, uniform_share, greedy=greedy, explore=explore)
        self.key = key
        self._rows: dict[Hashable, list[float]] = {}

    def __call__(self, state: Tensor) -> tuple[Tensor, Tensor]:
        """Return actions and their log-probabilities, `[N]` each."""
        uniform = torch.rand(len(state), dtype=torch.float64).tolist()
        taken = [self.at_quantile(s, u, state.device) for s, u in zip(state.tolist(), uniform, strict=True)]
        action, probability = (torch.tensor(values, device=state.device) for values in zip(*taken, strict=True))
        return action, probability.log()

    def probabilities(self, state: int, device: torch.device) -> list[float]:
        """Return μ(·|s), one number for each action."""
        key = self.key(state)
        if key not in self._rows:
            self._rows[key] = self.mu(torch.tensor([state], device=device))[0].tolist()
        return self._rows[key]

    def at_quantile(self, state: int, uniform: float, device: torch.device) -> tuple[int, float]:
        """Return the action at the quantile `uniform`, in [0, 1), of μ(·|s), and its probability."""
        row = self.probabilities(state, device)
        for action, probability in enumerate(row):
            uniform -= probability
            if uniform < 0:
                return action, probability
        action = max(range(len(row)), key=row.__getitem__)  # the row sums to 1 only up to rounding
        return action, row[action]


class DiscreteBehaviour(_Finite):
    """Behaviour policy of a network over finitely many actions."""

    @torch.no_grad()
    def __call__(self, state: Tensor) -> tuple[Tensor, Tensor]:
        """Return actions and their log-probabilities, `[N]` each."""
        mu = self.mu(state)
        action = torch.multinomial(mu, 1)
        return action.squeeze(-1), mu.gather(-1, action).squeeze(-1).log()


class ContinuousBehaviour:
    """Behaviour policy over continuous actions, before the squash; never greedy, since a point mass has no density."""

    def __init__(self, policy: Policy, uniform_share: float, *, explore: Policy | None = None) -> None:
        self.policy, self.uniform_share, self.explore = policy, uniform_share, explore

    @torch.no_grad()
    def __call__(self, state: Tensor) -> tuple[Tensor, Tensor]:
        """Return actions `[N, d]` and their log-densities `[N]`."""
        pi = self.policy(state)
        action = pi.sample()
        if self.uniform_share == 0.0:
            return action, pi.log_prob(action)
        other = uniform_in_box(action) if self.explore is None else self.explore(state)
        exploring = torch.rand(len(action), 1, device=action.device) < self.uniform_share
        action = torch.where(exploring, other.sample(), action)
        explored = other.log_prob(action) + math.log(self.uniform_share)
        if self.uniform_share == 1.0:
            return action, explored
        return action, torch.logaddexp(pi.log_prob(action) + math.log1p(-self.uniform_share), explored)
