"""A vector environment whose reward is r + β · r_int, for on-policy learners."""

from __future__ import annotations

from typing import Any

import numpy as np
from gymnasium.vector import AutoresetMode, VectorEnv, VectorWrapper

from gio_pyro.adapters.bonus import Array, Bonus
from gio_pyro.adapters.intrinsic_reward import IntrinsicReward
from gio_pyro.collection.infos import last_observation
from gio_pyro.schedules.weights import Weight
from gio_pyro.utils.pickling import Picklable
from gio_pyro.utils.trees import copy_tree, set_row, tree_map


class IntrinsicVector(Picklable, VectorWrapper):
    """Adds β · r_int to the reward of every transition, and fits the intrinsic reward to the transitions.

    `info["intrinsic_reward"]` `[N]` is r_int alone, `info["extrinsic_reward"]` the environment's reward. Steps that
    only reset an environment (autoreset NEXT_STEP) are no transitions and have r_int = 0. An off-policy learner should
    compute rewards when it samples from replay instead, since stored ones become outdated: see
    `gio_pyro.adapters.stable_baselines.IntrinsicReplayBuffer`.

    Args:
        env: the vector environment, in any autoreset mode, with the spaces of the reward.
        reward: the intrinsic reward.
        weight: β: a number, `"linear:FROM:TO:STEPS"`, or a function of the steps taken.
        update_every: environment steps between two updates of the reward.

    Raises:
        InputError: spaces that are not those of the reward, or a number out of range.
    """

    def __init__(
        self, env: VectorEnv[Any, Any, Any], reward: IntrinsicReward, *, weight: Weight = 1.0, update_every: int = 1_024
    ) -> None:
        super().__init__(env)
        self.bonus = Bonus(reward, weight, update_every, (env.single_observation_space, env.single_action_space))
        self._mode = AutoresetMode(env.metadata.get("autoreset_mode", AutoresetMode.NEXT_STEP))

    def reset(self, **how: Any) -> tuple[Any, dict[str, Any]]:
        """Reset all environments."""
        self._seen, info = self.env.reset(**how)
        self._begins = np.zeros(self.num_envs, dtype=np.bool_)
        return self._seen, info

    def step(self, actions: Any) -> tuple[Any, Array, Array, Array, dict[str, Any]]:
        """Step all environments; the reward is the sum of both."""
        before = copy_tree(self._seen)
        seen, given, terminated, truncated, info = self.env.step(actions)
        done = np.asarray(terminated) | np.asarray(truncated)
        real = np.flatnonzero(~self._begins)
        rows = {
            "observations": self.bonus.convert(before),
            "actions": np.asarray(actions),
            "rewards": np.asarray(given, dtype=np.float64),
            "terminateds": np.asarray(terminated),
            "truncateds": np.asarray(truncated),
            "next_observations": self.bonus.convert(self._after(seen, done, info)),
        }
        paid = np.zeros(self.num_envs)
        if len(real):
            rows = {key: tree_map(lambda leaf: leaf[real], values) for key, values in rows.items()}
            paid[real] = self.bonus.compute(real.tolist(), rows)
            self.bonus.observe(real.tolist(), rows)
        self._seen = seen
        self._begins = done & ~self._begins if self._mode == AutoresetMode.NEXT_STEP else np.zeros_like(done)
        info = info | {"intrinsic_reward": paid, "extrinsic_reward": np.asarray(given)}
        return seen, given + self.bonus.scaled(paid), terminated, truncated, info

    def _after(self, seen: Any, done: Array, info: dict[str, Any]) -> Any:
        """Return the next observations, also where the environment has already been reset."""
        after = copy_tree(seen)
        if self._mode == AutoresetMode.SAME_STEP:
            for number in np.flatnonzero(done):
                set_row(after, int(number), last_observation(info, int(number)))
        return after
