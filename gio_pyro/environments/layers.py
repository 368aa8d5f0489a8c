"""An environment taken apart: each wrapper, the environment inside, and those of a vector."""

from typing import Any

import gymnasium as gym
from gymnasium.vector import VectorEnv, VectorWrapper
from gymnasium.wrappers import HumanRendering, NormalizeReward, RecordVideo, RenderCollection
from gymnasium.wrappers import vector as of_vectors

SHOWING = (RecordVideo, HumanRendering, RenderCollection, of_vectors.RecordVideo, of_vectors.HumanRendering)
"""Wrappers that only show or film what happens; what is played for a figure does without them."""
REWARD_NORMALISERS = (NormalizeReward, of_vectors.NormalizeReward)
"""Wrappers that divide the reward by a running statistic."""


def chain(env: Any) -> list[Any]:
    """Return the wrappers of an environment or of a vector, the outermost first, and what they wrap."""
    found = [env]
    while isinstance(found[-1], gym.Wrapper | VectorWrapper):
        found.append(found[-1].env)
    return found


def inside(vector: Any) -> list[Any]:
    """Return the environments of a vector that keeps them where they can be reached, such as a `SyncVectorEnv`."""
    envs = getattr(vector.unwrapped, "envs", None) if isinstance(vector, VectorEnv) else None
    return [env for env in envs if isinstance(env, gym.Env)] if isinstance(envs, list | tuple) else []


def layers(env: Any) -> list[Any]:
    """Return the chain of an environment, and after it those of the environments of a vector, in order."""
    return chain(env) + [layer for one in inside(env) for layer in chain(one)]
