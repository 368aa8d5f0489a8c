"""Whole episodes, played to see what a policy earns."""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from numbers import Integral
from typing import Any

import numpy as np

from gio_pyro.environments import Env
from gio_pyro.environments.contract import first_of, step_of, trouble
from gio_pyro.errors import InputError, TrainingError


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
    """Play `episodes` episodes with the policy `act(observation, deterministic=...)` and close the environment.

    Raises:
        InputError: a number out of range.
        TrainingError: the environment raised, or gave a reward or an observation that cannot be used.
    """
    for name, value, least in (("episodes", episodes, 1), ("max_steps", max_steps, 1), ("seed", seed, 0)):
        if not isinstance(value, Integral) or isinstance(value, bool) or value < least:
            raise InputError(
                f"Expected {name} to be a whole number of at least {least}, but got {value!r}; leave it out for the "
                "default."
            )
    episodes, seed = int(episodes), int(seed)
    returns, lengths = [], []
    for episode in range(episodes):
        total, length = 0.0, 0
        for _, reward in steps_of(act, env, seed if episode == 0 else None, deterministic=deterministic):
            total, length = total + reward, length + 1
            if length == max_steps:
                break
        returns.append(total)
        lengths.append(length)
    env.close()
    return Evaluation(tuple(returns), tuple(lengths))


def steps_of(
    act: Callable[..., tuple[Any, None]], env: Env, seed: int | None, *, deterministic: bool
) -> Iterator[tuple[Any, float]]:
    """Play one episode: give each observation after the first, and the reward that came with it.

    Raises:
        TrainingError: the environment raised, or gave a reward or an observation that cannot be used.
    """
    try:
        observation, _ = first_of(env.reset(seed=seed))
    except Exception as error:
        raise trouble("reset", error) from error
    done = False
    while not done:
        try:
            action, _ = act(observation, deterministic=deterministic)
        except InputError as error:
            raise TrainingError(str(error)) from error
        try:
            observation, reward, terminated, truncated, _ = step_of(env.step(action))
            done = terminated or truncated
        except Exception as error:
            raise trouble("take a step", error) from error
        if not math.isfinite(reward):
            raise TrainingError(f"Expected a finite reward, but the environment gave {reward}; correct it.")
        yield observation, reward
