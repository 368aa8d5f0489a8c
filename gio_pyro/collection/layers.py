"""An environment taken apart: each wrapper, the environment inside, and those of a vector."""

from typing import Any

import gymnasium as gym
from gymnasium.vector import VectorEnv, VectorWrapper
from gymnasium.wrappers import HumanRendering, NormalizeReward, RecordVideo, RenderCollection
from gymnasium.wrappers import vector as of_vectors

from gio_pyro.collection.stable import StableVector, is_stable

SHOWING = (RecordVideo, HumanRendering, RenderCollection, of_vectors.RecordVideo, of_vectors.HumanRendering)
REWARD_NORMALISERS = (NormalizeReward, of_vectors.NormalizeReward)
"""Wrappers that divide the reward by a running statistic."""


def wrapped(layer: Any) -> Any:
    """Return what a wrapper is around, None for an environment; a `VecEnv` may be wrapped in others of its kind."""
    if isinstance(layer, gym.Wrapper | VectorWrapper):
        return layer.env
    return getattr(layer, "venv", None) if isinstance(layer, StableVector) or is_stable(layer) else None


def chain(env: Any) -> list[Any]:
    """Return the wrappers of an environment or of a vector, the outermost first, and what they are around."""
    found = [env]
    while (within := wrapped(found[-1])) is not None:
        found.append(within)
    return found


def inside(env: Any) -> list[Any]:
    """Return the environments of a vector that keeps them where they can be reached, such as a `SyncVectorEnv`."""
    base = chain(env)[-1]
    envs = getattr(base, "envs", None) if isinstance(base, VectorEnv) or is_stable(base) else None
    return [one for one in envs if isinstance(one, gym.Env)] if isinstance(envs, list | tuple) else []


def one_of(env: Any) -> Any:
    """Return one environment: itself, or of a vector whose environments are within reach the first."""
    return (inside(env) or [env])[0]


def layers(env: Any) -> list[Any]:
    """Return the chain of an environment, and after it those of the environments of a vector, in order."""
    return chain(env) + [layer for one in inside(env) for layer in chain(one)]


def shows(layer: Any) -> bool:
    """Whether a wrapper only shows or films what happens: what is played for a figure does without it."""
    return isinstance(layer, SHOWING) or type(layer).__name__ == "VecVideoRecorder"


def is_vector(env: Any) -> bool:
    """Whether something steps several environments."""
    return isinstance(env, VectorEnv) or is_stable(env)
