"""Vectors of Stable-Baselines3: every transition is that of the wrapped environments."""

from collections.abc import Callable
from functools import partial
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.spaces import Box, Discrete

pytest.importorskip("stable_baselines3")

from stable_baselines3.common.vec_env import (
    DummyVecEnv,
    SubprocVecEnv,
    VecFrameStack,
    VecMonitor,
    VecNormalize,
    VecTransposeImage,
)

from gio_pyro import GIO, IntrinsicReward
from gio_pyro.collection import Collected, make_env
from tests.collection.environments import Diary, Draws, collect, collector
from tests.collection.test_vectors import check, diaries


def of(venv: Any, steps: int = 120) -> Collected:
    return collect(make_env(venv), steps)


@pytest.mark.parametrize("reuse", [True, False])
@pytest.mark.parametrize("nested", [True, False])
def test_no_transition_crosses_an_episode(nested: bool, reuse: bool):
    check(of(VecMonitor(DummyVecEnv(diaries(3, nested=nested, reuse=reuse)))), 3)


def test_no_transition_crosses_an_episode_in_other_processes():
    venv = SubprocVecEnv(diaries(2), start_method="fork")
    try:
        check(of(venv, 60), 2)
    finally:
        venv.close()


def test_frames_are_stacked_also_at_the_end_of_an_episode():
    rows = of(VecFrameStack(DummyVecEnv(diaries(2)), 2)).rows
    assert rows.state.shape[1:] == (6,)
    now, before = rows.next_state[:, 3:], rows.next_state[:, :3]
    np.testing.assert_array_equal(before[:, 2], (now[:, 2] - 1))
    np.testing.assert_array_equal(rows.state[:, 3:], before)


def test_what_is_normalised_is_learned_from_as_it_is_given():
    venv = VecNormalize(DummyVecEnv(diaries(2)), training=False, clip_obs=1e9, clip_reward=1e9)
    venv.obs_rms.mean[:], venv.obs_rms.var[:], venv.ret_rms.var = (1, 2, 3), 4, 100
    rows, raw = of(venv, 40).rows, of(DummyVecEnv(diaries(2)), 40).rows
    for given, plain in ((rows.state, raw.state), (rows.next_state, raw.next_state)):
        np.testing.assert_allclose(given, (plain.numpy() - [1, 2, 3]) / 2, atol=1e-6)
    np.testing.assert_allclose(rows.reward, raw.reward / 10, rtol=1e-6)


class Camera(gym.Env[Any, Any]):
    """Shows pictures whose first channel counts the steps."""

    observation_space, action_space = Box(0, 255, (6, 5, 3), np.uint8), Discrete(2, start=1)

    def _shown(self) -> Any:
        return np.stack([np.full((6, 5), self.at), np.arange(30).reshape(6, 5), np.zeros((6, 5))], -1).astype(np.uint8)

    def reset(self, *, seed: int | None = None, options: Any = None) -> tuple[Any, dict[str, Any]]:
        super().reset(seed=seed)
        self.at = 0
        return self._shown(), {}

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        assert action in self.action_space
        self.at += 1
        return self._shown(), 1.0, self.at == 5, False, {}


def test_pictures_stay_pictures_their_channels_first():
    rows = of(VecTransposeImage(DummyVecEnv([Camera] * 2)), 40).rows
    assert (rows.state.dtype.is_floating_point, rows.state.shape[1:]) == (False, (3, 6, 5))
    assert set(rows.next_state[:, 0, 0, 0].tolist()) == {1, 2, 3, 4, 5}
    np.testing.assert_array_equal(rows.next_state[:, 1], np.broadcast_to(np.arange(30).reshape(6, 5), (40, 6, 5)))


def test_two_agents_that_share_a_vector_do_not_mix_their_episodes():
    venv = DummyVecEnv(diaries(2))
    one, other = collector(make_env(venv)), collector(make_env(venv))
    for collecting in (one, other, one):
        collected = collecting.collect(Draws(collecting.actions), 10)
        assert collected.begins[:2].tolist() == [True, True]


def test_runs_with_neighbouring_seeds_share_no_episode_and_equal_seeds_share_all():
    class Seeded(Diary):
        def reset(self, *, seed: int | None = None, options: Any = None) -> tuple[Any, dict[str, Any]]:
            shown, info = super().reset(seed=seed)
            seeds.append(seed)
            return shown, info

    found = []
    for seed in (0, 1, 0):
        seeds: list[Any] = []
        collector(make_env(DummyVecEnv([Seeded] * 2)), seed=seed).collect(Draws(collector(Diary()).actions), 2)
        found.append(seeds[:2])
    assert found[0] == found[2]
    assert len({*found[0], *found[1]}) == 4


@pytest.mark.parametrize("make", [partial(gym.make, "CartPole-v1"), partial(gym.make, "FrozenLake-v1")])
def test_an_agent_and_a_reward_take_a_vector(make: Callable[[], Any]):
    venv = VecMonitor(DummyVecEnv([make] * 2))
    agent = GIO(venv, hidden=(8,), batch_size=16, learning_starts=20, train_freq=8).learn(48)
    assert agent.steps == 48
    action, _ = agent.predict(venv.reset())
    assert action.shape == (2,)
    assert IntrinsicReward(venv, hidden=(8,)).actions.space == agent.spec.action_space
