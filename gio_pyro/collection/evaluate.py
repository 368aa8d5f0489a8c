"""Play whole episodes to estimate the return of a policy."""

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from numbers import Integral
from typing import Any

import numpy as np

from gio_pyro.collection import Env
from gio_pyro.collection.choosing import Choosing, choosing
from gio_pyro.collection.environment_adapter import Array, EnvironmentAdapter
from gio_pyro.collection.independent_copies import independent_copies
from gio_pyro.collection.infos import mask_of
from gio_pyro.collection.interface_checks import check_reset, check_step, environment_error
from gio_pyro.collection.make import Vector
from gio_pyro.collection.mask_handlers import MaskHandler
from gio_pyro.collection.parallel_episodes import ParallelEpisodes, episode_seeds
from gio_pyro.collection.vector_adapters import adapter_of
from gio_pyro.collection.wrapper_statistics import unnormalised_rewards
from gio_pyro.errors import InputError, TrainingError, shown

Choose = Choosing | Callable[..., Array]
"""What chooses actions; a function maps states `[N, ...]` and flags `[N, A]` of allowed actions, or None, to them."""
LARGEST_ARGUMENT = 2**40
"""Largest number of episodes, steps, or value of a seed."""


@dataclass(frozen=True)
class Evaluation:
    """Result of `GIO.evaluate`."""

    returns: tuple[float, ...]
    """Undiscounted return of each episode, reward units."""
    lengths: tuple[int, ...]
    """Length of each episode, steps."""

    @property
    def mean(self) -> float:
        """Mean return, reward units."""
        return float(np.mean(self.returns))

    @property
    def standard_error(self) -> float:
        """Standard error of the mean return; NaN for a single episode."""
        n = len(self.returns)
        return float(np.std(self.returns, ddof=1) / n**0.5) if n > 1 else float("nan")


def play_episodes(
    act: Callable[..., tuple[Any, Any]],
    env: Env,
    episodes: int,
    *,
    deterministic: bool,
    seed: int,
    max_steps: int,
) -> Evaluation:
    """Play `episodes` episodes, one after another, with the policy `act(observation, deterministic=...)`.

    Each has its own seed (see `episode_seeds`). Returns are sums of unnormalised rewards, those below a wrapper such as
    `NormalizeReward`.

    Raises:
        InputError: a number out of range.
        TrainingError: the environment raised, or gave a reward or an observation that cannot be used.
    """
    episodes, seed = require_episode_arguments(episodes=episodes, max_steps=max_steps, seed=seed)
    returns, lengths = [], []
    with unnormalised_rewards(env) as below:
        for own_seed in episode_seeds(seed, episodes):
            total, length = 0.0, 0
            for _, reward in episode_steps(act, env, own_seed, deterministic=deterministic):
                total, length = total + float(below(reward)), length + 1
                if length == max_steps:
                    break
            returns.append(total)
            lengths.append(length)
    return Evaluation(tuple(returns), tuple(lengths))


def play_episodes_in_copies(
    choose: Choose,
    env: Env,
    episodes: int,
    *,
    seed: int,
    max_steps: int,
    mask_handler: MaskHandler,
) -> Evaluation | None:
    """Play the episodes of `play_episodes` in several copies of an environment at once; None if it does not allow that.

    It does not where it cannot be copied, where copies raise, or where episodes depend on one another (see
    `gio_pyro.collection.parallel_episodes`); then play them one after another. `env` itself is not changed.

    Args:
        choose: maps states `[N, ...]` and flags `[N, A]` of allowed actions, or None, to values of the site "action".
        env: the environment.
        episodes: their number.
        seed: of the first episode; the others get seeds derived from it.
        max_steps: steps after which an episode is cut.
        mask_handler: where action masks are kept.
    """
    with independent_copies(env, episodes) as copies:
        if len(copies) < 2:
            return None
        seeds = episode_seeds(seed, episodes)
        try:
            found = ParallelEpisodes(
                choosing(choose), copies, seeds, max_steps=max_steps, mask_handler=mask_handler
            ).play()
        except Exception:  # raised again, by the environment itself, if it is not due to the copies
            return None
    return None if found is None else Evaluation(*zip(*found, strict=True))


def require_episode_arguments(*, episodes: int, max_steps: int, seed: int) -> tuple[int, int]:
    """Return `episodes` and `seed` as Python integers; raises `InputError` if an argument is out of range."""
    for name, value, least in (("episodes", episodes, 1), ("max_steps", max_steps, 1), ("seed", seed, 0)):
        if not isinstance(value, Integral) or isinstance(value, bool) or not least <= value <= LARGEST_ARGUMENT:
            raise InputError(
                f"Expected {name} to be a whole number of at least {least}, but got {shown(value)}; leave it out for "
                "the default."
            )
    return int(episodes), int(seed)


def play_vector_episodes(
    choose: Choose,
    env: Vector,
    episodes: int,
    *,
    seed: int,
    max_steps: int,
    mask_handler: MaskHandler,
) -> Evaluation:
    """Play `episodes` episodes in a vector with N environments, which are reset together.

    Episode i is the (i // N)-th of environment i % N, so that short episodes are not over-represented.
    Environments whose episode is over before the others' are stepped on, but not counted.

    Args:
        choose: maps states `[N, ...]` and flags `[N, A]` of allowed actions, or None, to values of the site "action".
        env: the vector.
        episodes: their number.
        seed: of the first episodes; each environment gets its own, derived from it.
        max_steps: steps after which an episode is cut.
        mask_handler: where action masks are kept.

    Raises:
        InputError: a number out of range.
        TrainingError: the environment raised, or gave a reward or an observation that cannot be used.
    """
    episodes, seed = require_episode_arguments(episodes=episodes, max_steps=max_steps, seed=seed)
    environments, played = adapter_of(env, mask_handler), list[tuple[float, int]]()
    with unnormalised_rewards(env) as below:
        while len(played) < episodes:
            first = environments.reset(None if played else seed)
            played += _play_one_each(
                choosing(choose), environments, first, below, min(episodes - len(played), environments.count), max_steps
            )
    returns, lengths = zip(*played, strict=True)
    return Evaluation(returns, lengths)


def _play_one_each(
    choose: Choosing,
    environments: EnvironmentAdapter,
    states: Array,
    below: Callable[[Any], Any],
    count: int,
    max_steps: int,
) -> list[tuple[float, int]]:
    """Play one episode in each of the first `count` environments; returns (return, length) of each."""
    running, places = np.arange(environments.count) < count, range(environments.count)
    for place in places:
        choose.begin(place)
    total, length = np.zeros(environments.count), np.zeros(environments.count, dtype=np.int64)
    while running.any():
        renewed = environments.reset_ended()
        allowed = environments.masks.allowed if environments.masks.given.any() else None
        result = environments.step(choose(states if renewed is None else renewed, allowed, places))
        _require_finite(result.reward[running & result.real])
        counted = running & result.real
        total[counted] += np.asarray(below(result.reward))[counted]
        length += counted
        running &= ~(result.terminated | result.truncated) & (length < max_steps)
        states = result.current_state
    return list(zip(total[:count].tolist(), length[:count].tolist(), strict=True))


def _require_finite(rewards: Array) -> None:
    for reward in rewards.tolist():
        if not math.isfinite(reward):
            raise TrainingError(f"Expected a finite reward, but the environment gave {reward}; correct it.")


def episode_steps(
    act: Callable[..., tuple[Any, Any]], env: Env, seed: int | None, *, deterministic: bool
) -> Iterator[tuple[Any, float]]:
    """Play one episode; yields each observation after the first, with its reward.

    Raises:
        TrainingError: the environment raised, or gave a reward or an observation that cannot be used.
    """
    try:
        observation, info = check_reset(env.reset(seed=seed))
    except Exception as error:
        raise environment_error("reset", error) from error
    done, memory = False, None
    while not done:
        try:
            mask = mask_of(observation, info)
            more = {} if mask is None else {"action_masks": mask}
            more |= {} if memory is None else {"state": memory}
            action, memory = act(observation, deterministic=deterministic, **more)
        except InputError as error:
            raise TrainingError(str(error)) from error
        try:
            observation, reward, terminated, truncated, info = check_step(env.step(action))
            done = terminated or truncated
        except Exception as error:
            raise environment_error("take a step", error) from error
        _require_finite(np.array([reward]))
        yield observation, reward
