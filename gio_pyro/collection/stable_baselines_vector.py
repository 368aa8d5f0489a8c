"""A `VecEnv` of Stable-Baselines3 as a Gymnasium vector, without importing that package."""

import sys
from typing import Any

import numpy as np
from gymnasium.vector import AutoresetMode, VectorEnv
from gymnasium.vector.utils import batch_space

from gio_pyro.collection.infos import MASK

VEC_ENV_MODULE = "stable_baselines3.common.vec_env.base_vec_env"
"""Module of `VecEnv`, imported already if present is an instance."""


def is_vec_env(thing: object) -> bool:
    """Whether an object is a `VecEnv` of Stable-Baselines3."""
    kind = getattr(sys.modules.get(VEC_ENV_MODULE), "VecEnv", None)
    return kind is not None and isinstance(thing, kind)


class StableBaselinesVector(VectorEnv[Any, Any, Any]):
    """Presents a `VecEnv`, with its wrappers, as a Gymnasium vector with autoreset mode SAME_STEP.

    Args:
        venv: such as `DummyVecEnv`, `SubprocVecEnv`, `VecFrameStack` or `VecNormalize`.

    Attributes:
        venv: as given.
    """

    def __init__(self, venv: Any) -> None:
        self.venv, self.num_envs = venv, int(venv.num_envs)
        self.single_observation_space, self.single_action_space = venv.observation_space, venv.action_space
        self.observation_space = batch_space(venv.observation_space, self.num_envs)
        self.action_space = batch_space(venv.action_space, self.num_envs)
        self.metadata = {**getattr(venv, "metadata", {}), "autoreset_mode": AutoresetMode.SAME_STEP}
        self.render_mode = getattr(venv, "render_mode", None)

    def __repr__(self) -> str:
        return f"<{type(self.venv).__name__} of {self.num_envs} environments>"

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        """Reset all environments; environment i gets seed + i, as `VecEnv.seed` does."""
        if seed is not None:
            self.venv.seed(seed)
        if options:
            self.venv.set_options(options)
        observations = self.venv.reset()
        return observations, _batch_masks([info.get(MASK) for info in self.venv.unwrapped.reset_infos])

    def step(self, actions: Any) -> tuple[Any, Any, Any, Any, dict[str, Any]]:
        """Take a step; `info["final_obs"]` has the final observations of episodes that ended."""
        observations, reward, done, infos = self.venv.step(actions)
        done = np.asarray(done, dtype=np.bool_)
        cut = np.array([bool(info.get("TimeLimit.truncated", False)) for info in infos])
        last = np.empty(self.num_envs, dtype=object)
        for number in np.flatnonzero(done).tolist():
            last[number] = infos[number].get("terminal_observation")
        resets = self.venv.unwrapped.reset_infos
        now = _batch_masks([(resets[i] if done[i] else info).get(MASK) for i, info in enumerate(infos)])
        final = _batch_masks([info.get(MASK) for info in infos])
        report = {"final_obs": last, "_final_obs": done, "infos": infos, "final_info": final}
        return observations, reward, done & ~cut, done & cut, report | now

    def render(self) -> Any:
        """Return the images of all environments."""
        return tuple(self.venv.get_images())

    def close_extras(self, **kwargs: Any) -> None:
        """Close the vector."""
        self.venv.close()


def _batch_masks(given: list[Any]) -> dict[str, Any]:
    """Return the action masks of N environments in Gymnasium's batched form; empty if there are none."""
    present = np.array([mask is not None for mask in given], dtype=np.bool_)
    if not present.any():
        return {}
    batch = np.empty(len(given), dtype=object)
    for number, mask in enumerate(given):
        batch[number] = mask
    return {MASK: batch, f"_{MASK}": present}
