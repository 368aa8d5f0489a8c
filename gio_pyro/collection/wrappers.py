"""List the wrappers of an environment or vector, and the environments inside."""

from typing import Any

import gymnasium as gym
from gymnasium.vector import VectorEnv, VectorWrapper
from gymnasium.wrappers import HumanRendering, NormalizeReward, RecordVideo, RenderCollection
from gymnasium.wrappers import vector as of_vectors

from gio_pyro.collection.stable_baselines_vector import StableBaselinesVector, is_vec_env

DISPLAY_WRAPPERS = (RecordVideo, HumanRendering, RenderCollection, of_vectors.RecordVideo, of_vectors.HumanRendering)
REWARD_NORMALISERS = (NormalizeReward, of_vectors.NormalizeReward)
"""Wrappers that normalise the reward by a running statistic."""


def wrapped_env(layer: Any) -> Any:
    """Return the wrapped environment or vector (also of a `VecEnvWrapper`); None if this is not a wrapper."""
    if isinstance(layer, gym.Wrapper | VectorWrapper):
        return layer.env
    return getattr(layer, "venv", None) if isinstance(layer, StableBaselinesVector) or is_vec_env(layer) else None


def wrapper_chain(env: Any) -> list[Any]:
    """Return the wrappers of an environment or vector, outermost first, followed by the innermost object."""
    found = [env]
    while (within := wrapped_env(found[-1])) is not None:
        found.append(within)
    return found


def sub_envs(env: Any) -> list[Any]:
    """Return the environments of a vector with an accessible list of them, such as `SyncVectorEnv`; else none."""
    base = wrapper_chain(env)[-1]
    envs = getattr(base, "envs", None) if isinstance(base, VectorEnv) or is_vec_env(base) else None
    return [one for one in envs if isinstance(one, gym.Env)] if isinstance(envs, list | tuple) else []


def first_env(env: Any) -> Any:
    """Return the first environment of a vector if accessible; otherwise the argument itself."""
    return (sub_envs(env) or [env])[0]


def all_layers(env: Any) -> list[Any]:
    """Return the wrapper chain of an environment or vector, followed by those of a vector's environments."""
    return wrapper_chain(env) + [layer for one in sub_envs(env) for layer in wrapper_chain(one)]


def is_display_wrapper(layer: Any) -> bool:
    """Whether a wrapper only displays or records; copies for evaluation are made without it."""
    return isinstance(layer, DISPLAY_WRAPPERS) or type(layer).__name__ == "VecVideoRecorder"


def is_vector(env: Any) -> bool:
    """Whether an object is a vector of environments, of Gymnasium or Stable-Baselines3."""
    return isinstance(env, VectorEnv) or is_vec_env(env)
