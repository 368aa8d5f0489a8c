"""The policy that explains best where an expert went, of whom only states are known, with a certified bound.

For one channel p(f|a) and counts n(f) of what was seen, the log-likelihood for each observation,

    L(π) = Σ_f n(f)/n log Σ_a π(a) p(f|a)

is concave in π. With d(a) = Σ_f n(f)/n p(f|a) / p_π(f), its derivative, *any* π is within max_a d(a) − 1 nats of the
best one. Expectation maximisation multiplies π(a) by d(a), which reads the posterior p_π(a|f) of what was seen and
averages it (Dempster, Laird and Rubin, 1977).
"""

import warnings
from dataclasses import dataclass

import torch
from torch import Tensor

from gio_pyro.errors import ConvergenceWarning, InputError
from gio_pyro.tabular.information import as_distribution
from gio_pyro.utils.checks import positive, real_tensor, whole


@dataclass(frozen=True)
class Imitation:
    """The result of `imitate`."""

    policy: Tensor
    """`[..., A]`: probabilities of the actions; uniform where nothing was seen."""
    log_likelihood: Tensor
    """`[...]` nats for each observation; 0 where nothing was seen."""
    gap: Tensor
    """`[...]` nats: how much higher the best log-likelihood is at most."""
    iterations: int
    """Times that the posterior was read."""


def imitate(channel: object, counts: object, *, tolerance: float = 1e-6, max_iterations: int = 100_000) -> Imitation:
    """Return the likeliest policy of an expert, given counts of the futures that followed its unknown actions.

    Args:
        channel: p(f|a), `[..., A, F]`, for next states `TabularMDP.transition` `[S, A, S]`; rows sum to 1.
        counts: n(f), how often each future was seen, `[..., F]`.
        tolerance: gap, in nats, at which a policy has converged.
        max_iterations: readings after which it stops with a `ConvergenceWarning`; the bounds still hold.

    Raises:
        InputError: rows that are not distributions, counts of another shape, negative or not finite, a future that was
            seen and that no action leads to, or a number out of range.

    Examples:
        >>> imitate([[0.9, 0.1], [0.1, 0.9]], [3.0, 1.0]).policy
        tensor([0.8125, 0.1875], dtype=torch.float64)
    """
    p = as_distribution("the channel", channel)
    n = real_tensor("the counts", counts).to(p)
    if p.ndim < 2 or n.shape != (*p.shape[:-2], p.shape[-1]) or not bool((n.isfinite() & (n >= 0)).all()):
        raise InputError(
            f"Expected counts [..., F] of at least 0 for a channel [..., A, F], but got shapes {tuple(n.shape)} and "
            f"{tuple(p.shape)}, or other numbers; count each future."
        )
    if bool(((p.amax(-2) == 0) & (n > 0)).any()):
        raise InputError("Expected futures that some action leads to, but got one that none does; drop it, or mend p.")
    tolerance = positive("tolerance", tolerance, wanted="a tolerance > 0")
    max_iterations = whole("max_iterations", max_iterations, 1)
    seen = n.sum(-1)
    share = n / seen.clamp_min(torch.finfo(n.dtype).tiny)[..., None]
    pi = torch.full(p.shape[:-1], 1 / p.shape[-2], dtype=p.dtype, device=p.device)
    iterations = 0
    while True:
        mixed, d = _derivative(p, share, pi)
        gap = torch.where(seen > 0, d.amax(-1) - 1, 0.0).clamp_min(0.0)
        if not bool((gap > tolerance).any()) or iterations == max_iterations:
            break
        pi = torch.where((seen > 0)[..., None], pi * d, pi)
        pi = pi / pi.sum(-1, keepdim=True)
        iterations += 1
    if bool((gap > tolerance).any()):
        warnings.warn(
            f"Stopped after {iterations} iterations with a certified gap of {float(gap.max()):.2e} nats, above the "
            f"tolerance of {tolerance:.0e}; the bound holds, raise max_iterations to tighten it.",
            ConvergenceWarning,
            stacklevel=2,
        )
    likelihood = torch.where(share > 0, share * mixed.clamp_min(torch.finfo(p.dtype).tiny).log(), 0.0).sum(-1)
    return Imitation(pi, likelihood, gap, iterations)


def _derivative(p: Tensor, share: Tensor, pi: Tensor) -> tuple[Tensor, Tensor]:
    """Return p_π(f) `[..., F]` and d(a) `[..., A]`."""
    mixed = torch.einsum("...a,...af->...f", pi, p)
    ratio = torch.where(share > 0, share / mixed.clamp_min(torch.finfo(p.dtype).tiny), 0.0)
    return mixed, torch.einsum("...f,...af->...a", ratio, p)
