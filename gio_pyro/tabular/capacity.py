"""Channel capacity with certified bounds: Blahut-Arimoto steps, then an interior-point method.

For one channel W and a reward r(a) of each input in nats, the objective is concave in the source π:

    C = max_π  Σ_a π(a) [ r(a) + D(W(·|a) ‖ p_π) ]                          (theory, equation 6 at γ = 0)

*Any* source π gives both bounds: with d(a) = r(a) + D(W(·|a) ‖ p_π), Σ_a π(a) d(a) ≤ C ≤ max_a d(a). The
iteration stops when their difference is small.

Blahut (1972) and Arimoto (1972) multiply π(a) by exp d(a). This converges slowly if some inputs are nearly
useless, as their probability shrinks like 1/n. So after a few such steps, channels that have not converged continue
with a primal-dual interior-point method (Newton steps on the optimality conditions with a shrinking barrier; Boyd and
Vandenberghe, Convex Optimization, section 11.7), which takes 10 to 30 steps for any channel.
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
    """The result of `blahut_arimoto`; the true capacity lies in `[capacity, capacity + gap]`."""

    capacity: Tensor
    """`[...]` nats: lower bound, the value of `source` (with a reward: Σ π r + I)."""
    source: Tensor
    """`[..., A]`: the source that attains `capacity`."""
    gap: Tensor
    """`[...]` nats: upper bound less lower bound."""
    iterations: int
    """Number of steps until the slowest channel of the batch converged."""


def blahut_arimoto(
    channel: object,
    reward: object = None,
    *,
    allowed: object = None,
    tolerance: float = 1e-9,
    max_iterations: int = 200,
) -> Capacity:
    """Return the capacity of a batch of channels with certified bounds.

    Args:
        channel: W(f|a), `[..., A, F]`; rows sum to 1.
        reward: r(a) of each input, `[..., A]` **nats** (divide reward units by the temperature); None is 0.
        allowed: mask of allowed inputs, `[..., A]` booleans; the source gives others probability 0. All by default.
        tolerance: gap, in nats, at which a channel has converged.
        max_iterations: steps after which it stops with a `ConvergenceWarning`; the bounds still hold.

    Returns:
        A `Capacity`, float64, on the channel's device.

    Raises:
        InputError: rows that are not distributions, a reward of the wrong shape or not finite, tolerance ≤ 0, or a
            mask that allows no input.

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
    flags = None if allowed is None else _as_input_mask(allowed, r)
    batch = batch if flags is None else require_one_batch(batch, flags.shape[:-1], "the channel and what is allowed")
    w = w.expand(*batch, *w.shape[-2:]).reshape(-1, *w.shape[-2:])
    r = r.expand(*batch, r.shape[-1]).reshape(-1, r.shape[-1])
    substitute = None if flags is None else _substitutes(flags.expand(*batch, -1).reshape(r.shape))
    if substitute is not None:
        w, r = w.gather(1, substitute[..., None].expand_as(w)), r.gather(1, substitute)
    best = _BestSource(w, r)
    iterations = _multiplicative(best, w, r, tolerance, min(MULTIPLICATIVE_STEPS, max_iterations))
    unconverged = (best.gap > tolerance).nonzero().squeeze(-1)
    if len(unconverged):
        iterations += _interior_point(best, unconverged, w, r, tolerance, max_iterations - iterations)
    if bool((best.gap > tolerance).any()):
        warnings.warn(
            f"Stopped after {iterations} iterations with a certified gap of {best.gap.max():.2e} nats, above the "
            f"tolerance of {tolerance:.0e}; the bounds hold, raise max_iterations to tighten them.",
            ConvergenceWarning,
            stacklevel=2,
        )
    source = (
        best.source if substitute is None else torch.zeros_like(best.source).scatter_add(1, substitute, best.source)
    )
    return Capacity(best.value.reshape(batch), source.reshape(*batch, -1), best.gap.reshape(batch), iterations)


def _as_input_mask(allowed: object, r: Tensor) -> Tensor:
    flags = as_flags("allowed", allowed).to(r.device)
    if flags.ndim == 0 or flags.shape[-1] != r.shape[-1] or not bool(flags.any(-1).all()):
        raise InputError(
            f"Expected one flag for each of {r.shape[-1]} inputs, at least one of them True, but got shape "
            f"{tuple(flags.shape)}; name the inputs that there are."
        )
    return flags


def _substitutes(allowed: Tensor) -> Tensor:
    """Return for each input its own index if it is allowed, else that of the first allowed input, `[N, A]`.

    A duplicate of an input does not change the capacity; its probability is added to that of the original.
    """
    own = torch.arange(allowed.shape[-1], device=allowed.device)
    return torch.where(allowed, own, allowed.to(torch.int8).argmax(-1, keepdim=True))


def _finite_reward(reward: object) -> Tensor:
    r = real_tensor("the reward", reward)
    if not bool((r.abs() <= LARGEST_REWARD).all()):
        raise InputError("Expected a finite reward for every input, but got NaN or infinity; drop such inputs.")
    return r


class _BestSource:
    """The best certified source found so far for each channel of a flat batch."""

    def __init__(self, w: Tensor, r: Tensor) -> None:
        n, inputs = r.shape
        self.source = torch.full((n, inputs), 1.0 / inputs, dtype=w.dtype, device=w.device)
        self.value = torch.full((n,), -torch.inf, dtype=w.dtype, device=w.device)
        self.gap = torch.full((n,), torch.inf, dtype=w.dtype, device=w.device)

    def update(self, index: Tensor, source: Tensor, d: Tensor) -> None:
        """Store `source` `[N, A]` for the channels where its gap, from `d` `[N, A]`, is the smallest so far."""
        value = (source * d).sum(-1)
        rounding = 4 * torch.finfo(d.dtype).eps * d.abs().max(-1).values
        gap = (d.max(-1).values - value).clamp_min(0.0) + rounding
        better = gap < self.gap[index]
        improved = index[better]
        self.source[improved], self.value[improved], self.gap[improved] = source[better], value[better], gap[better]


def _multiplicative(best: _BestSource, w: Tensor, r: Tensor, tolerance: float, steps: int) -> int:
    """Take up to `steps` Blahut-Arimoto steps π(a) ∝ π(a) exp d(a), and return their number."""
    all_channels = torch.arange(len(w), device=w.device)
    source = best.source.clone()
    for step in range(1, steps + 1):
        d = r + divergence_from_mean(w, source)
        best.update(all_channels, source, d)
        if bool((best.gap <= tolerance).all()):
            return step
        source = torch.softmax(source.log() + d, -1)
    return steps


def _interior_point(best: _BestSource, index: Tensor, w: Tensor, r: Tensor, tolerance: float, steps: int) -> int:
    """Follow the central path from the best sources so far; converged channels leave the batch. Return the steps.

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
        # Newton direction of the optimality conditions d + z = λ, p z = barrier, Σ p = 1
        barrier = 0.1 * (p * z).mean(-1, keepdim=True)
        dp, d_level = _newton(w, p, z, d - level + barrier / p)
        dz = (barrier - p * z - z * dp) / p
        # longest steps that keep p and z positive
        p_length, z_length = _boundary(p, dp), _boundary(z, dz)
        p, z, level = p + p_length * dp, z + z_length * dz, level + p_length * d_level
        p = p / p.sum(-1, keepdim=True)
        d = r + divergence_from_mean(w, p)
        best.update(index, p, d)
        unconverged = best.gap[index] > tolerance
        if not bool(unconverged.any()):
            return step
        index, w, r, p, z, d, level = (x[unconverged] for x in (index, w, r, p, z, d, level))
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
    """Solve a batch of systems; a singular one gives arbitrary numbers, which never improve the best source."""
    solution: Tensor = torch.linalg.solve_ex(matrix, right).result
    return solution


def _boundary(x: Tensor, dx: Tensor) -> Tensor:
    """Return the step length ≤ 1 along dx, at most 99.5 % of that to the boundary of x > 0, `[N, 1]`."""
    ratio = torch.where(dx < 0, -dx / x, torch.zeros_like(x)).max(-1, keepdim=True).values
    return (0.995 / ratio.clamp_min(0.995)).clamp_max(1.0)
