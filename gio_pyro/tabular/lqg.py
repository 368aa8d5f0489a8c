"""Optimal control of linear-Gaussian systems with quadratic costs (LQG), exactly.

    minimise E Σ_t γ^t ( x_tᵀ Q x_t + a_tᵀ R a_t ),    a_t chosen after y_0..t

By certainty equivalence a_t = −K m_t, with m_t the mean of the Kalman filter and K of the control without noise:

    Θ = R + γ Bᵀ S' B,    K = Θ⁻¹ γ Bᵀ S' A,    S = Q + γ Aᵀ S' A − Kᵀ Θ K

A step costs what S predicts for the known state, plus tr(Σ_t Kᵀ Θ K) for its uncertainty, and γ tr(S' W) for the noise.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from gio_pyro.errors import InputError
from gio_pyro.tabular.kalman import predicted_covariance, updated_covariance
from gio_pyro.tabular.linear import LinearGaussian, as_covariance, as_finite, as_system, require_shape, symmetric
from gio_pyro.utils.checks import MAX_STEPS, real, whole

MAX_ROUNDS = 100_000
"""Steps after which a covariance that does not settle is given up."""
SETTLED = 1e-14
"""Change of a covariance, relative to its largest entry, that counts as none."""


@dataclass(frozen=True)
class LQG:
    """The optimal stationary controller; n state, m action and p observation dimensions."""

    gain: Tensor
    """K, `[m, n]`: the action is −K m_t, m_t the mean of the belief."""
    value: Tensor
    """S, `[n, n]`: a known state x costs xᵀ S x without noise, discounted."""
    filter_gain: Tensor
    """L, `[n, p]`: m_t = m⁻_t + L (y_t − C m⁻_t), of the stationary filter."""
    predicted_covariance: Tensor
    """`[n, n]`: of the state before an observation, stationary."""
    covariance: Tensor
    """`[n, n]`: of the state after it, stationary."""
    cost: float
    """At discount 1 the average cost of a step, in the long run; below 1 the expected discounted cost of an unlimited
    number of steps from the prior of the first state. Cost units."""


def lqg(system: LinearGaussian, state_cost: object, action_cost: object, *, discount: float = 1.0) -> LQG:
    """Return the optimal stationary controller of an unlimited number of steps.

    Args:
        system: the linear-Gaussian system.
        state_cost: Q, `[n, n]`, symmetric and positive semi-definite.
        action_cost: R, `[m, m]`, symmetric and positive definite.
        discount: γ in (0, 1].

    Raises:
        InputError: matrices that do not fit the system, or one that no linear feedback stabilises, or whose filter
            does not settle.
    """
    costs = _as_costs(system, state_cost, action_cost)
    gamma = real("discount", discount, 1e-6, 1.0, wanted="a discount in (0, 1]")
    root = gamma**0.5
    value = _riccati(root * system.transition, root * system.control, *costs)
    if value is None:
        raise InputError(
            "Expected a system that linear feedback stabilises, but its Riccati equation has no solution; lower the "
            "discount, or cost the states that the actions reach."
        )
    gain, curvature, _ = _control(system, value, *costs, gamma)
    predicted = _stationary(system)
    filter_gain = _filter_gain(system, predicted)
    covariance = updated_covariance(system, predicted, filter_gain)
    uncertainty = gain.T @ curvature @ gain
    if gamma == 1:
        cost = float((value * system.process_noise).sum() + (covariance * uncertainty).sum())
    else:
        cost = _discounted(system, value, uncertainty, covariance, gamma)
    return LQG(gain, value, filter_gain, predicted, covariance, cost)


def lqg_cost(
    system: LinearGaussian,
    state_cost: object,
    action_cost: object,
    horizon: int,
    *,
    discount: float = 1.0,
    final_cost: object = None,
) -> float:
    """Return the expected cost of `horizon` optimal actions from the prior of the first state, cost units.

    Args:
        system: the linear-Gaussian system.
        state_cost: Q, `[n, n]`, symmetric and positive semi-definite; of the states at times 0 to horizon − 1.
        action_cost: R, `[m, m]`, symmetric and positive definite.
        horizon: number of actions, at least 1.
        discount: γ in [0, 1].
        final_cost: `[n, n]`, of the state at time `horizon`, times γ^horizon; 0 by default.

    Raises:
        InputError: matrices that do not fit the system, or arguments out of range.
    """
    costs = _as_costs(system, state_cost, action_cost)
    gamma, steps = real("discount", discount, 0.0, 1.0), whole("horizon", horizon, 1, MAX_STEPS)
    value = torch.zeros_like(costs[0]) if final_cost is None else _as_cost("final_cost", final_cost, system.states)
    backward = []
    for _ in range(steps):
        gain, curvature, before = _control(system, value, *costs, gamma)
        backward.append((gain.T @ curvature @ gain, value))
        value = before
    predicted, cost = system.covariance, _of_prior(system, value)
    for t, (uncertainty, after) in enumerate(reversed(backward)):
        updated = updated_covariance(system, predicted, _filter_gain(system, predicted))
        noise = gamma * (after * system.process_noise).sum()
        cost += gamma**t * float((updated * uncertainty).sum() + noise)
        predicted = predicted_covariance(system, updated)
    return cost


def _control(system: LinearGaussian, value: Tensor, q: Tensor, r: Tensor, discount: float) -> tuple[Tensor, ...]:
    """Return K `[m, n]`, Θ `[m, m]` and S `[n, n]` one step before S' = `value`."""
    curvature = symmetric(r + discount * system.control.T @ value @ system.control)
    gain = torch.linalg.solve(curvature, discount * system.control.T @ value @ system.transition)
    ahead = discount * system.transition.T @ value @ system.transition
    return gain, curvature, symmetric(q + ahead - gain.T @ curvature @ gain)


def _filter_gain(system: LinearGaussian, predicted: Tensor) -> Tensor:
    """Return the Kalman gain `[n, p]`, also where an observation has no noise."""
    innovation = symmetric(system.emission @ predicted @ system.emission.T + system.observation_noise)
    gain: Tensor = predicted @ system.emission.T @ torch.linalg.pinv(innovation, hermitian=True)
    return gain


def _stationary(system: LinearGaussian) -> Tensor:
    """Return the covariance before an observation in the long run, `[n, n]`."""
    solved = _riccati(system.transition.T, system.emission.T, system.process_noise, system.observation_noise)
    if solved is not None:
        return solved
    predicted = system.covariance
    for _ in range(MAX_ROUNDS):
        updated = updated_covariance(system, predicted, _filter_gain(system, predicted))
        last, predicted = predicted, predicted_covariance(system, updated)
        if bool((predicted - last).abs().amax() <= SETTLED * predicted.abs().amax()):
            return predicted
    raise InputError(
        "Expected a filter that settles, but its covariance still changes; make observation_noise positive definite, "
        "or observe the unstable directions of the state."
    )


def _riccati(a: Tensor, b: Tensor, q: Tensor, r: Tensor) -> Tensor | None:
    """Return the stabilising solution of the discrete algebraic Riccati equation, `[n, n]`; None if there is none."""
    from scipy.linalg import LinAlgError, solve_discrete_are

    try:
        found = torch.as_tensor(solve_discrete_are(*(one.cpu().numpy() for one in (a, b, q, r)))).to(a)
    except (LinAlgError, ValueError):
        return None
    return symmetric(found)


def _discounted(
    system: LinearGaussian, value: Tensor, uncertainty: Tensor, stationary: Tensor, discount: float
) -> float:
    """Return the discounted cost from the prior: the steps until the filter settles, and the rest as a series."""
    noise = discount * float((value * system.process_noise).sum())
    cost, predicted, weight = _of_prior(system, value), system.covariance, 1.0
    for _ in range(MAX_ROUNDS):
        updated = updated_covariance(system, predicted, _filter_gain(system, predicted))
        predicted = predicted_covariance(system, updated)
        if bool((updated - stationary).abs().amax() <= SETTLED * stationary.abs().amax()) or weight < SETTLED:
            break
        cost += weight * (float((updated * uncertainty).sum()) + noise)
        weight *= discount
    return cost + weight / (1 - discount) * (float((stationary * uncertainty).sum()) + noise)


def _of_prior(system: LinearGaussian, value: Tensor) -> float:
    """Return E xᵀ S x of the first state."""
    return float(system.mean @ value @ system.mean + (value * system.covariance).sum())


def _as_costs(system: LinearGaussian, state_cost: object, action_cost: object) -> tuple[Tensor, Tensor]:
    n, m = as_system(system).states, system.actions
    q, r = _as_cost("state_cost", state_cost, n), _as_cost("action_cost", action_cost, m)
    if float(torch.linalg.eigvalsh(r).amin()) <= 0:
        raise InputError("Expected action_cost to be positive definite, but some direction of actions is free.")
    return q, r


def _as_cost(name: str, cost: object, size: int) -> Tensor:
    found = as_finite(name, cost)
    require_shape(name, found, (size, size))
    return as_covariance(name, found)
