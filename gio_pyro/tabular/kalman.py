"""Exact beliefs in linear-Gaussian systems: the Kalman filter and the Rauch-Tung-Striebel smoother.

predict    m⁻ = A m + B a,  P⁻ = A P Aᵀ + Q          (at t = 0 the prior of the first state)
innovation e = y − C m⁻,    S = C P⁻ Cᵀ + R,    log p(y_t|past) = log N(e; 0, S)
update     K = P⁻ Cᵀ S⁻¹,   m = m⁻ + K e,       P = (1 − K C) P⁻ (1 − K C)ᵀ + K R Kᵀ
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from gio_pyro.errors import InputError
from gio_pyro.tabular.information import require_one_batch
from gio_pyro.tabular.linear import LinearGaussian, as_finite, as_system, symmetric


@dataclass(frozen=True)
class Kalman:
    """Gaussian beliefs along sequences of T steps; n state and p observation dimensions.

    Covariances do not depend on what was seen; they are repeated along the batch without copies.
    """

    mean: Tensor
    """`[..., T + 1, n]`: of x_t given y_0..t and a_0..t−1."""
    covariance: Tensor
    """`[..., T + 1, n, n]`."""
    predicted_mean: Tensor
    """`[..., T + 1, n]`: of x_t given y_0..t−1 and a_0..t−1; the prior at t = 0."""
    predicted_covariance: Tensor
    """`[..., T + 1, n, n]`."""
    innovation: Tensor
    """`[..., T + 1, p]`: y_t minus its prediction."""
    innovation_covariance: Tensor
    """`[..., T + 1, p, p]`."""
    log_likelihood: Tensor
    """`[..., T + 1]` nats: log-density of y_t given what was seen before."""


@dataclass(frozen=True)
class KalmanSmoothed:
    """Gaussian marginals of each state given the whole sequence."""

    mean: Tensor
    """`[..., T + 1, n]`: of x_t given y_0..T and a_0..T−1."""
    covariance: Tensor
    """`[..., T + 1, n, n]`."""
    filtered: Kalman
    """The forward pass."""


@dataclass(frozen=True)
class _Gains:
    """Covariances and gains of each step, which do not depend on what was seen."""

    predicted: Tensor
    innovation: Tensor
    factor: Tensor
    gain: Tensor
    updated: Tensor


def kalman(system: LinearGaussian, observations: object, actions: object) -> Kalman:
    """Return the belief after each observation.

    Args:
        system: the linear-Gaussian system.
        observations: y_0..T, `[..., T + 1, p]`.
        actions: a_0..T−1, `[..., T, m]`. Leading shapes broadcast.

    Raises:
        InputError: shapes that do not fit the system, numbers that are not finite, or an observation that has no
            density, as the system predicts some direction of it without noise.
    """
    y, a = _as_sequences(as_system(system), observations, actions)
    gains = covariances(system, y.shape[-2])
    mean = system.mean.expand(*y.shape[:-2], system.states)
    predicted: list[Tensor] = []
    updated: list[Tensor] = []
    errors: list[Tensor] = []
    for t in range(y.shape[-2]):
        if t > 0:
            mean = mean @ system.transition.T + a[..., t - 1, :] @ system.control.T
        error = y[..., t, :] - mean @ system.emission.T
        predicted.append(mean)
        errors.append(error)
        mean = mean + error @ gains.gain[t].T
        updated.append(mean)
    e = torch.stack(errors, -2)
    return Kalman(
        torch.stack(updated, -2),
        gains.updated.expand(*e.shape[:-1], -1, -1),
        torch.stack(predicted, -2),
        gains.predicted.expand(*e.shape[:-1], -1, -1),
        e,
        gains.innovation.expand(*e.shape[:-1], -1, -1),
        _log_density(e, gains.factor),
    )


def kalman_smoother(system: LinearGaussian, observations: object, actions: object) -> KalmanSmoothed:
    """Return the marginals of the states given the whole sequence; arguments and errors of `kalman`."""
    filtered = kalman(system, observations, actions)
    mean, covariance = filtered.mean[..., -1, :], filtered.covariance[..., -1, :, :]
    means, spreads = [mean], [covariance]
    for t in range(filtered.mean.shape[-2] - 2, -1, -1):
        before, ahead = filtered.covariance[..., t, :, :], filtered.predicted_covariance[..., t + 1, :, :]
        gain = before @ system.transition.T @ torch.linalg.pinv(ahead, hermitian=True)
        shift = (mean - filtered.predicted_mean[..., t + 1, :])[..., None]
        mean = filtered.mean[..., t, :] + (gain @ shift)[..., 0]
        covariance = symmetric(before + gain @ (covariance - ahead) @ gain.mT)
        means, spreads = [*means, mean], [*spreads, covariance]
    return KalmanSmoothed(torch.stack(means[::-1], -2), torch.stack(spreads[::-1], -3), filtered)


def covariances(system: LinearGaussian, steps: int) -> _Gains:
    """Return covariances and gains of `steps` observations, each with a leading axis `[steps]`."""
    predicted, rows = system.covariance, []
    for _ in range(steps):
        innovation = symmetric(system.emission @ predicted @ system.emission.T + system.observation_noise)
        factor, failed = torch.linalg.cholesky_ex(innovation)
        if bool(failed):
            raise InputError(
                "Expected observations with a density, but the system predicts some direction of them without noise; "
                "make observation_noise positive definite."
            )
        gain = torch.cholesky_solve(system.emission @ predicted, factor).T
        updated = updated_covariance(system, predicted, gain)
        rows.append((predicted, innovation, factor, gain, updated))
        predicted = predicted_covariance(system, updated)
    return _Gains(*(torch.stack(column) for column in zip(*rows, strict=True)))


def updated_covariance(system: LinearGaussian, predicted: Tensor, gain: Tensor) -> Tensor:
    """Return the covariance after an observation with any gain `[n, p]`, in Joseph's form, `[n, n]`."""
    rest = torch.eye(system.states, dtype=predicted.dtype, device=predicted.device) - gain @ system.emission
    return symmetric(rest @ predicted @ rest.T + gain @ system.observation_noise @ gain.T)


def predicted_covariance(system: LinearGaussian, updated: Tensor) -> Tensor:
    """Return the covariance of the next state, `[n, n]`."""
    return symmetric(system.transition @ updated @ system.transition.T + system.process_noise)


def _log_density(error: Tensor, factor: Tensor) -> Tensor:
    """Return log N(error; 0, L Lᵀ), `[..., T + 1]` nats, of errors `[..., T + 1, p]` and factors `[T + 1, p, p]`."""
    white: Tensor = torch.linalg.solve_triangular(factor, error[..., None], upper=False)[..., 0]
    log_scale: Tensor = factor.diagonal(dim1=-2, dim2=-1).log().sum(-1)
    return -0.5 * (white**2).sum(-1) - log_scale - error.shape[-1] / 2 * math.log(2 * math.pi)


def _as_sequences(system: LinearGaussian, observations: object, actions: object) -> tuple[Tensor, Tensor]:
    """Return observations `[..., T + 1, p]` and actions `[..., T, m]` with one leading shape."""
    y, a = (
        as_finite(name, one).to(system.mean)
        for name, one in (("the observations", observations), ("the actions", actions))
    )
    if a.numel() == 0 and y.ndim >= 2 and y.shape[-2] == 1:
        a = a.new_zeros(0, system.actions)
    fits = y.ndim >= 2 and a.ndim >= 2 and y.shape[-2] == a.shape[-2] + 1
    if not fits or (y.shape[-1], a.shape[-1]) != (system.observations, system.actions):
        raise InputError(
            f"Expected observations [..., T + 1, {system.observations}] and actions [..., T, {system.actions}], but "
            f"got {tuple(y.shape)} and {tuple(a.shape)}; the first observation is before any action."
        )
    shape = require_one_batch(y.shape[:-2], a.shape[:-2], "observations and actions")
    return y.expand(*shape, *y.shape[-2:]), a.expand(*shape, *a.shape[-2:])
