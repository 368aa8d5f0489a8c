"""Whole episodes, played to see what a policy earns."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from gio_pyro.environments import Env
from gio_pyro.errors import InputError


@dataclass(frozen=True)
class Evaluation:
    """The outcome of `GIO.evaluate`."""

    returns: tuple[float, ...]
    """Undiscounted return of each episode, reward units."""
    lengths: tuple[int, ...]
    """Steps of each episode."""

    @property
    def mean(self) -> float:
        """Mean return, reward units."""
        return float(np.mean(self.returns))

    @property
    def standard_error(self) -> float:
        """Standard error of the mean return; NaN for a single episode."""
        n = len(self.returns)
        return float(np.std(self.returns, ddof=1) / n**0.5) if n > 1 else float("nan")


def play(
    act: Callable[..., tuple[Any, None]],
    env: Env,
    episodes: int,
    *,
    deterministic: bool,
    seed: int,
    max_steps: int,
) -> Evaluation:
    """Play `episodes` episodes with the policy `act(observation, deterministic=...)` and close the environment."""
    for name, value, least in (("episodes", episodes, 1), ("max_steps", max_steps, 1), ("seed", seed, 0)):
        if not isinstance(value, int) or value < least:
            raise InputError(f"Expected {name} to be a whole number of at least {least}, but got {value}.")
    returns, lengths = [], []
    for episode in range(episodes):
        observation, _ = env.reset(seed=seed if episode == 0 else None)
        total, length, done = 0.0, 0, False
        while not done and length < max_steps:
            action, _ = act(observation, deterministic=deterministic)
            observation, reward, terminated, truncated, _ = env.step(action)
            total, length, done = total + float(reward), length + 1, terminated or truncated
        returns.append(total)
        lengths.append(length)
    env.close()
    return Evaluation(tuple(returns), tuple(lengths))
