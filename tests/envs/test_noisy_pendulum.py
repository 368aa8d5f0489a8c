"""The pendulum of cells: its physics, its noise, its reward and its table."""

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env

from gio_pyro import tabular
from gio_pyro.envs import NoisyPendulum
from gio_pyro.envs.noisy_pendulum import CELL, SECONDS, SUBSTEPS, TORQUES
from gio_pyro.errors import InputError


@pytest.fixture(scope="module")
def pendulum() -> NoisyPendulum:
    return NoisyPendulum()


def test_its_mean_moves_as_pendulum_does_and_its_noise_is_a_third_of_a_cell_squared(pendulum: NoisyPendulum):
    """With Gymnasium's pendulum, which takes as many smaller steps."""
    known = gym.make("Pendulum-v1", disable_env_checker=True).unwrapped
    known.dt = SECONDS / SUBSTEPS
    angle, speed = pendulum.places.T
    slow = np.flatnonzero((np.abs(speed) <= 2) & (np.abs(angle - np.pi) <= 2))
    for state in slow[::7]:
        for action, torque in enumerate(TORQUES):
            known.reset(seed=0)
            known.state = pendulum.places[state].copy()
            for _ in range(SUBSTEPS):
                known.step(np.array([torque]))
            p = pendulum.probabilities[state, action]
            means = p @ angle, p @ speed
            np.testing.assert_allclose(means, known.state, atol=1e-9)
            np.testing.assert_allclose(p @ (speed - means[1]) ** 2, CELL[1] ** 2 / 3)
            np.testing.assert_allclose(p @ (angle - means[0]) ** 2, CELL[0] ** 2 / 3)


def test_steps_follow_the_table_which_the_exact_tier_reads(pendulum: NoisyPendulum):
    mdp = tabular.TabularMDP.from_env(pendulum, discount=0.9)
    np.testing.assert_allclose(mdp.transition.numpy(), pendulum.probabilities, atol=1e-12)
    pendulum.reset(seed=0)
    counts = np.zeros(pendulum.observation_space.n)
    for _ in range(4_000):
        pendulum.state = 200
        state, reward, terminated, _, _ = pendulum.step(2)
        assert (reward, terminated) == (float(np.cos(pendulum.places[state, 0]) >= 0.95), False)
        counts[state] += 1
    expected = 4_000 * pendulum.probabilities[200, 2]
    assert ((counts - expected) ** 2)[expected > 0].sum() <= 4_000 * 16
    assert counts[expected == 0].sum() == 0


@pytest.mark.parametrize("observations", ["state", "coordinates"])
def test_it_is_an_environment_as_gymnasium_wants_it(observations: str):
    env = gym.make("gio/NoisyPendulum-v0", observations=observations)
    check_env(env.unwrapped, skip_render_check=True)


def test_other_actions_and_observations_are_refused(pendulum: NoisyPendulum):
    with pytest.raises(InputError, match="Expected an action 0, 1 or 2"):
        pendulum.step(3)
    with pytest.raises(InputError, match="Expected observations to be one of 'state', 'coordinates'"):
        NoisyPendulum(observations="pixels")
