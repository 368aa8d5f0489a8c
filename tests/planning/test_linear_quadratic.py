"""The closed-form planner of linear-Gaussian worlds against LQG, quadrature, and what it refuses."""

from dataclasses import replace
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
import torch
from gymnasium.spaces import Box, Discrete
from torch import Tensor

import gio_pyro as gio
from gio_pyro import tabular
from gio_pyro.beliefs.imagination import WorldImagination
from gio_pyro.errors import InputError
from gio_pyro.guides import KalmanFilter
from gio_pyro.models import GaussianStateSpace
from gio_pyro.planning import LinearQuadratic, Problem
from gio_pyro.planning.families import Gaussians
from gio_pyro.planning.linear_quadratic import concave, soft_riccati
from gio_pyro.types import Spec, WorldSpec
from tests.beliefs.worlds import world_of

LINE = "gio/LinearGaussian-v0"


def with_costs(env: Any) -> GaussianStateSpace:
    """The true world model; its reward −(xᵀ Q x + aᵀ R a) is of the state before, x = A⁻¹ (z' − B a) but for noise."""
    own = env.unwrapped
    model = GaussianStateSpace.of(own.system, float(env.action_space.high[0]))
    model.rewards = True
    before = torch.linalg.inv(model.transition) @ torch.cat([torch.eye(2), -model.control], 1)
    curvature = -before.T @ torch.tensor(own.state_cost).float() @ before
    curvature[2, 2] -= float(own.action_cost[0, 0]) * float(env.action_space.high[0]) ** 2
    doubled = 2 * curvature - torch.diag(curvature.diagonal())  # each pair has one weight
    row, column = torch.triu_indices(3, 3)
    model.quadratic.weight.data[0, 3:] = doubled[row, column]
    model.quadratic.bias.data.zero_()
    return model


def problem_of(model: GaussianStateSpace, alpha: float, discount: float) -> Problem:
    """What a planner is built from; it asks for nothing but the world model, α and γ."""
    actions = Box(-1.0, 1.0, (1,))
    spec = WorldSpec(Box(-np.inf, np.inf, (1,), np.float32), actions)
    world = world_of(model, KalmanFilter, spec)
    imagination = WorldImagination(world, lambda rows: rows, 1, torch.zeros(1, 1), captured=False)
    none: Any = None
    space = Box(-np.inf, np.inf, (6,), np.float32)
    spec = Spec(space, actions, space)
    return Problem(spec, Gaussians(1), imagination, none, none, none, lambda: alpha, discount)


def test_its_plan_is_the_optimal_control_of_the_mean():
    env = gym.make(LINE)
    own, model = env.unwrapped, with_costs(env)
    planner = LinearQuadratic(problem_of(model, 1e-4, 0.99), horizon=2_000)
    wanted = tabular.lqg(own.system, own.state_cost, own.action_cost, discount=0.99)
    belief = torch.cat([torch.randn(64, 2), torch.rand(64, 4)], 1)
    found = planner.plan(belief)
    assert found.shape == (64, 1, 2)
    action = 10 * found[:, 0, :1].tanh()
    best = -belief[:, :2].double() @ wanted.gain.T
    torch.testing.assert_close(action.double(), best.clamp(-9.95, 9.95), atol=5e-3, rtol=1e-3)
    far = planner.plan(torch.cat([torch.full((1, 2), 1e6), torch.zeros(1, 4)], 1))
    assert bool(far.isfinite().all())


def density(cost: Tensor, alpha: float) -> Tensor:
    """exp(−cost/α) on a grid, normalised."""
    return (-(cost - cost.min()) / alpha).softmax(-1)


@pytest.mark.parametrize("alpha", [0.5, 3.0])
def test_two_soft_steps_agree_with_quadrature(alpha: float):
    """z' = 0.9 z + 0.7 a without noise, whose only effect is a constant; V by sums over a grid of actions."""
    curvature = torch.tensor([[-1.0, 0.2], [0.2, -0.4]], dtype=torch.float64)
    slope, a, b, discount, z = torch.tensor([0.3, -0.1], dtype=torch.float64), 0.9, 0.7, 0.8, 1.3
    grid = torch.linspace(-12, 12, 4001, dtype=torch.float64)
    prior = 1.5 * alpha * grid.square()  # α times minus the log density of N(0, 1/3), but for a constant

    def reward(next_state: Tensor) -> Tensor:
        both = torch.stack(torch.broadcast_tensors(next_state, grid), -1)
        return (both @ curvature * both).sum(-1) + both @ slope

    first = a * z + b * grid
    second = reward(a * first[:, None] + b * grid) - prior
    value = alpha * (second / alpha).logsumexp(-1)
    q = density(prior - reward(first) - discount * value, alpha)
    mean = float((q * grid).sum())
    scale = float((q * (grid - mean).square()).sum().sqrt())
    dynamics = torch.tensor([[a, b]], dtype=torch.float64)
    gain, offset, found = soft_riccati(dynamics, curvature, slope, alpha, 2, discount=discount)
    assert float(offset - gain[:, 0] * z) == pytest.approx(mean, abs=1e-6)
    assert float(found) == pytest.approx(scale, abs=1e-6)


def test_reward_that_curves_upwards_counts_as_flat():
    found = concave(torch.tensor([[1.0, 0.0], [0.0, -2.0]]))
    torch.testing.assert_close(found, torch.tensor([[0.0, 0.0], [0.0, -2.0]]))


def test_what_it_cannot_solve_is_refused():
    env = gym.make(LINE)
    problem = problem_of(with_costs(env), 0.1, 0.99)
    with pytest.raises(InputError, match="horizon of a planner"):
        LinearQuadratic(problem, horizon=0)
    with pytest.raises(InputError, match=r"Expected a linear-Gaussian world model .* but got .*Discrete"):
        LinearQuadratic(replace(problem, spec=replace(problem.spec, action_space=Discrete(2))))
    with pytest.raises(InputError, match=r"Expected a linear-Gaussian world model .* but got none"):
        gio.GIO("Pendulum-v1", planner="LinearQuadratic()")
    with pytest.raises(InputError, match="Expected a GaussianStateSpace with rewards"):
        GaussianStateSpace.of(env.unwrapped.system).quadratic_reward()


def test_an_agent_acts_by_it_and_units_settle():
    how = {"guide": "HabitGuide", "hidden": (8,), "pieces": 2, "burn_in": 4, "piece_length": 8, "batch_size": 16}
    given = {"world_model": "GaussianStateSpace", "planner": "LinearQuadratic(horizon=20)", "learning_starts": 20}
    agent = gio.GIO(LINE, seed=0, train_freq=10, gradient_steps=1, **how, **given).learn(60)
    planner = agent.planning.planner
    assert isinstance(planner, LinearQuadratic)
    last = agent.replay.latest(1)
    with torch.no_grad():
        before = planner.plan(last.state)
        planner.model.quadratic.weight += 1.0
        assert torch.equal(planner.plan(last.state), before)
        agent.planning.refresh()
        assert not torch.equal(planner.plan(last.state), before)
    rows = agent.replay.seen.latest(60)
    for _ in range(20):
        planner.model.observe(rows)
    units = planner.model.seen.deviation.clone()
    planner.model.observe(replace(rows, next_state=1e3 + rows.next_state))
    assert torch.equal(planner.model.seen.deviation, units)
