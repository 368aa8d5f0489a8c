"""Intrinsic rewards for Stable-Baselines3, whose agents stay as they are.

PPO("MlpPolicy", IntrinsicVecEnv(venv, reward))                      on-policy: each reward is used once
DQN("MlpPolicy", venv, replay_buffer_class=IntrinsicReplayBuffer,    off-policy: computed when a batch is
    replay_buffer_kwargs={"reward": reward})                         sampled, so that it is never outdated
"""

from __future__ import annotations

import pickle
from typing import Any

import numpy as np
from gymnasium.spaces import Box, Dict
from stable_baselines3.common.buffers import DictReplayBuffer, ReplayBuffer
from stable_baselines3.common.vec_env import VecEnv, VecEnvWrapper, VecNormalize

from gio_pyro.adapters.bonus import Array, Bonus
from gio_pyro.adapters.intrinsic_reward import IntrinsicReward
from gio_pyro.schedules.weights import Weight
from gio_pyro.utils.pickling import Picklable
from gio_pyro.utils.trees import copy_tree, set_row, tree_map


class IntrinsicVecEnv(Picklable, VecEnvWrapper):
    """Adds β · r_int to every reward, and fits the intrinsic reward to the transitions; for PPO, A2C and the like.

    `infos[i]["intrinsic_reward"]` and `infos[i]["extrinsic_reward"]` are the two rewards. The
    intrinsic reward is computed from the observations of `venv`: the normalised ones if `venv` is a `VecNormalize`.

    Args:
        venv: the environments, with the spaces of the reward.
        reward: the intrinsic reward.
        weight: β: a number, `"linear:FROM:TO:STEPS"`, or a function of the steps taken.
        update_every: environment steps between two updates of the reward.

    Raises:
        InputError: spaces that are not those of the reward, or a number out of range.
    """

    def __init__(
        self, venv: VecEnv, reward: IntrinsicReward, *, weight: Weight = 1.0, update_every: int = 1_024
    ) -> None:
        super().__init__(venv)
        self.bonus = Bonus(reward, weight, update_every, (venv.observation_space, venv.action_space))

    def __deepcopy__(self, memo: dict[int, Any]) -> IntrinsicVecEnv:
        """Return a copy by pickle, which handles the state of Stable-Baselines3's wrappers."""
        made: IntrinsicVecEnv = pickle.loads(pickle.dumps(self))
        return made

    def reset(self) -> Any:
        """Reset all environments."""
        self._seen = self.venv.reset()
        return self._seen

    def step_async(self, actions: Array) -> None:
        """Send the actions."""
        self._actions = np.array(actions)
        super().step_async(actions)

    def step_wait(self) -> Any:
        """Receive the results of the actions; the reward is the sum of both."""
        before = copy_tree(self._seen)
        seen, given, dones, infos = self.venv.step_wait()
        cut = np.array([bool(info.get("TimeLimit.truncated")) for info in infos])
        after = copy_tree(seen)
        for number in np.flatnonzero(dones):
            set_row(after, int(number), infos[number]["terminal_observation"])
        rows = {
            "observations": self.bonus.convert(before),
            "actions": self._actions,
            "rewards": np.asarray(given),
            "terminateds": dones & ~cut,
            "truncateds": dones & cut,
            "next_observations": self.bonus.convert(after),
        }
        paid = self.bonus.compute(range(self.num_envs), rows)
        self.bonus.observe(range(self.num_envs), rows)
        for info, inner, outer in zip(infos, paid, given, strict=True):
            info |= {"intrinsic_reward": float(inner), "extrinsic_reward": float(outer)}
        self._seen = seen
        return seen, (given + self.bonus.scaled(paid)).astype(np.float32), dones, infos


class IntrinsicReplayBuffer(Picklable, ReplayBuffer):
    """A replay buffer that stores the environment's reward and adds β · r_int to samples; for DQN, SAC, TD3.

    For Dict observations it is an `IntrinsicDictReplayBuffer`. The intrinsic reward is computed from stored
    observations, which a `VecNormalize` has not normalised.

    Args:
        *args: the arguments of `ReplayBuffer`, which Stable-Baselines3 passes.
        reward: the intrinsic reward.
        weight: β, as for `IntrinsicVecEnv`.
        update_every: environment steps between two updates of the reward.
        **kwargs: further arguments of `ReplayBuffer`.

    Raises:
        InputError: spaces that are not those of the reward, or a number out of range.
    """

    def __new__(cls, *args: Any, **kwargs: Any) -> IntrinsicReplayBuffer:
        """Return a buffer of the class that fits the observations."""
        space = kwargs.get("observation_space", args[1] if len(args) > 1 else None)
        nested = cls is IntrinsicReplayBuffer and isinstance(space, Dict)
        return super().__new__(IntrinsicDictReplayBuffer if nested else cls)

    def __init__(
        self, *args: Any, reward: IntrinsicReward, weight: Weight = 1.0, update_every: int = 1_024, **kwargs: Any
    ) -> None:
        super().__init__(*args, **kwargs)
        self.bonus = Bonus(reward, weight, update_every, (self.observation_space, self.action_space))
        self._numbers = np.full((self.buffer_size, self.n_envs), -1)

    def add(self, obs: Any, next_obs: Any, action: Array, reward: Array, done: Array, infos: list[Any]) -> None:
        """Store one step of every environment."""
        place = self.pos
        super().add(obs, next_obs, action, reward, done, infos)
        cut = np.array([bool(info.get("TimeLimit.truncated")) for info in infos])
        done = np.asarray(done, dtype=np.bool_)
        rows = self._rows(obs, action, reward, done & ~cut, done & cut, next_obs)
        self._numbers[place] = self.bonus.observe(range(self.n_envs), rows)

    def _get_samples(self, batch_inds: Array, env: VecNormalize | None = None) -> Any:
        """Return stored transitions with their current intrinsic reward added."""
        raw, which = self._raw_samples(batch_inds)
        state, after = (tree_map(_given, x) for x in (raw.observations, raw.next_observations))
        action, given, done = (_given(x) for x in (raw.actions, raw.rewards, raw.dones))
        ended = done[:, 0].astype(np.bool_)
        rows = self._rows(state, action, given[:, 0], ended, np.zeros_like(ended), after)
        paid = self.bonus.compute(which.tolist(), rows, self._numbers[batch_inds, which])
        reward = self._normalize_reward(given, env) + self.bonus.scaled(paid)[:, None]
        if env is None:
            return raw._replace(rewards=self.to_torch(reward.astype(np.float32)))
        return raw._replace(
            observations=tree_map(self.to_torch, self._normalize_obs(state, env)),
            next_observations=tree_map(self.to_torch, self._normalize_obs(after, env)),
            rewards=self.to_torch(reward.astype(np.float32)),
        )

    def _raw_samples(self, batch_inds: Array) -> tuple[Any, Array]:
        """Return stored transitions, and the environment of each."""
        if self.n_envs == 1:
            return super()._get_samples(batch_inds), np.zeros(len(batch_inds), dtype=np.int64)
        drawing = np.random.get_state()  # noqa: NPY002 - what Stable-Baselines3 draws from
        raw = super()._get_samples(batch_inds)
        return raw, self._environments(len(batch_inds), drawing)

    def _environments(self, count: int, drawing: Any) -> Array:
        """Return the environment of each row of a sample, by repeating Stable-Baselines3's draw."""
        now = np.random.get_state()  # noqa: NPY002
        np.random.set_state(drawing)  # noqa: NPY002
        which = np.random.randint(0, high=self.n_envs, size=(count,))  # noqa: NPY002
        np.random.set_state(now)  # noqa: NPY002
        return which

    def _rows(
        self, state: Any, action: Array, reward: Array, terminated: Array, truncated: Array, after: Any
    ) -> dict[str, Any]:
        taken = np.asarray(action).reshape(len(reward), *(self.action_space.shape or ()))
        if isinstance(self.action_space, Box):  # stored between -1 and 1
            low, high = self.action_space.low, self.action_space.high
            taken = low + (taken + 1) / 2 * (high - low)
        return {
            "observations": self.bonus.convert(state),
            "actions": taken,
            "rewards": np.asarray(reward),
            "terminateds": terminated,
            "truncateds": truncated,
            "next_observations": self.bonus.convert(after),
        }


class IntrinsicDictReplayBuffer(IntrinsicReplayBuffer, DictReplayBuffer):
    """An `IntrinsicReplayBuffer` for Dict observations."""


def _given(values: Any) -> Array:
    return np.asarray(values.cpu().numpy() if hasattr(values, "cpu") else values)
