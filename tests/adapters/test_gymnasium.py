"""Transitions as the wrapper sees them, in every autoreset mode, against those that the environments really made.

Cost: under a second.
"""

from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.vector import AutoresetMode, SyncVectorEnv

from gio_pyro import IntrinsicReward
from gio_pyro.adapters.gymnasium import IntrinsicVector
from tests.empowerment.test_options import Counter


class Told(IntrinsicReward):
    """Pays 100 for each transition and remembers what it was shown."""

    def __init__(self, env: Any) -> None:
        super().__init__(env, hidden=(4,), updates=1, batch_size=4)
        self.seen: list[Any] = []

    def update(self, samples: Any) -> dict[str, float]:
        self.seen.append(samples)
        return {}

    def compute(self, samples: Any) -> Any:
        return np.full(np.shape(samples["rewards"]), 100.0)


@pytest.mark.parametrize("mode", [AutoresetMode.NEXT_STEP, AutoresetMode.SAME_STEP])
@pytest.mark.parametrize("count", [1, 3])
def test_every_real_transition_is_paid_and_none_crosses_an_episode(mode: Any, count: int):
    vector = SyncVectorEnv([lambda: Counter(length=4)] * count, autoreset_mode=mode)
    reward = Told(Counter())
    env = IntrinsicVector(vector, reward, weight=2.0, update_every=count)
    env.reset(seed=0)
    for _ in range(30):
        _, total, _, _, info = env.step(env.action_space.sample())
        assert np.array_equal(total, 2.0 * info["intrinsic_reward"])
    assert reward.seen
    for samples in reward.seen:
        before, after, action = (samples[k].ravel() for k in ("observations", "next_observations", "actions"))
        assert np.array_equal(after, before + 1 + 10 * action)
        assert np.array_equal(samples["terminateds"].ravel(), after % 10 == 4)
    paid = sum(len(samples["rewards"]) for samples in reward.seen)
    assert paid == (30 * count if mode == AutoresetMode.SAME_STEP else (30 - 30 // 5) * count)


def test_a_vector_learns_with_it():
    env = gym.make_vec("CartPole-v1", num_envs=3, vectorization_mode="sync")
    wrapped = IntrinsicVector(
        env, IntrinsicReward("CartPole-v1", hidden=(8,), updates=2, batch_size=8), update_every=16
    )
    wrapped.reset(seed=0)
    for _ in range(20):
        _, total, _, _, info = wrapped.step(wrapped.action_space.sample())
        assert np.allclose(total, info["extrinsic_reward"] + info["intrinsic_reward"])
