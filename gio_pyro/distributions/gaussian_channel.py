"""Capacity of linear Gaussian channels: water-filling over their modes, exact and in closed form.

    Y = G a + noise,  noise ~ N(0, Σ),  E|a|² ≤ P        C = ½ Σ_m log(1 + p_m g_m) nats

g_m are the squared singular values of Σ^(−½) G, and p_m = max(0, level − 1/g_m) with the one water level at which the
powers of all modes sum to P (Cover and Thomas, Elements of Information Theory, section 9.4; theory, section 5).
"""

from collections.abc import Callable

import torch
from torch import Tensor

from gio_pyro.errors import InputError, shown

MIN_GAIN = 1e-150
"""Modes with a smaller gain g get no power, so that 1 / g² is finite."""
ASYMMETRY = 1e-6
"""Maximum asymmetry of a covariance, relative to its largest entry."""


def water_filling(noise: Tensor, power: float | Tensor) -> Tensor:
    """Return the optimal powers of parallel Gaussian channels, from one sort and without iteration.

    Args:
        noise: variance of each mode at its input, `[..., M]`, positive: 1/σ² for a mode of singular value σ in unit
            noise; infinite for σ = 0; such a mode gets no power.
        power: P ≥ 0, the total power, a number or `[...]`.

    Returns:
        Powers, `[..., M]`, float64, in the unit of `noise`. They sum to P, or are all 0 if all noise is infinite.
        Differentiable in both arguments.

    Raises:
        InputError: noise that is NaN or not positive, power that is negative or not finite, or shapes that do not fit.
    """
    noise = _as_float64("the noise", noise)
    if noise.ndim == 0 or noise.shape[-1] == 0:
        raise InputError(f"Expected noise [..., M] of at least one mode, but got shape {tuple(noise.shape)}.")
    if not bool((noise > 0).all()):
        raise InputError("Expected a positive noise variance of every mode, but got one that is NaN, 0 or negative.")
    return _fill(noise, _as_power(power, noise.shape[:-1], noise.device))


def _fill(noise: Tensor, power: Tensor) -> Tensor:
    """Return the powers `[..., M]`; noise is measured relative to its minimum, so that small powers stay exact."""
    minimum = noise.min(-1, keepdim=True).values
    relative = noise - torch.where(torch.isfinite(minimum), minimum, torch.zeros_like(minimum))
    ascending = relative.sort(-1).values
    count = torch.arange(1, noise.shape[-1] + 1, device=noise.device)
    # the water level if the 1, 2, … least noisy modes are active
    levels = (power.unsqueeze(-1) + ascending.cumsum(-1)) / count
    active = (torch.isfinite(ascending) & (levels >= ascending)).sum(-1, keepdim=True).clamp_min(1)
    powers = (levels.gather(-1, active - 1) - relative).clamp_min(0.0)
    return torch.where(torch.isfinite(noise), powers, torch.zeros_like(powers))


def gaussian_capacity(channel: Tensor, noise: Tensor | None, power: float | Tensor) -> Tensor:
    """Return the capacity of Y = G a + noise under E|a|² ≤ P.

    Args:
        channel: G, `[..., F, A]`: outputs in units of the future for each unit of an input.
        noise: variances of independent noise, `[F]` or `[..., F]`, or a covariance `[..., F, F]` with as many axes as
            the channel; squared units of the future. None: variance 1.
        power: P ≥ 0, squared units of an input, summed over all A inputs; a number or `[...]`.

    Returns:
        Nats, `[...]`, float64. Differentiable in all arguments, also at zero and at equal singular values: the powers
        are optimal, so the capacity is a smooth function of G Gᵀ.

    Raises:
        InputError: shapes that do not fit, NaN or infinity, noise that is not positive definite, negative power.

    Examples:
        >>> gaussian_capacity(torch.eye(1), None, 10.0)  # 1.7297 bits
        tensor(1.1989, dtype=torch.float64)
    """
    g = finite_matrix("the channel", channel)
    white = g if noise is None else _whiten(g, _as_float64("the noise", noise))
    gain = torch.linalg.svdvals(white).square()
    active = gain > MIN_GAIN
    at_input = torch.where(active, 1 / torch.where(active, gain, 1.0), torch.inf)
    powers = _fill(at_input, _as_power(power, gain.shape[:-1], g.device))
    return 0.5 * torch.log1p(powers * gain).sum(-1)


def covariance(name: str, noise: Tensor, like: Tensor) -> Tensor:
    """Return the noise of a channel `like` `[..., F, A]` as covariances `[..., F, F]`; variances become a diagonal.

    Raises:
        InputError: neither the shape of variances nor of covariances.
    """
    noise, size = _as_float64(name, noise), like.shape[-2]
    if noise.ndim == like.ndim and noise.shape[-2:] == (size, size):
        return noise
    if noise.ndim in (1, like.ndim - 1) and noise.shape[-1] == size:
        return torch.diag_embed(noise)
    raise InputError(
        f"Expected {name} to be variances [..., {size}] or a covariance [..., {size}, {size}] with {like.ndim} axes, "
        f"but got shape {tuple(noise.shape)}."
    )


def _whiten(g: Tensor, noise: Tensor) -> Tensor:
    """Return Σ^(−½) G, up to a rotation, which does not change the capacity."""
    sigma = covariance("the noise", noise, g)
    _require_broadcast("the noise", sigma.shape[:-2], g.shape[:-2])
    largest = sigma.abs().amax((-2, -1), keepdim=True)
    if not bool(((sigma - sigma.mT).abs() <= ASYMMETRY * largest).all()):
        raise InputError("Expected a symmetric noise covariance without NaN, but got one that is not; give (Σ + Σᵀ)/2.")
    root, failed = torch.linalg.cholesky_ex(sigma)
    if bool(failed.any()) or not bool(torch.isfinite(root).all()):
        raise InputError(
            "Expected noise that is positive definite, but some direction has no noise, where capacity is infinite."
        )
    white: Tensor = torch.linalg.solve_triangular(root, g, upper=False)
    return white


def finite_matrix(name: str, matrix: Tensor) -> Tensor:
    """Return a matrix `[..., R, C]` as float64; raises `InputError` for another shape, NaN or infinity."""
    found = _as_float64(name, matrix)
    if found.ndim < 2 or 0 in found.shape[-2:]:
        raise InputError(
            f"Expected {name} to be a matrix [..., R, C] with entries, but got shape {tuple(found.shape)}."
        )
    if not bool(torch.isfinite(found).all()):
        raise InputError(f"Expected {name} to be finite, but got NaN or infinity.")
    return found


def _as_power(power: float | Tensor, batch: torch.Size, device: torch.device) -> Tensor:
    found = _as_float64("the power", power).to(device)
    if not bool((torch.isfinite(found) & (found >= 0)).all()):
        raise InputError("Expected a finite power of at least 0, but got one that is negative, NaN or infinite.")
    _require_broadcast("the power", found.shape, batch)
    return found.expand(batch)


def _require_broadcast(name: str, shape: torch.Size, batch: torch.Size) -> None:
    """Raise `InputError` unless `shape` broadcasts to `batch`."""
    pairs = zip(reversed(shape), reversed(batch), strict=False)
    if len(shape) > len(batch) or not all(own in (1, other) for own, other in pairs):
        raise InputError(f"Expected {name} to fit a batch of {tuple(batch)}, but got one of {tuple(shape)}.")


def _as_float64(name: str, values: float | Tensor) -> Tensor:
    convert: Callable[..., Tensor] = torch.as_tensor
    try:
        return convert(values, dtype=torch.float64)
    except (TypeError, ValueError, RuntimeError) as error:
        raise InputError(f"Expected {name} to be numbers in a tensor, but got {shown(values)}.") from error
