"""Linear-quadratic-Gaussian control: by hand, and against the second moments of the controlled system."""

import math
from dataclasses import replace
from typing import Any

import pytest
import torch
from scipy.linalg import solve_discrete_are, solve_discrete_lyapunov
from torch import Tensor

from gio_pyro.errors import InputError
from gio_pyro.tabular import LinearGaussian, kalman, lqg, lqg_cost

from .test_kalman import ONE, random_covariance, random_system

GOLDEN = (1 + math.sqrt(5)) / 2


def random_costs(seed: int) -> tuple[Tensor, Tensor]:
    torch.manual_seed(seed + 50)
    return random_covariance(3), random_covariance(2)


def test_a_scalar_system_by_hand():
    """All matrices 1: S² = 1 + S, so S = P⁻ = φ, K = L = Σ = 1/φ, and the cost is φ + φ⁻³ (1 + φ) = √5."""
    found = lqg(LinearGaussian(**ONE), [[1.0]], [[1.0]])
    assert found.value.item() == pytest.approx(GOLDEN)
    assert found.predicted_covariance.item() == pytest.approx(GOLDEN)
    for one in (found.gain, found.filter_gain, found.covariance):
        assert one.item() == pytest.approx(1 / GOLDEN)
    assert found.cost == pytest.approx(math.sqrt(5))


def test_two_steps_by_hand():
    """The last action is 0, so S_1 = 1, K = ½, S_0 = 3/2, Θ = 2. The first state has E x² = 1, Σ_0 = ½:
    3/2 + ½ · ¼ · 2 + 1 for the noise."""
    assert lqg_cost(LinearGaussian(**ONE), [[1.0]], [[1.0]], 1) == pytest.approx(1.0)
    assert lqg_cost(LinearGaussian(**ONE), [[1.0]], [[1.0]], 2) == pytest.approx(1.5 + 0.25 + 1.0)


def test_one_discounted_step_with_a_final_cost_by_hand():
    """γ = ½ and S_1 = 2 make γ S_1 = 1: the numbers of the first of two steps."""
    cost = lqg_cost(LinearGaussian(**ONE), [[1.0]], [[1.0]], 1, discount=0.5, final_cost=[[2.0]])
    assert cost == pytest.approx(1.5 + 0.25 + 1.0)


def closed_loop(system: LinearGaussian, gain: Tensor, filter_gain: Tensor) -> tuple[Tensor, Tensor]:
    """The transition and noise of (x, m) under a = −K m with a filter gain L, `[2n, 2n]` both."""
    A, B, C, L = system.transition, system.control, system.emission, filter_gain
    push = -B @ gain
    rest = (torch.eye(len(A), dtype=A.dtype) - L @ C) @ (A + push) + L @ C @ push
    moves = torch.cat([torch.cat([A, push], 1), torch.cat([L @ C @ A, rest], 1)])
    spread = torch.cat([torch.eye(len(A), dtype=A.dtype), L @ C])
    noise = spread @ system.process_noise @ spread.T
    noise[len(A) :, len(A) :] += L @ system.observation_noise @ L.T
    return moves, noise


def step_cost(moment: Tensor, gain: Tensor, q: Tensor, r: Tensor) -> float:
    n = len(q)
    return ((q * moment[:n, :n]).sum() + (gain.T @ r @ gain * moment[n:, n:]).sum()).item()


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_the_average_cost_is_that_of_the_closed_loop(seed: int):
    system, (q, r) = random_system(seed), random_costs(seed)
    found = lqg(system, q, r)
    moves, noise = closed_loop(system, found.gain, found.filter_gain)
    assert torch.linalg.eigvals(moves).abs().max() < 1
    moment = torch.as_tensor(solve_discrete_lyapunov(moves.numpy(), noise.numpy()))
    assert found.cost == pytest.approx(step_cost(moment, found.gain, q, r), rel=1e-9)
    worse = lqg(system, q, 2 * r).gain
    moves, noise = closed_loop(system, worse, found.filter_gain)
    moment = torch.as_tensor(solve_discrete_lyapunov(moves.numpy(), noise.numpy()))
    assert step_cost(moment, worse, q, r) > found.cost


@pytest.mark.parametrize("discount", [1.0, 0.9])
def test_long_horizons_approach_the_stationary_cost(discount: float):
    system, (q, r) = random_system(0), random_costs(0)
    found, long = lqg(system, q, r, discount=discount), lqg_cost(system, q, r, 400, discount=discount)
    if discount == 1:
        assert long - lqg_cost(system, q, r, 399) == pytest.approx(found.cost, rel=1e-9)
    else:
        assert long == pytest.approx(found.cost, rel=1e-9)


def test_the_discounted_cost_sums_the_moments():
    """From the prior: the first mean is m + L (y_0 − C m), and later gains are those of the Kalman filter."""
    system, (q, r) = random_system(1), random_costs(1)
    found, total = lqg(system, q, r, discount=0.8), 0.0
    gains = filter_gains(system, 200)
    both = torch.cat([torch.eye(3, dtype=torch.float64), gains[0] @ system.emission])
    moment = both @ system.covariance @ both.T
    moment[3:, 3:] += gains[0] @ system.observation_noise @ gains[0].T
    moment += torch.outer(system.mean.repeat(2), system.mean.repeat(2))
    for t in range(199):
        total += 0.8**t * step_cost(moment, found.gain, q, r)
        moves, noise = closed_loop(system, found.gain, gains[t + 1])
        moment = moves @ moment @ moves.T + noise
    assert found.cost == pytest.approx(total, rel=1e-9)


def filter_gains(system: LinearGaussian, steps: int) -> list[Tensor]:
    found = kalman(system, torch.zeros(steps, 2), torch.zeros(steps - 1, 2))
    return [
        p @ system.emission.T @ torch.linalg.inv(s)
        for p, s in zip(found.predicted_covariance, found.innovation_covariance, strict=True)
    ]


def test_the_filter_gain_is_that_of_the_kalman_filter_in_the_long_run():
    system = random_system(2)
    torch.testing.assert_close(lqg(system, *random_costs(2)).filter_gain, filter_gains(system, 200)[-1])


def test_without_noise_it_is_the_regulator():
    """The state is seen and certain: the cost is m' S m, and the gain is the same as with noise."""
    system, (q, r) = random_system(3), random_costs(3)
    nothing = torch.zeros(3, 3, dtype=torch.float64)
    certain = LinearGaussian(system.transition, system.control, torch.eye(3), nothing, nothing, system.mean, nothing)
    found = lqg(certain, q, r, discount=0.95)
    root = math.sqrt(0.95)
    value = torch.as_tensor(solve_discrete_are(root * system.transition.numpy(), root * system.control.numpy(), q, r))
    torch.testing.assert_close(found.value, value)
    assert found.cost == pytest.approx((system.mean @ value @ system.mean).item(), rel=1e-9)
    torch.testing.assert_close(found.gain, lqg(system, q, r, discount=0.95).gain)
    assert lqg(certain, q, r).cost == pytest.approx(0.0, abs=1e-12)


def test_an_unstable_state_out_of_reach_is_refused():
    system = replace(LinearGaussian(**ONE), transition=[[2.0]], control=[[0.0]])
    with pytest.raises(InputError, match="linear feedback stabilises"):
        lqg(system, [[1.0]], [[1.0]])
    assert lqg_cost(system, [[1.0]], [[1.0]], 3) == pytest.approx(1 + (4 + 1) + (16 + 4 + 1))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"state_cost": [[-1.0]]}, "state_cost to be positive semi-definite"),
        ({"action_cost": [[0.0]]}, "action_cost to be positive definite"),
        ({"state_cost": [1.0]}, r"state_cost of shape \(1, 1\)"),
        ({"discount": 1.5}, "discount"),
        ({"system": 3}, "to be a LinearGaussian"),
    ],
)
def test_arguments_that_do_not_fit(arguments: dict[str, Any], message: str):
    fine = {"system": LinearGaussian(**ONE), "state_cost": [[1.0]], "action_cost": [[1.0]]}
    with pytest.raises(InputError, match=message):
        lqg(**{**fine, **arguments})
    with pytest.raises(InputError, match=message):
        lqg_cost(**{**fine, **arguments}, horizon=2)
