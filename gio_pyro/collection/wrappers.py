"""An environment taken apart: each wrapper, the environment inside, and those of a vector."""

from typing import Any

import gymnasium as gym
from gymnasium.vector import VectorEnv, VectorWrapper
from gymnasium.wrappers import HumanRendering, NormalizeReward, RecordVideo, RenderCollection
from gymnasium.wrappers import vector as of_vectors

from gio_pyro.collection.stable_baselines_vector import StableBaselinesVector, is_vec_env

DISPLAY_WRAPPERS = (RecordVideo, HumanRendering, RenderCollection, of_vectors.RecordVideo, of_vectors.HumanRendering)
REWARD_NORMALISERS = (NormalizeReward, of_vectors.NormalizeReward)
"""Wrappers that divide the reward by a running statistic."""


def wrapped_env(layer: Any) -> Any:
    """Return what a wrapper is around, None for an environment; a `VecEnv` may be wrapped in others of its kind."""
    if isinstance(layer, gym.Wrapper | VectorWrapper):
        return layer.env
    return getattr(layer, "venv", None) if isinstance(layer, StableBaselinesVector) or is_vec_env(layer) else None


def wrapper_chain(env: Any) -> list[Any]:
    """Return the wrappers of an environment or of a vector, the outermost first, and what they are around."""
    found = [env]
    while (within := wrapped_env(found[-1])) is not None:
        found.append(within)
    return found


def sub_envs(env: Any) -> list[Any]:
    """Return the environments of a vector that keeps them where they can be reached, such as a `SyncVectorEnv`."""
    base = wrapper_chain(env)[-1]
    envs = getattr(base, "envs", None) if isinstance(base, VectorEnv) or is_vec_env(base) else None
    return [one for one in envs if isinstance(one, gym.Env)] if isinstance(envs, list | tuple) else []


def first_env(env: Any) -> Any:
    """Return one environment: itself, or of a vector whose environments are within reach the first."""
    return (sub_envs(env) or [env])[0]


def all_layers(env: Any) -> list[Any]:
    """Return the chain of an environment, and after it those of the environments of a vector, in order."""
    return wrapper_chain(env) + [layer for one in sub_envs(env) for layer in wrapper_chain(one)]


def is_display_wrapper(layer: Any) -> bool:
    """Whether a wrapper only shows or films what happens: what is played for a figure does without it."""
    return isinstance(layer, DISPLAY_WRAPPERS) or type(layer).__name__ == "VecVideoRecorder"


def is_vector(env: Any) -> bool:
    """Whether something steps several environments."""
    return isinstance(env, VectorEnv) or is_vec_env(env)
