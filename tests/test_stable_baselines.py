"""`predict` as Stable-Baselines3 has it, asked by the real library."""

from collections.abc import Callable
from typing import Any

import gymnasium as gym
import numpy as np
import pytest

from gio_pyro import GIO
from gio_pyro.collection.parallel_episodes import episode_seeds
from tests.slow import slow_but

pytest.importorskip("stable_baselines3")

from stable_baselines3.common.evaluation import evaluate_policy
from stable_baselines3.common.monitor import Monitor
from stable_baselines3.common.vec_env import DummyVecEnv

ENVIRONMENTS = {"Pendulum-v1": 200, "CartPole-v1": 500, "FrozenLake-v1": 100, "Acrobot-v1": 500}
pytestmark = pytest.mark.filterwarnings("ignore:Evaluation environment is not wrapped:UserWarning")


@pytest.fixture(scope="module", params=slow_but(ENVIRONMENTS, *set(ENVIRONMENTS) - {"Acrobot-v1"}))
def agent(request: pytest.FixtureRequest) -> GIO:
    return GIO(request.param, hidden=(8,), learning_starts=20, batch_size=16, seed=3).learn(60)


def id_of(agent: GIO) -> str:
    assert agent.env.spec is not None
    return str(agent.env.spec.id)


WRAPPED: dict[str, Callable[[str], Any]] = {
    "plain": gym.make,
    "Monitor": lambda name: Monitor(gym.make(name)),
    "DummyVecEnv": lambda name: DummyVecEnv([lambda: gym.make(name)] * 2),
    "DummyVecEnv of Monitors": lambda name: DummyVecEnv([lambda: Monitor(gym.make(name))] * 2),
}


@pytest.mark.parametrize("how", WRAPPED)
def test_evaluate_policy_plays_whole_episodes(agent: GIO, how: str):
    env = WRAPPED[how](id_of(agent))
    returns, lengths = evaluate_policy(agent, env, n_eval_episodes=3, return_episode_rewards=True)
    assert len(returns) == 3
    assert all(0 < length <= ENVIRONMENTS[id_of(agent)] for length in lengths)
    env.close()


class Seeded(gym.Wrapper[Any, Any, Any, Any]):
    """Begins each episode with a seed of its own; `evaluate_policy` resets without any."""

    def __init__(self, env: Any, seeds: list[int]) -> None:
        super().__init__(env)
        self.seeds = iter(seeds)

    def reset(self, *, seed: int | None = None, options: Any = None) -> Any:
        return self.env.reset(seed=next(self.seeds, None))


def test_evaluate_policy_finds_what_evaluate_finds(agent: GIO):
    env = Seeded(gym.make(id_of(agent)), episode_seeds(11, 2))
    found = evaluate_policy(agent, env, n_eval_episodes=2, return_episode_rewards=True, deterministic=True)
    played = agent.evaluate(2, deterministic=True, seed=11)
    np.testing.assert_allclose(found[0], played.returns, rtol=1e-4)
    assert tuple(found[1]) == played.lengths


@pytest.mark.parametrize("deterministic", [False, True])
def test_one_observation_and_a_batch_have_the_shapes_of_stable_baselines(agent: GIO, deterministic: bool):
    env = gym.make(id_of(agent))
    observation, _ = env.reset(seed=0)
    one, state = agent.predict(observation, deterministic=deterministic)
    assert state is None
    assert env.action_space.contains(one) or env.action_space.contains(int(one))
    many, _ = agent.predict(np.stack([observation] * 5), None, np.ones(5, dtype=bool), deterministic=deterministic)
    assert many.shape == (5, *env.action_space.shape)
    if deterministic:
        np.testing.assert_array_equal(many, np.stack([one] * 5))


def test_the_same_names_mean_the_same(agent: GIO):
    import inspect

    from stable_baselines3 import SAC

    ours, theirs = (list(inspect.signature(kind.predict).parameters) for kind in (GIO, SAC))
    assert ours == [*theirs, "action_masks"]  # as sb3-contrib names what is allowed now
