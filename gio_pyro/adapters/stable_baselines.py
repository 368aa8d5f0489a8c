"""Stable-Baselines3 with an intrinsic reward: its agents are used as they are.

PPO("MlpPolicy", IntrinsicVecEnv(venv, reward))                          what collects uses a reward once
DQN("MlpPolicy", venv, replay_buffer_class=IntrinsicReplayBuffer,        what replays computes it when it samples,
replay_buffer_kwargs={"reward": reward})                             so that it is never stale
"""

from __future__ import annotations

import pickle
from typing import Any

import numpy as np
from gymnasium.spaces import Box
from stable_baselines3.common.buffers import ReplayBuffer
from stable_baselines3.common.preprocessing import is_image_space
from stable_baselines3.common.type_aliases import ReplayBufferSamples
from stable_baselines3.common.vec_env import VecEnv, VecEnvWrapper, VecNormalize

from gio_pyro.adapters.bonus import Array, Bonus
from gio_pyro.intrinsic_reward import IntrinsicReward
from gio_pyro.pickling import Picklable
from gio_pyro.schedules import Weight


class IntrinsicVecEnv(Picklable, VecEnvWrapper):
    """Adds β · r_int to every reward, and fits the reward to what is seen; for PPO, A2C and the like.

    `infos[i]["intrinsic_reward"]` and `infos[i]["extrinsic_reward"]` have both by themselves.

    Args:
        venv: the environments.
        reward: what pays.
        weight: β: a number, `"linear:FROM:TO:STEPS"`, or a function of the steps taken.
        update_every: environment steps between two updates of the reward.
    """

    def __init__(
        self, venv: VecEnv, reward: IntrinsicReward, *, weight: Weight = 1.0, update_every: int = 1_024
    ) -> None:
        super().__init__(venv)
        self.bonus = Bonus(reward, weight, update_every)

    def __deepcopy__(self, memo: dict[int, Any]) -> IntrinsicVecEnv:
        """Return a copy by pickle, which knows what Stable-Baselines3's wrappers keep."""
        made: IntrinsicVecEnv = pickle.loads(pickle.dumps(self))
        return made

    def reset(self) -> Any:
        """Begin episodes everywhere."""
        self._seen = self.venv.reset()
        return self._seen

    def step_async(self, actions: Array) -> None:
        """Send the actions."""
        self._actions = np.array(actions)
        super().step_async(actions)

    def step_wait(self) -> Any:
        """Receive what they led to; returns the sum of both rewards."""
        before = np.array(self._seen)
        seen, given, dones, infos = self.venv.step_wait()
        cut = np.array([bool(info.get("TimeLimit.truncated")) for info in infos])
        after = np.array(seen)
        for number in np.flatnonzero(dones):
            after[number] = infos[number]["terminal_observation"]
        rows = {
            "observations": before,
            "actions": self._actions,
            "rewards": np.asarray(given),
            "terminateds": dones & ~cut,
            "truncateds": dones & cut,
            "next_observations": after,
        }
        paid = self.bonus.paid(**rows)
        self.bonus.see(**rows)
        for info, inner, outer in zip(infos, paid, given, strict=True):
            info |= {"intrinsic_reward": float(inner), "extrinsic_reward": float(outer)}
        self._seen = seen
        return seen, (given + self.bonus.weighed(paid)).astype(np.float32), dones, infos


class IntrinsicReplayBuffer(Picklable, ReplayBuffer):
    """A replay that stores the environment's reward and adds β · r_int when it is sampled; for DQN, SAC, TD3.

    Args:
        *args: those of `ReplayBuffer`, which Stable-Baselines3 gives.
        reward: what pays.
        weight: β, as for `IntrinsicVecEnv`.
        update_every: environment steps between two updates of the reward.
        **kwargs: those of `ReplayBuffer`.
    """

    def __init__(
        self, *args: Any, reward: IntrinsicReward, weight: Weight = 1.0, update_every: int = 1_024, **kwargs: Any
    ) -> None:
        super().__init__(*args, **kwargs)
        self.bonus = Bonus(reward, weight, update_every)
        given, made = self.observation_space.shape, reward.observations.raw.shape
        self.channels_moved = given != made and is_image_space(self.observation_space)

    def add(
        self, obs: Array, next_obs: Array, action: Array, reward: Array, done: Array, infos: list[dict[str, Any]]
    ) -> None:
        """Store one step of every environment."""
        super().add(obs, next_obs, action, reward, done, infos)
        cut = np.array([bool(info.get("TimeLimit.truncated")) for info in infos])
        done = np.asarray(done, dtype=np.bool_)
        self.bonus.see(**self._rows(obs, action, reward, done & ~cut, done & cut, next_obs))

    def _get_samples(self, batch_inds: Array, env: VecNormalize | None = None) -> ReplayBufferSamples:
        """Return transitions as stored, with the reward as it would be paid now."""
        raw = super()._get_samples(batch_inds)
        state, after, action, given, done = (
            x.cpu().numpy() for x in (raw.observations, raw.next_observations, raw.actions, raw.rewards, raw.dones)
        )
        ended = done[:, 0].astype(np.bool_)
        paid = self.bonus.paid(**self._rows(state, action, given[:, 0], ended, np.zeros_like(ended), after))
        reward = self._normalize_reward(given, env) + self.bonus.weighed(paid)[:, None]
        return raw._replace(
            observations=self.to_torch(np.asarray(self._normalize_obs(state, env))),
            next_observations=self.to_torch(np.asarray(self._normalize_obs(after, env))),
            rewards=self.to_torch(reward.astype(np.float32)),
        )

    def _rows(
        self, state: Array, action: Array, reward: Array, terminated: Array, truncated: Array, after: Array
    ) -> dict[str, Array]:
        states, actions = self.observation_space.shape or (), self.action_space.shape or ()
        taken = np.asarray(action).reshape(len(reward), *actions)
        if isinstance(self.action_space, Box):  # stored between -1 and 1
            low, high = self.action_space.low, self.action_space.high
            taken = low + (taken + 1) / 2 * (high - low)
        seen, led_to = (np.asarray(x).reshape(len(reward), *states) for x in (state, after))
        if self.channels_moved:  # Stable-Baselines3 shows its networks the channels of a picture first
            seen, led_to = np.moveaxis(seen, 1, -1), np.moveaxis(led_to, 1, -1)
        return {
            "observations": seen,
            "actions": taken,
            "rewards": np.asarray(reward),
            "terminateds": terminated,
            "truncateds": truncated,
            "next_observations": led_to,
        }
