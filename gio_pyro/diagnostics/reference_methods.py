"""Reference posteriors p(a, z|s, F) of a pair of programs, and what the guide loses against them.

    enumeration   every action: exact
    importance    weighted draws, half of them from the guide q and half from the model's prior π(a|s) p_ψ(z|s, a)
    nuts          chains of `pyro.infer.NUTS`; the evidence by bridge sampling (see `gio_pyro.diagnostics.bridge`)

With log Z = log p_ψ(F|s), each method estimates, example by example,

    KL(q ‖ p) = log Z − E_q[log p(F, a, z|s) − log q]        the amortisation gap: log evidence minus ELBO
    KL(p ‖ q) = E_p[log p(F, a, z|s) − log q] − log Z

`importance` is `pyro.infer.Importance` with the draws in the batch instead of one run of the programs each, and with a
mixture for a proposal: no weight exceeds twice the likelihood, however overconfident the guide (Hesterberg, 1995,
defensive importance sampling). Standard errors are by the delta method.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import torch
from torch import Tensor

from gio_pyro.diagnostics.arviz_versions import effective_sizes
from gio_pyro.diagnostics.bridge import bridge
from gio_pyro.diagnostics.nuts import chains_of_nuts
from gio_pyro.diagnostics.program_pair import Pair, Scored, joined
from gio_pyro.errors import InputError
from gio_pyro.programs import sample_actions
from gio_pyro.programs.sites import ACTION


@dataclass(frozen=True)
class Estimate:
    """A number for each of N examples, and its standard error."""

    value: Tensor
    """`[N]` nats."""
    error: Tensor
    """`[N]` nats; 0 where the value is exact."""


@dataclass(frozen=True)
class Reference:
    """Draws of the reference posterior and of the guide, and the two evidence bounds."""

    posterior: Scored
    """`[C · D, N]`, the D draws of each of C chains one after the other."""
    guide: Scored
    """`[C · D, N]`."""
    log_evidence: Estimate
    """log p_ψ(F|s)."""
    elbo: Estimate
    forward: Estimate
    """KL(p ‖ q)."""
    statistics: dict[str, Tensor] = field(default_factory=dict)
    """Further statistics of each draw, `[C · D]` or `[C · D, N]`."""
    effective: Tensor | None = None
    """`[N]`: effective number of weighted draws; None where draws are not weighted."""


@dataclass(frozen=True)
class Size:
    """How much is drawn."""

    chains: int
    draws: int
    """Of each chain."""
    proposals: int
    """Weighted draws of each chain."""
    warmup: int
    """Steps of each chain before its draws."""
    jit_compile: bool = False


def enumeration(pair: Pair, size: Size) -> Reference:
    """Return the exact posterior over finitely many actions; raises `InputError` for other actions or latent sites."""
    pi = pair.policy(pair.state)
    if not pi.has_enumerate_support:
        raise InputError('Expected finite actions to enumerate, but the policy\'s are continuous; take method="nuts".')
    every = sample_actions(pi)
    table = pair.at({ACTION: every.action.unflatten(0, (len(pair), -1)).T})
    if set(table.values) != {ACTION}:
        others = ", ".join(sorted(set(table.values) - {ACTION}))
        raise InputError(
            f'Expected a model with the latent site "action" alone to enumerate, but it also has {others}; take '
            'method="importance".'
        )
    p, q = table.log_joint.softmax(0), table.log_guide.exp()
    log_evidence, weight = table.log_joint.logsumexp(0), table.log_weight
    elbo = torch.where(q > 0, q * weight, 0.0).sum(0)
    forward = torch.where(p > 0, p * weight, 0.0).sum(0) - log_evidence
    count = size.chains * size.draws
    return Reference(
        table.pick(torch.multinomial(p.T, count, replacement=True).T),
        table.pick(torch.multinomial(q.T, count, replacement=True).T),
        _exact(log_evidence),
        _exact(elbo),
        _exact(forward),
    )


def importance(pair: Pair, size: Size) -> Reference:
    """Return draws from `size.proposals` weighted ones, resampled in each chain by itself."""
    half = max(size.proposals // 2, 1)
    own = [pair.from_guide(half) for _ in range(size.chains)]
    chains = [joined([mine, pair.from_prior(half)]) for mine in own]
    every = joined(chains)
    log_weight = _log_weight(every)
    weight = log_weight.softmax(0)
    log_evidence = _log_mean(log_weight)
    ratio = every.log_weight
    mean = torch.where(weight > 0, weight * ratio, 0.0).sum(0)
    spread = torch.where(weight > 0, weight * (ratio - mean), 0.0) - (weight - 1 / len(weight))
    kept = [chain.pick(_drawn(_log_weight(chain), size.draws)) for chain in chains]
    mine = joined(own)
    return Reference(
        joined(kept),
        joined([part.map(lambda tensor: _cycled(tensor, size.draws)) for part in own]),
        log_evidence,
        _mean(mine.log_weight),
        Estimate(mean - log_evidence.value, spread.square().sum(0).sqrt()),
        effective=1 / weight.square().sum(0),
    )


def nuts(pair: Pair, size: Size) -> Reference:
    """Return chains of NUTS over all examples at once; raises `InputError` for finite actions."""
    values, diverging = chains_of_nuts(pair, size.chains, size.draws, size.warmup, size.jit_compile)
    posterior, own = pair.at(values), pair.from_guide(size.chains * size.draws)
    log_evidence = Estimate(*bridge(pair, posterior, size.chains))
    ratio = posterior.log_weight
    effective = effective_sizes(ratio.unflatten(0, (size.chains, size.draws)).cpu().numpy())
    error = ratio.std(0) / torch.as_tensor(effective).to(ratio).sqrt()
    forward = ratio.mean(0) - log_evidence.value
    return Reference(
        posterior,
        own,
        log_evidence,
        _mean(own.log_weight),
        Estimate(forward, torch.hypot(error, log_evidence.error)),
        {"diverging": diverging},
    )


def _log_weight(draws: Scored) -> Tensor:
    """Return log p(F, a, z|s) − log ½(q + prior) of each draw, `[K, N]`."""
    return draws.log_joint - (torch.logaddexp(draws.log_guide, draws.log_prior) - math.log(2))


def _log_mean(log_weight: Tensor) -> Estimate:
    """Return the log of the mean of weights `[K, N]`."""
    count = len(log_weight)
    value = log_weight.logsumexp(0) - math.log(count)
    return Estimate(value, (log_weight - value).exp().std(0) / math.sqrt(count))


def _exact(value: Tensor) -> Estimate:
    return Estimate(value, torch.zeros_like(value))


def _mean(values: Tensor) -> Estimate:
    return Estimate(values.mean(0), values.std(0) / math.sqrt(len(values)))


def _drawn(log_weight: Tensor, count: int) -> Tensor:
    """Return indices `[count, N]` drawn in proportion to weights `[K, N]`."""
    return torch.multinomial(log_weight.softmax(0).T, count, replacement=True).T


def _cycled(tensor: Tensor, count: int) -> Tensor:
    """Return the first `count` rows, from the start again where there are fewer."""
    return tensor[torch.arange(count, device=tensor.device) % len(tensor)]
