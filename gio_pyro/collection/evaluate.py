"""Whole episodes, played to see what a policy earns."""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from numbers import Integral
from typing import Any

import numpy as np

from gio_pyro.collection import Env
from gio_pyro.collection.base import Array, World
from gio_pyro.collection.contract import first_of, step_of, trouble
from gio_pyro.collection.make import Vector
from gio_pyro.collection.masks import Keeping, mask_of
from gio_pyro.collection.statistics import own_rewards
from gio_pyro.collection.vector_adapters import world_of
from gio_pyro.errors import InputError, TrainingError, shown

MOST = 2**40
"""Of episodes, steps and seeds."""


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
    """Play `episodes` episodes with the policy `act(observation, deterministic=...)`.

    Rewards are counted below a wrapper that divides them by running statistics (`NormalizeReward`).

    Raises:
        InputError: a number out of range.
        TrainingError: the environment raised, or gave a reward or an observation that cannot be used.
    """
    episodes, seed = require_numbers(episodes=episodes, max_steps=max_steps, seed=seed)
    returns, lengths = [], []
    with own_rewards(env) as below:
        for episode in range(episodes):
            total, length = 0.0, 0
            for _, reward in steps_of(act, env, seed if episode == 0 else None, deterministic=deterministic):
                total, length = total + float(below(reward)), length + 1
                if length == max_steps:
                    break
            returns.append(total)
            lengths.append(length)
    return Evaluation(tuple(returns), tuple(lengths))


def require_numbers(*, episodes: int, max_steps: int, seed: int) -> tuple[int, int]:
    """Return episodes and seed as Python's numbers; raises `InputError` for one out of range."""
    for name, value, least in (("episodes", episodes, 1), ("max_steps", max_steps, 1), ("seed", seed, 0)):
        if not isinstance(value, Integral) or isinstance(value, bool) or not least <= value <= MOST:
            raise InputError(
                f"Expected {name} to be a whole number of at least {least}, but got {shown(value)}; leave it out for "
                "the default."
            )
    return int(episodes), int(seed)


def play_together(
    choose: Callable[..., Array], env: Vector, episodes: int, *, seed: int, max_steps: int, keeping: Keeping
) -> Evaluation:
    """Play `episodes` episodes in a vector with N environments, which are reset together.

    Episode i is the (i // N)-th of environment i % N, however long others are: short ones count no more than long
    ones. Where one is over before the others, what its environment does meanwhile does not count.

    Args:
        choose: from states `[N, ...]` and flags `[N, A]` of what is allowed, or None, to values of the site "action".
        env: the vector.
        episodes: how many.
        seed: of the first episodes, from which each environment gets its own.
        max_steps: longer episodes are cut.
        keeping: what becomes of action masks besides.

    Raises:
        InputError: a number out of range.
        TrainingError: the environment raised, or gave a reward or an observation that cannot be used.
    """
    episodes, seed = require_numbers(episodes=episodes, max_steps=max_steps, seed=seed)
    world, played = world_of(env, keeping), list[tuple[float, int]]()
    with own_rewards(env) as below:
        while len(played) < episodes:
            first = world.reset(None if played else seed)
            played += _episodes(choose, world, first, below, min(episodes - len(played), world.count), max_steps)
    returns, lengths = zip(*played, strict=True)
    return Evaluation(returns, lengths)


def _episodes(
    choose: Callable[..., Array],
    world: World,
    states: Array,
    below: Callable[[Any], Any],
    count: int,
    max_steps: int,
) -> list[tuple[float, int]]:
    """Play one episode in each of the first `count` environments; returns the return and the length of each."""
    running = np.arange(world.count) < count
    total, length = np.zeros(world.count), np.zeros(world.count, dtype=np.int64)
    while running.any():
        renewed = world.renew()
        allowed = world.masks.now if world.masks.told.any() else None
        outcome = world.step(choose(states if renewed is None else renewed, allowed))
        _require_finite(outcome.reward[running & outcome.real])
        counted = running & outcome.real
        total[counted] += np.asarray(below(outcome.reward))[counted]
        length += counted
        running &= ~(outcome.terminated | outcome.truncated) & (length < max_steps)
        states = outcome.observation
    return list(zip(total[:count].tolist(), length[:count].tolist(), strict=True))


def _require_finite(rewards: Array) -> None:
    for reward in rewards.tolist():
        if not math.isfinite(reward):
            raise TrainingError(f"Expected a finite reward, but the environment gave {reward}; correct it.")


def steps_of(
    act: Callable[..., tuple[Any, None]], env: Env, seed: int | None, *, deterministic: bool
) -> Iterator[tuple[Any, float]]:
    """Play one episode: give each observation after the first, and the reward that came with it.

    Raises:
        TrainingError: the environment raised, or gave a reward or an observation that cannot be used.
    """
    try:
        observation, info = first_of(env.reset(seed=seed))
    except Exception as error:
        raise trouble("reset", error) from error
    done = False
    while not done:
        try:
            mask = mask_of(observation, info)
            told = {} if mask is None else {"action_masks": mask}
            action, _ = act(observation, deterministic=deterministic, **told)
        except InputError as error:
            raise TrainingError(str(error)) from error
        try:
            observation, reward, terminated, truncated, info = step_of(env.step(action))
            done = terminated or truncated
        except Exception as error:
            raise trouble("take a step", error) from error
        _require_finite(np.array([reward]))
        yield observation, reward
