"""Channel capacity with a certificate: Blahut-Arimoto steps, finished by an interior-point method.

The problem, for one channel W and one number r(a) in nats for each input, is concave in the source:

    C = max_π  Σ_a π(a) [ r(a) + D(W(·|a) ‖ p_π) ]                          (theory, equation 6 at γ = 0)

*Any* source π certifies itself: with d(a) = r(a) + D(W(·|a) ‖ p_π), Σ_a π(a) d(a) ≤ C ≤ max_a d(a). The
iteration stops on the difference of the two, whatever produced π.

Blahut (1972) and Arimoto (1972) multiply π(a) by exp d(a). That is slow where inputs are nearly useless: their
share shrinks like 1/n. So after a few such steps the channels that have not converged are handed to a
primal-dual interior-point method (Newton steps on the optimality conditions with a shrinking barrier; Boyd and
Vandenberghe, Convex Optimization, section 11.7), which needs 10 to 30 steps whatever the channel.
"""

import warnings
from dataclasses import dataclass

import torch
from torch import Tensor

from gio_pyro.errors import ConvergenceWarning, InputError
from gio_pyro.tabular.information import (
    LARGEST_REWARD,
    as_distribution,
    as_flags,
    check_inputs,
    divergence_from_mean,
    require_one_batch,
)
from gio_pyro.utils.checks import positive, real_tensor, whole

MULTIPLICATIVE_STEPS = 10


@dataclass(frozen=True)
class Capacity:
    """The outcome of `blahut_arimoto`; the true capacity lies in `[capacity, capacity + gap]`."""

    capacity: Tensor
    """`[...]` nats: the value that `source` attains (with a reward: Σ π r + I)."""
    source: Tensor
    """`[..., A]`: the source that attains it."""
    gap: Tensor
    """`[...]` nats: the certified distance to the upper bound."""
    iterations: int
    """Steps taken until the slowest channel of the batch was done."""


def blahut_arimoto(
    channel: object,
    reward: object = None,
    *,
    allowed: object = None,
    tolerance: float = 1e-9,
    max_iterations: int = 200,
) -> Capacity:
    """Return the capacity of a batch of channels, certified.

    Args:
        channel: W(f|a), `[..., A, F]`; rows sum to 1.
        reward: what each input pays on top, `[..., A]` **nats** (divide reward units by the temperature);
            None pays nothing.
        allowed: which inputs there are, `[..., A]` booleans; the source gives the others probability 0. All by default.
        tolerance: certified gap, in nats, at which a channel counts as done.
        max_iterations: steps after which it stops with a `ConvergenceWarning`; the gap still holds.

    Returns:
        A `Capacity`, float64, on the channel's device.

    Raises:
        InputError: rows that are no distributions, a reward of the wrong shape or not finite, tolerance ≤ 0, or flags
            that allow nothing.

    Examples:
        >>> blahut_arimoto([[0.9, 0.1], [0.1, 0.9]]).capacity
        tensor(0.3681, dtype=torch.float64)
    """
    w = as_distribution("the channel", channel)
    r = torch.zeros_like(w[..., 0]) if reward is None else _finite_reward(reward).to(w.device)
    check_inputs(w, r, "the reward")
    wanted = "a tolerance > 0 and at least one iteration"
    tolerance = positive("tolerance", tolerance, wanted=wanted)
    max_iterations = whole("max_iterations", max_iterations, 1, wanted=wanted)
    batch = require_one_batch(w.shape[:-2], r.shape[:-1], "the channel and the reward")
    flags = None if allowed is None else _as_allowed(allowed, r)
    batch = batch if flags is None else require_one_batch(batch, flags.shape[:-1], "the channel and what is allowed")
    w = w.expand(*batch, *w.shape[-2:]).reshape(-1, *w.shape[-2:])
    r = r.expand(*batch, r.shape[-1]).reshape(-1, r.shape[-1])
    place = None if flags is None else _stand_ins(flags.expand(*batch, -1).reshape(r.shape))
    if place is not None:
        w, r = w.gather(1, place[..., None].expand_as(w)), r.gather(1, place)
    best = _Best(w, r)
    iterations = _multiplicative(best, w, r, tolerance, min(MULTIPLICATIVE_STEPS, max_iterations))
    open_ = (best.gap > tolerance).nonzero().squeeze(-1)
    if len(open_):
        iterations += _interior_point(best, open_, w, r, tolerance, max_iterations - iterations)
    if bool((best.gap > tolerance).any()):
        warnings.warn(
            f"Stopped after {iterations} iterations with a certified gap of {best.gap.max():.2e} nats, above the "
            f"tolerance of {tolerance:.0e}; the bounds hold, raise max_iterations to tighten them.",
            ConvergenceWarning,
            stacklevel=2,
        )
    source = best.source if place is None else torch.zeros_like(best.source).scatter_add(1, place, best.source)
    return Capacity(best.value.reshape(batch), source.reshape(*batch, -1), best.gap.reshape(batch), iterations)


def _as_allowed(allowed: object, r: Tensor) -> Tensor:
    flags = as_flags("allowed", allowed).to(r.device)
    if flags.ndim == 0 or flags.shape[-1] != r.shape[-1] or not bool(flags.any(-1).all()):
        raise InputError(
            f"Expected one flag for each of {r.shape[-1]} inputs, at least one of them True, but got shape "
            f"{tuple(flags.shape)}; name the inputs that there are."
        )
    return flags


def _stand_ins(allowed: Tensor) -> Tensor:
    """Return for each input itself where it is allowed, the first allowed one where not, `[N, A]`.

    An input that repeats another adds nothing to the capacity, and what the source gives it is the other's.
    """
    itself = torch.arange(allowed.shape[-1], device=allowed.device)
    return torch.where(allowed, itself, allowed.to(torch.int8).argmax(-1, keepdim=True))


def _finite_reward(reward: object) -> Tensor:
    r = real_tensor("the reward", reward)
    if not bool((r.abs() <= LARGEST_REWARD).all()):
        raise InputError("Expected a finite reward for every input, but got NaN or infinity; drop such inputs.")
    return r


class _Best:
    """The best certified source found so far for each channel of a flat batch."""

    def __init__(self, w: Tensor, r: Tensor) -> None:
        n, inputs = r.shape
        self.source = torch.full((n, inputs), 1.0 / inputs, dtype=w.dtype, device=w.device)
        self.value = torch.full((n,), -torch.inf, dtype=w.dtype, device=w.device)
        self.gap = torch.full((n,), torch.inf, dtype=w.dtype, device=w.device)

    def offer(self, index: Tensor, source: Tensor, d: Tensor) -> None:
        """Keep `source` `[N, A]`, whose inputs are worth `d` `[N, A]`, for the channels where it is the best yet."""
        value = (source * d).sum(-1)
        rounding = 4 * torch.finfo(d.dtype).eps * d.abs().max(-1).values
        gap = (d.max(-1).values - value).clamp_min(0.0) + rounding
        better = gap < self.gap[index]
        kept = index[better]
        self.source[kept], self.value[kept], self.gap[kept] = source[better], value[better], gap[better]


def _multiplicative(best: _Best, w: Tensor, r: Tensor, tolerance: float, steps: int) -> int:
    everything = torch.arange(len(w), device=w.device)
    source = best.source.clone()
    for step in range(1, steps + 1):
        d = r + divergence_from_mean(w, source)
        best.offer(everything, source, d)
        if bool((best.gap <= tolerance).all()):
            return step
        source = torch.softmax(source.log() + d, -1)
    return steps


def _interior_point(best: _Best, index: Tensor, w: Tensor, r: Tensor, tolerance: float, steps: int) -> int:
    """Primal-dual path following from the multiplicative steps' sources; converged channels leave the batch.

    Unknowns: the source p > 0, the slacks z > 0 of p ≥ 0 and the multiplier of Σ p = 1, which at the optimum
    equals the capacity: d(a) + z(a) = C.
    """
    w, r = w[index], r[index]
    inputs = r.shape[-1]
    p = best.source[index].clamp_min(1e-3 / inputs)
    p = p / p.sum(-1, keepdim=True)
    d = r + divergence_from_mean(w, p)
    level = d.max(-1, keepdim=True).values
    spread = (level - (p * d).sum(-1, keepdim=True)).clamp_min(tolerance)
    z = (level - d).clamp_min(spread)
    for step in range(1, steps + 1):
        barrier = 0.1 * (p * z).mean(-1, keepdim=True)
        dp, d_level = _newton(w, p, z, d - level + barrier / p)
        dz = (barrier - p * z - z * dp) / p
        p_length, z_length = _boundary(p, dp), _boundary(z, dz)
        p, z, level = p + p_length * dp, z + z_length * dz, level + p_length * d_level
        p = p / p.sum(-1, keepdim=True)
        d = r + divergence_from_mean(w, p)
        best.offer(index, p, d)
        going = best.gap[index] > tolerance
        if not bool(going.any()):
            return step
        index, w, r, p, z, d, level = (x[going] for x in (index, w, r, p, z, d, level))
    return steps


def _newton(w: Tensor, p: Tensor, z: Tensor, g: Tensor) -> tuple[Tensor, Tensor]:
    """Solve (H + diag(z/p)) dp + 1 dλ = g with Σ dp = 0, where H = W diag(1/p_F) Wᵀ is the Hessian of −I."""
    solved = _solve_hessian(w, p, z, torch.stack([g, torch.ones_like(g)], -1))
    d_level = solved[..., 0].sum(-1, keepdim=True) / solved[..., 1].sum(-1, keepdim=True)
    return solved[..., 0] - d_level * solved[..., 1], d_level


def _solve_hessian(w: Tensor, p: Tensor, z: Tensor, right: Tensor) -> Tensor:
    """Solve in the smaller of the two spaces: inputs, or outputs by the Woodbury identity."""
    mean = torch.einsum("na,naf->nf", p, w).clamp_min(1e-300)
    if w.shape[-2] <= w.shape[-1]:
        m = torch.einsum("naf,nf,nbf->nab", w, 1.0 / mean, w) + torch.diag_embed(z / p)
        return _solve(m, right)
    e = (p / z).unsqueeze(-1)
    inner = torch.diag_embed(mean) + w.mT @ (e * w)
    return e * right - e * (w @ _solve(inner, w.mT @ (e * right)))


def _solve(matrix: Tensor, right: Tensor) -> Tensor:
    """Solve a batch of systems; a singular one gives numbers that are no better than any and never kept."""
    solution: Tensor = torch.linalg.solve_ex(matrix, right).result
    return solution


def _boundary(x: Tensor, dx: Tensor) -> Tensor:
    """Return the largest step ≤ 1 that keeps 0.5 % of the way to x > 0's boundary, `[N, 1]`."""
    ratio = torch.where(dx < 0, -dx / x, torch.zeros_like(x)).max(-1, keepdim=True).values
    return (0.995 / ratio.clamp_min(0.995)).clamp_max(1.0)
