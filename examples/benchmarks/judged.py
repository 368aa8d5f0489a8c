"""The mean return of any agent in the episodes that `GIO.evaluate` plays."""

from contextlib import closing
from typing import Any

import gymnasium as gym

from gio_pyro.collection.evaluate import play_episodes

EPISODES = 20
MAX_STEPS = 10_000
"""Steps after which `GIO.evaluate` truncates an episode."""


def mean_return(agent: Any, environment: str, seed: int, *, deterministic: bool = True) -> float:
    """Return the mean return of the agent of another library, which predicts as those of Stable-Baselines3 do.

    Each episode has a seed of its own, derived from `seed`; Stable-Baselines3's `evaluate_policy` seeds none of them.
    """
    with closing(gym.make(environment)) as env:
        return play_episodes(
            agent.predict, env, EPISODES, deterministic=deterministic, seed=seed, max_steps=MAX_STEPS
        ).mean
