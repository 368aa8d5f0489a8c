"""Real agents of Stable-Baselines3, unchanged, with an intrinsic reward.

Cost: 5 s.
"""

from typing import Any

import gymnasium
import numpy as np
import pytest
import torch
from stable_baselines3 import DQN, PPO, SAC
from stable_baselines3.common.env_util import make_vec_env
from stable_baselines3.common.vec_env import VecNormalize

import gio_pyro.envs  # noqa: F401 - registers the rooms
from gio_pyro import IntrinsicReward
from gio_pyro.adapters.stable_baselines import IntrinsicReplayBuffer, IntrinsicVecEnv
from tests.adapters.test_gymnasium import Told
from tests.empowerment.test_options import Counter

SMALL: dict[str, Any] = {"hidden": (8,), "updates": 2, "batch_size": 16}


@pytest.mark.parametrize("count", [1, 3])
@pytest.mark.parametrize("cut", [False, True])
def test_transitions_end_where_the_episode_did(count: int, cut: bool):
    reward = Told(Counter())
    venv = make_vec_env(lambda: Counter(length=4, cut=cut), n_envs=count)
    env = IntrinsicVecEnv(venv, reward, weight=0.5, update_every=count)
    env.reset()
    for _ in range(20):
        _, total, _, infos = env.step(np.random.default_rng(0).integers(0, 2, count))
        assert total.tolist() == [0.5 * info["intrinsic_reward"] for info in infos] == [50.0] * count
    for samples in reward.seen:
        before, after, action = (samples[k].ravel() for k in ("observations", "next_observations", "actions"))
        assert np.array_equal(after, before + 1 + 10 * action)
        ended = "truncateds" if cut else "terminateds"
        assert np.array_equal(samples[ended].ravel(), after % 10 == 4)


def test_ppo_trains_with_it():
    venv = IntrinsicVecEnv(make_vec_env("CartPole-v1", n_envs=2, seed=0), IntrinsicReward("CartPole-v1", **SMALL))
    agent = PPO("MlpPolicy", venv, n_steps=32, batch_size=32, seed=0, device="cpu").learn(128)
    assert venv.bonus.steps == 128
    assert agent.num_timesteps == 128


@pytest.mark.parametrize(("kind", "name"), [(DQN, "CartPole-v1"), (SAC, "Pendulum-v1")])
@pytest.mark.parametrize("normalised", [False, True])
def test_what_replays_is_paid_when_it_samples(kind: Any, name: str, normalised: bool):
    reward = IntrinsicReward(name, **SMALL)
    venv = make_vec_env(name, seed=0)
    agent = kind(
        "MlpPolicy",
        VecNormalize(venv) if normalised else venv,
        learning_starts=32,
        buffer_size=200,
        batch_size=16,
        replay_buffer_class=IntrinsicReplayBuffer,
        replay_buffer_kwargs={"reward": reward, "weight": 0.5, "update_every": 32},
        seed=0,
        device="cpu",
    ).learn(96)
    buffer = agent.replay_buffer
    assert buffer.bonus.steps == 96

    def sampled() -> torch.Tensor:
        np.random.seed(0)  # noqa: NPY002 - what Stable-Baselines3 draws from
        return buffer.sample(16).rewards

    before = sampled()
    assert torch.equal(before, sampled())
    stored = buffer.rewards.copy()
    reward.update(self_made(buffer))
    assert not torch.equal(before, sampled())
    assert np.array_equal(stored, buffer.rewards)


def self_made(buffer: IntrinsicReplayBuffer) -> dict[str, Any]:
    """What the buffer holds, as samples."""
    n = buffer.size()
    rows = buffer._rows(
        buffer.observations[:n, 0],
        buffer.actions[:n, 0],
        buffer.rewards[:n, 0],
        buffer.dones[:n, 0] > 0,
        np.zeros(n, dtype=bool),
        buffer.next_observations[:n, 0],
    )
    return {key: values[:, None] for key, values in rows.items()}


def test_stored_actions_are_those_that_were_taken():
    """Stable-Baselines3 stores continuous actions between -1 and 1; the pendulum's are between -2 and 2."""
    reward = Told("Pendulum-v1")
    agent = SAC(
        "MlpPolicy",
        make_vec_env("Pendulum-v1", seed=0),
        learning_starts=100,
        replay_buffer_class=IntrinsicReplayBuffer,
        replay_buffer_kwargs={"reward": reward, "update_every": 1},
        seed=0,
        device="cpu",
    ).learn(30)
    taken = np.concatenate([samples["actions"].ravel() for samples in reward.seen])
    assert np.allclose(taken, 2 * agent.replay_buffer.actions[:30].ravel())
    assert np.abs(taken).max() > 1


def test_pictures_are_read_as_the_environment_gives_them():
    """Stable-Baselines3 stores them with the channels first."""
    world = gymnasium.make("gio/Rooms-v0", observations="pixels")
    reward = Told(world)
    agent = DQN(
        "CnnPolicy",
        make_vec_env(lambda: gymnasium.make("gio/Rooms-v0", observations="pixels"), seed=0),
        learning_starts=10,
        buffer_size=50,
        batch_size=4,
        replay_buffer_class=IntrinsicReplayBuffer,
        replay_buffer_kwargs={"reward": reward, "update_every": 5},
        seed=0,
        device="cpu",
    ).learn(20)
    pictures = {world.unwrapped.picture(state).tobytes() for state in range(81)}
    shown = np.concatenate([samples["observations"][:, 0] for samples in reward.seen])
    assert shown.shape == (20, 36, 36, 3)
    assert {np.ascontiguousarray(one).tobytes() for one in shown} <= pictures
    assert agent.replay_buffer.sample(4).observations.shape == (4, 3, 36, 36)
