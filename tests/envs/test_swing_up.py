"""The pole to swing up: its physics, its rail and its reward."""

import gymnasium as gym
import numpy as np
import pytest

from gio_pyro.envs import CartPoleSwingUp
from gio_pyro.errors import InputError


def placed(*state: float) -> CartPoleSwingUp:
    env = CartPoleSwingUp()
    env.reset(seed=0)
    env.state = np.array(state)
    return env


def test_near_upright_it_moves_as_cartpole_does():
    """With the force that CartPole knows, step by step."""
    env, known = placed(0.1, -0.2, 0.05, 0.3), gym.make("CartPole-v1").unwrapped
    known.reset(seed=0)
    known.state = env.state.copy()
    for push in (1, 0, 1, 1):
        known.step(push)
        seen, *_ = env.step(np.array([2.0 * push - 1]))
        np.testing.assert_allclose(env.state, known.state, rtol=1e-12)
        x, speed, angle, turn = known.state
        np.testing.assert_allclose(seen, [x, speed, np.cos(angle), np.sin(angle), turn], rtol=1e-6)


def test_it_hangs_at_first_and_swings_with_the_period_of_a_rod():
    """Of small angles, with the cart free to move: 2 pi sqrt(inertia / gravity)."""
    env = placed(0.0, 0.0, np.pi - 0.01, 0.0)
    sines = [env.step(np.zeros(1))[0][3] for _ in range(400)]
    turns = [i for i in range(1, 400) if (sines[i - 1] < 0) != (sines[i] < 0)]
    inertia = env.length * (4 / 3 - env.masspole / env.total_mass)
    period = 2 * np.pi * np.sqrt(inertia / env.gravity)
    assert 2 * env.tau * float(np.diff(turns).mean()) == pytest.approx(period, rel=0.03)


@pytest.mark.parametrize(("state", "reward"), [((0, 0, 0, 0), 1), ((0, 0, 0.4, 0), 0), ((1.2, 0, 0, 0), 0)])
def test_it_pays_upright_in_the_middle(state: tuple[float, ...], reward: float):
    _, paid, terminated, truncated, _ = placed(*state).step(np.zeros(1))
    assert (paid, terminated, truncated) == (reward, False, False)


def test_the_cart_stops_at_the_end_of_its_rail():
    env = placed(2.39, 5.0, np.pi, 0.0)
    assert env.step(np.ones(1))[0][:2] == pytest.approx([2.4, 0.0])


@pytest.mark.parametrize("action", [np.array([1.1]), np.array([np.nan]), np.zeros(2)])
def test_other_actions_are_refused(action: np.ndarray):
    with pytest.raises(InputError, match=r"Expected an action \[1\] within -1 and 1, but got"):
        placed(0, 0, 0, 0).step(action)


def test_it_is_an_environment_as_gymnasium_wants_it_and_uniform_actions_are_never_paid():
    from gymnasium.utils.env_checker import check_env

    env = gym.make("gio/CartPoleSwingUp-v0")
    check_env(env.unwrapped, skip_render_check=True)
    env.action_space.seed(0)
    env.reset(seed=0)
    steps = [env.step(env.action_space.sample()) for _ in range(500)]
    assert sum(step[1] for step in steps) == 0
    assert [step[3] for step in steps].index(True) == 499
