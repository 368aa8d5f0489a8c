"""The exact planner of linear-Gaussian world models with quadratic rewards: soft backward induction in closed form.

With z' = A z + B a + w and the reward a concave quadratic of (z', a), every value is a quadratic of z, too,

    Q_t(z, a) = E[r(z', a) + γ V_{t+1}(z')],    V_t(z) = α log ∫ p_a(a) exp(Q_t(z, a)/α) da

so that q_t(a|z) ∝ p_a(a) exp(Q_t/α) is a normal distribution whose mean is linear in z: a Riccati recursion. What is
not known of z adds a constant that no action changes, so the mean of a belief takes its place (certainty equivalence).
The information of an observation about z is the same after every action, and changes no plan.
"""

from typing import Any

import torch
from gymnasium.spaces import Box
from torch import Tensor

from gio_pyro.errors import InputError
from gio_pyro.planning.base import Problem, SolvedPlanner
from gio_pyro.planning.checks import check_horizon
from gio_pyro.planning.families import LOG_SCALE, MEAN
from gio_pyro.planning.rollouts import finite_scores
from gio_pyro.tabular.linear import symmetric

PRIOR_PRECISION = 3.0
"""Of p_a, a normal distribution as wide as the uniform one on (−1, 1)."""


class LinearQuadratic(SolvedPlanner):
    """The soft optimum of a linear-Gaussian world model with a quadratic reward (LQG), exact up to the box of actions.

    The prior p_a is normal with the variance of uniform actions; actions that the plan would take outside the box are
    cut at its edge. Where the fitted reward curves upwards, that curvature counts as 0. The reward is the one that the
    world model was fitted to, without signals, and no critic's value follows after the horizon.

    Args:
        problem: what it is built from.
        horizon: H, steps.

    Raises:
        InputError: a world model that is not linear-Gaussian with a quadratic reward, or a number out of range.
    """

    def __init__(self, problem: Problem, horizon: int = 100) -> None:
        super().__init__(problem)
        self.horizon = check_horizon(horizon)
        self.model = _model_of(problem)

    @torch.no_grad()
    def plan(self, state: Tensor, start: Tensor | None = None) -> Tensor:
        """Return q(a|b) of the next action from each belief `[N, D]`, its parameters `[N, 1, P]`."""
        gain, offset, scale = self.solved
        action = offset - state[:, : self.model.size].to(gain) @ gain.T
        finite_scores(action)
        mean = action.clamp(-0.999999, 0.999999).atanh().clamp(-MEAN, MEAN)
        log_scale = (scale / (1 - mean.tanh().square())).log().clamp(*LOG_SCALE)
        return torch.cat([mean, log_scale], -1).to(state.dtype)[:, None]

    def solve(self) -> tuple[Tensor, Tensor, Tensor]:
        """Return K `[m, n]`, k `[m]` and the scales `[m]` of the first action, N(k − K m, diag(scale²))."""
        model, alpha = self.model, float(self.problem.temperature())
        curvature, slope = (one.double() for one in model.quadratic_reward())
        dynamics = torch.cat([model.transition, model.control], 1).double()
        finite_scores(torch.cat([curvature.flatten(), slope, dynamics.flatten()]))
        return soft_riccati(dynamics, concave(curvature), slope, alpha, self.horizon, discount=self.problem.discount)


def soft_riccati(
    dynamics: Tensor, curvature: Tensor, slope: Tensor, alpha: float, horizon: int, *, discount: float
) -> tuple[Tensor, Tensor, Tensor]:
    """Return K `[m, n]`, k `[m]` and the scales `[m]` of the first of H actions, q(a|z) = N(k − K z, ·).

    Args:
        dynamics: [A B], `[n, n + m]`.
        curvature: G, `[n + m, n + m]`, negative semi-definite: the reward is uᵀ G u + gᵀ u of u = (z', a).
        slope: g, `[n + m]`.
        alpha: α > 0, reward units per nat.
        horizon: H.
        discount: γ.
    """
    n = len(dynamics)
    forward = torch.cat([dynamics, torch.eye(dynamics.shape[1]).to(dynamics)[n:]])  # from (z, a) to (z', a)
    value, ahead = torch.zeros_like(curvature), torch.zeros_like(slope)
    prior = alpha / 2 * PRIOR_PRECISION * torch.eye(dynamics.shape[1] - n).to(dynamics)
    for _ in range(horizon):
        pair = forward.T @ (curvature + discount * value) @ forward
        linear = forward.T @ (slope + discount * ahead)
        cost = prior - pair[n:, n:]
        gain, offset = torch.linalg.solve(cost, -pair[n:, :n]), torch.linalg.solve(cost, linear[n:]) / 2
        value, ahead = torch.zeros_like(value), torch.zeros_like(ahead)
        value[:n, :n] = symmetric(pair[:n, :n] + gain.T @ cost @ gain)
        ahead[:n] = linear[:n] - 2 * gain.T @ cost @ offset
    return gain, offset, (alpha / 2 / cost.diagonal()).sqrt()


def concave(curvature: Tensor) -> Tensor:
    """Return a symmetric matrix with its positive eigenvalues set to 0."""
    values, vectors = torch.linalg.eigh(symmetric(curvature))
    found: Tensor = (vectors * values.clamp_max(0.0)) @ vectors.T
    return found


def _model_of(problem: Problem) -> Any:
    """Return the program of the world model; raises `InputError` where it is not what this planner solves."""
    program, actions = problem.world_model, problem.spec.action_space
    if not (hasattr(program, "quadratic_reward") and isinstance(actions, Box)):
        got = "none" if program is None else type(program).__name__
        raise InputError(
            f"Expected a linear-Gaussian world model with a quadratic reward for LinearQuadratic, but got {got} and "
            f"{actions}; take world_model='GaussianStateSpace' and a Box of actions, or the planner PathIntegral."
        )
    return program
