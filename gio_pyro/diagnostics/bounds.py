"""Bound mutual information from both sides, and measure the tails of the guide's importance weights.

With (s, a, F) drawn from p_ψ · π, and p̂(F|s) an unbiased estimate of p_ψ(F|s) = Σ_b π(b|s) p_ψ(F|s, b),

    lower    E[ log q(a|s, F) − log π(a|s) ]              theory, equation 3
    upper    E[ log p_ψ(F|s, a) − log p̂(F|s) ]            as E log p̂ ≤ log E p̂ (Jensen)

The difference is E KL(p_π ‖ q) plus Jensen's gap: at least the amortisation gap. Finite actions are enumerated,
as `BayesGuide` does, and the upper bound is then the information itself. Continuous ones are drawn half from the guide
and half from the policy, so that no weight exceeds twice the likelihood, however overconfident the guide.

`PSIS k-hat` is the shape of the tail of the weights π p_ψ / q of the guide's own draws (Vehtari et al., 2024; Yao et
al., 2018): above 0.7 importance sampling from the guide is unreliable, as it misses part of the posterior.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from gio_pyro.diagnostics.arviz_versions import pareto_k
from gio_pyro.diagnostics.evidence import Triples
from gio_pyro.programs import ActionSamples, drawn, prior, sample_actions, score

if TYPE_CHECKING:
    from gio_pyro.agent import GIO

AT_ONCE = 65_536
"""Approximate number of examples that a program scores in one call."""


@dataclass(frozen=True)
class Bounds:
    """Nats of each of N triples; the bounds are their means."""

    lower: np.ndarray
    """`[N]`: log q(a|s, F) − log π(a|s)."""
    upper: np.ndarray
    """`[N]`: log p_ψ(F|s, a) − log p̂(F|s)."""

    def raised(self, slack: float) -> Bounds:
        """Return the bounds with the upper one raised by `slack`, the largest error of log p_ψ(F|s, a), nats."""
        return Bounds(self.lower, self.upper + slack)

    @property
    def gap(self) -> float:
        """Upper minus lower bound: at least the amortisation gap, up to sampling error."""
        return float(self.upper.mean() - self.lower.mean())


def bounds(agent: GIO, triples: Triples, draws: int) -> Bounds:
    """Return the two bounds at triples `[N]`; `draws` actions estimate each p_ψ(F|s) where they are not enumerated."""
    lower, upper = [], []
    for part in _parts(triples, draws):
        pi = agent.policy(part.state)
        log_q = agent.guide.log_prob(agent.policy, part.state, part.future, part.action)
        lower.append(log_q - pi.log_prob(part.action))
        log_p = part.log_p
        if log_p is None:
            log_p = agent.model.log_prob(agent.policy, part.state, part.action, part.future)
        upper.append(log_p - log_evidence(agent, part, draws))
    return Bounds(_numbers(lower), _numbers(upper))


def log_evidence(agent: GIO, triples: Triples, draws: int) -> Tensor:
    """Return log p̂_ψ(F|s) of each triple, `[N]` nats: exact for finite actions, an estimate from below for others."""
    pi = agent.policy(triples.state)
    if pi.has_enumerate_support:
        every = sample_actions(pi)
        return torch.logsumexp(_likelihood(agent, triples, every) + every.log_prob, -1)
    q = agent.guide.posterior(agent.policy, triples.state, triples.future)
    size = torch.Size([draws // 2])
    action = torch.cat([q.sample(size), pi.sample(size)])
    log_pi = pi.log_prob(action)
    chosen = drawn(q, action)
    log_mixed = torch.logaddexp(chosen.log_prob, log_pi.T) - math.log(2)
    likelihood = _likelihood(agent, triples, chosen)
    return torch.logsumexp(likelihood + (log_pi.T - log_mixed), -1) - math.log(chosen.count)


def k_hats(agent: GIO, triples: Triples, draws: int) -> np.ndarray:
    """Return PSIS k-hat of the guide at each future `[N]`, from `draws` actions of the guide."""
    ratios = []
    for part in _parts(triples, draws):
        chosen = sample_actions(agent.guide.posterior(agent.policy, part.state, part.future), draws)
        log_pi = prior(agent.policy, part.state, chosen)
        ratios.append(_likelihood(agent, part, chosen) + (log_pi - chosen.log_prob))
    log_weight = torch.cat(ratios).double().cpu().numpy()
    found: np.ndarray = np.array([pareto_k(row) for row in log_weight])
    return found


def _likelihood(agent: GIO, triples: Triples, chosen: ActionSamples) -> Tensor:
    return score(agent.model, agent.policy, triples.state, chosen, triples.future)


def _parts(triples: Triples, each: int) -> list[Triples]:
    size = max(1, AT_ONCE // each)
    split = (x.split(size) for x in vars(triples).values() if x is not None)
    return [Triples(*part) for part in zip(*split, strict=True)]


def _numbers(parts: list[Tensor]) -> np.ndarray:
    found: np.ndarray = torch.cat(parts).double().cpu().numpy()
    return found
