"""Estimate the evidence from draws of a posterior by bridge sampling (Meng and Wong, 1996).

With l = p(F, x) / g(x), g a normal fitted to one half of the draws, the evidence Z is the fixed point of

    Z = [ mean over draws of g     of  l / (s₁ l + s₂ Z) ]  /  [ mean over the other half of  1 / (s₁ l + s₂ Z) ]

with s₁ and s₂ the shares of draws from p, counted by their effective number, and from g. The posterior has to overlap
with g, not with the guide or the prior. The error is that of Frühwirth-Schnatter (2004).
"""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.distributions import MultivariateNormal

from gio_pyro.diagnostics.arviz_versions import effective_sizes
from gio_pyro.diagnostics.program_pair import Pair, Scored
from gio_pyro.errors import InputError

ROUNDS = 200
"""Most rounds of the fixed point."""
TOLERANCE = 1e-10
"""Change of log Z, nats, at which it has converged."""
WIDER = 1e-6
"""Added to the variances of g, relative to their mean."""


def bridge(pair: Pair, posterior: Scored, chains: int) -> tuple[Tensor, Tensor]:
    """Return log p_ψ(F|s) and its standard error, `[N]` nats each.

    Args:
        pair: the programs and N examples.
        posterior: draws of C chains, `[C · D, N]`, one chain after the other, of real-valued sites.
        chains: C, at least 2; g is fitted to the first half of them.

    Raises:
        InputError: draws that are all equal, or fewer than there are numbers.
    """
    values = posterior.values.values()
    flat = torch.cat([value.double().reshape(*value.shape[:2], -1) for value in values], -1)
    first = len(flat) // chains * (chains // 2)
    g = _normal(flat[:first])
    other, ratio = flat[first:], posterior.log_joint[first:] - g.log_prob(flat[first:])
    proposed = g.sample(torch.Size([len(other)]))
    own = pair.at(_sites(proposed, posterior)).log_joint - g.log_prob(proposed)
    each = ratio.unflatten(0, (chains - chains // 2, -1))
    effective = torch.as_tensor(effective_sizes(each.cpu().numpy())).to(ratio)
    return _fixed_point(ratio, own, effective.clamp_max(len(ratio)))


def _normal(draws: Tensor) -> MultivariateNormal:
    """Return the normal of mean and covariance of draws `[K, N, d]`."""
    centred = draws - draws.mean(0)
    covariance = torch.einsum("kni,knj->nij", centred, centred) / (len(draws) - 1)
    mean = covariance.diagonal(dim1=-2, dim2=-1).mean(-1)[:, None, None]
    ridge = WIDER * mean * torch.eye(draws.shape[-1], dtype=draws.dtype, device=draws.device)
    scale, failed = torch.linalg.cholesky_ex(covariance + ridge)
    failed = (failed > 0) | ~scale.isfinite().all(-1).all(-1)
    if bool(failed.any()):
        raise InputError(
            f"Expected chains that move, but they stayed in one place at {int(failed.sum())} of {len(failed)} "
            "transitions; take a longer warmup, or method importance."
        )
    return MultivariateNormal(draws.mean(0), scale_tril=scale)


def _sites(flat: Tensor, like: Scored) -> dict[str, Tensor]:
    """Return draws `[K, N, d]` as the values of each site."""
    sizes = [value[0, 0].numel() for value in like.values.values()]
    parts = zip(like.values.items(), flat.split(sizes, -1), strict=True)
    return {name: part.to(value.dtype).reshape(*part.shape[:2], *value.shape[2:]) for (name, value), part in parts}


def _fixed_point(ratio: Tensor, own: Tensor, effective: Tensor) -> tuple[Tensor, Tensor]:
    """Return log Z and its error from log l at draws of p and of g, `[K, N]`; `effective` `[N]` of the former."""
    log_z = own.logsumexp(0) - math.log(len(own))
    share = effective / (effective + len(own))
    log_1, log_2 = share.log(), (-share).log1p()
    for _ in range(ROUNDS):
        top = (own - torch.logaddexp(log_1 + own, log_2 + log_z)).logsumexp(0) - math.log(len(own))
        bottom = (-torch.logaddexp(log_1 + ratio, log_2 + log_z)).logsumexp(0) - math.log(len(ratio))
        log_z, before = top - bottom, log_z
        if bool(((log_z - before).abs() < TOLERANCE).all()):
            break
    f_1 = (own - torch.logaddexp(log_1 + own, log_2 + log_z)).exp()
    f_2 = (-torch.logaddexp(log_1 + ratio, log_2 + log_z)).exp()
    squared = _relative(f_1) / len(own) + _relative(f_2) / effective
    return log_z, squared.sqrt()


def _relative(values: Tensor) -> Tensor:
    """Return the variance relative to the squared mean, `[N]`."""
    return values.var(0) / values.mean(0).square()
