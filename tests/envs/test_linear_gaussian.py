"""The linear-Gaussian world: its moments, and the cost of its optimal controller."""

import gymnasium as gym
import numpy as np
import pytest
import torch

from gio_pyro.envs import LinearGaussianWorld
from gio_pyro.errors import InputError
from gio_pyro.tabular import LinearGaussian, kalman, lqg, lqg_cost


def test_steps_follow_the_system():
    """4 standard errors of 4,000 one-step errors of the state and of the observation."""
    env = LinearGaussianWorld()
    env.action_space.seed(0)
    _, info = env.reset(seed=0)
    moved, seen = [], []
    for _ in range(4_000):
        a, state = env.action_space.sample(), info["state"]
        y, reward, *_, info = env.step(a)
        expected = env.system.transition.numpy() @ state + env.system.control.numpy() @ a.astype(float)
        assert reward == pytest.approx(-(state @ env.state_cost @ state + a @ env.action_cost @ a), rel=1e-6)
        moved.append(info["state"] - expected)
        seen.append(y - info["state"][:1])
    for errors, covariance in ((moved, env.system.process_noise), (seen, env.system.observation_noise)):
        spread = covariance.numpy()
        assert (np.abs(np.mean(errors, 0)) < 4 * np.sqrt(np.diag(spread) / 4_000)).all()
        assert np.diag(np.cov(np.transpose(errors)).reshape(spread.shape)) == pytest.approx(np.diag(spread), rel=0.1)


def test_the_optimal_controller_costs_what_is_computed():
    """50 episodes of 40 steps against the exact cost, with actions of the belief: 4 standard errors."""
    env = LinearGaussianWorld()
    best = lqg(env.system, env.state_cost, env.action_cost)
    returns = []
    for seed in range(50):
        y, _ = env.reset(seed=seed)
        observations, actions, total = [y], [], 0.0
        mean, spread = env.system.mean, env.system.covariance
        for _ in range(40):
            one = kalman(
                LinearGaussian(**{**vars(env.system), "mean": mean, "covariance": spread}), y[None].astype(float), []
            )
            a = -best.gain @ one.mean[0]
            y, reward, *_ = env.step(a.numpy())
            total += reward
            mean = env.system.transition @ one.mean[0] + env.system.control @ a
            spread = env.system.transition @ one.covariance[0] @ env.system.transition.T + env.system.process_noise
            observations, actions = [*observations, y], [*actions, a]
        found = kalman(env.system, np.array(observations, dtype=float), torch.stack(actions))
        torch.testing.assert_close(found.predicted_mean[-1], mean)
        returns.append(total)
    error = np.std(returns) / 50**0.5
    assert -np.mean(returns) == pytest.approx(lqg_cost(env.system, env.state_cost, env.action_cost, 40), abs=4 * error)


def test_the_prior_is_that_of_the_system():
    env = LinearGaussianWorld()
    states = np.array([env.reset(seed=seed)[1]["state"] for seed in range(1_000)])
    assert (np.abs(states.mean(0)) < 4 * np.sqrt([1.0 / 1_000, 0.1 / 1_000])).all()
    assert states.var(0) == pytest.approx([1.0, 0.1], rel=0.2)


def test_a_system_of_ones_own():
    eye, nothing = np.eye(2), np.zeros((2, 2))
    system = LinearGaussian(eye, eye, eye, nothing, nothing, [1.0, 2.0], nothing)
    env = gym.make("gio/LinearGaussian-v0", system=system, bound=1.0)
    y, _ = env.reset(seed=0)
    assert y.tolist() == [1.0, 2.0]
    y, reward, *_ = env.step(np.array([1.0, -3.0], dtype=np.float32))
    assert y.tolist() == [2.0, 1.0]
    assert reward == pytest.approx(-(5.0 + 0.2))


def test_the_time_limit_is_gymnasiums():
    assert gym.spec("gio/LinearGaussian-v0").max_episode_steps == 200


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"system": 3}, "to be a LinearGaussian"),
        ({"bound": 0.0}, "bound to be above 0"),
        ({"state_cost": [1.0]}, r"state_cost to be symmetric and of shape \(2, 2\)"),
        ({"action_cost": "x"}, "action_cost as a matrix"),
    ],
)
def test_arguments_out_of_range(given: dict[str, object], message: str):
    with pytest.raises(InputError, match=message):
        LinearGaussianWorld(**given)


def test_an_action_of_another_shape():
    with pytest.raises(InputError, match=r"finite action of shape \(1,\)"):
        LinearGaussianWorld().step([1.0, 2.0])
