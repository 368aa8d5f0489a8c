"""Conformance check of a signal: the reward of a transition depends only on the transition and its own episode."""

from itertools import pairwise
from typing import Any

import numpy as np

from gio_pyro.adapters.intrinsic_reward import IntrinsicReward
from gio_pyro.collection.make import Env, make_env
from gio_pyro.collection.samples import KEYS, Samples, concatenated, steps_of
from gio_pyro.errors import InputError, ProgramError

OBSERVED_FIRST = 256
"""Transitions that are observed first, so that input statistics hardly change afterwards."""
STREAMS, STEPS = 3, 30
TOLERANCE = 0.05
"""Relative and absolute tolerance: updating statistics in another order changes rewards slightly."""


def check_signal(signal: str, environment: str | Env, **settings: Any) -> None:
    """Check that the rewards of a signal do not depend on how trajectories are batched.

    The same trajectories are observed one environment at a time, all environments at once, and in pieces of any
    length; then the rewards of all transitions are compared. Nothing is fitted in between.

    Args:
        signal: its name in `gio_pyro.signals`, or `package.module:Name` or `file.py:Name`.
        environment: an id or an environment, which is stepped with random actions.
        settings: further arguments of `gio_pyro.IntrinsicReward`, such as `model`.

    Raises:
        ProgramError: a transition whose reward differs, and what to do.
        InputError: a signal or an environment that is not supported.
    """
    env = make_env(environment)
    if not hasattr(env, "action_space"):
        raise InputError(f"Expected one environment, but got {type(env).__name__}; give one that is not a vector.")
    initial = _random_walk(env, OBSERVED_FIRST, seed=STREAMS)
    streams = [_random_walk(env, STEPS, seed=number) for number in range(STREAMS)]
    together = concatenated(streams)
    small: dict[str, Any] = {"hidden": (8,), "updates": 1, "batch_size": 8} | settings
    rewards = {}
    for order in ("at once", "one after the other", "in pieces"):
        reward = IntrinsicReward(env, signal=signal, **small)
        reward.observe(initial)
        numbers = _observed(reward, order, streams, together)
        rewards[order] = np.asarray(reward.compute(together | {"numbers": numbers}))
    first = rewards.pop("at once")
    for order, other in rewards.items():
        _require_equal(reward.signal.__class__.__name__, order, first, other)


def _observed(reward: IntrinsicReward, order: str, streams: list[Samples], together: Samples) -> Any:
    """Observe the transitions in some order, and return their numbers `[T, N]`."""
    if order == "one after the other":
        return np.concatenate([reward.observe(one) for one in streams], 1)
    cuts = [0, STEPS] if order == "at once" else [0, 1, 3, 7, 8, 19, STEPS]
    pieces = [slice(first, last) for first, last in pairwise(cuts)]
    return np.concatenate([reward.observe(steps_of(together, piece)) for piece in pieces])


def _require_equal(name: str, order: str, first: Any, other: Any) -> None:
    wrong = np.abs(first - other) > TOLERANCE * (1 + np.abs(first))
    if wrong.any():
        step, stream = np.argwhere(wrong)[0]
        raise ProgramError(
            f"Expected {name} to pay the same for trajectories of {STREAMS} environments at once and {order}, but step "
            f"{step} of environment {stream} is paid {first[step, stream]:.4g} and {other[step, stream]:.4g}; keep a "
            "memory for each rows.episode and read it as of rows.time."
        )


def _random_walk(env: Any, steps: int, *, seed: int) -> Samples:
    """Return samples `[steps, 1]` of random actions; the last step truncates its episode."""
    env.action_space.seed(seed)
    observation, _ = env.reset(seed=seed)
    rows = []
    for number in range(steps):
        action = env.action_space.sample()
        next_observation, reward, terminated, truncated, _ = env.step(action)
        done = bool(terminated or truncated)
        rows.append(
            (
                observation,
                action,
                next_observation,
                reward,
                terminated,
                truncated or (number == steps - 1 and not terminated),
            )
        )
        observation = env.reset()[0] if done else next_observation
    return {key: _stack_leaves(column) for key, column in zip(KEYS, zip(*rows, strict=True), strict=True)}


def _stack_leaves(column: Any) -> Any:
    """Return T values, possibly nested, as arrays `[T, 1, ...]`."""
    if isinstance(column[0], dict):
        return {key: _stack_leaves([one[key] for one in column]) for key in column[0]}
    if isinstance(column[0], tuple):
        return tuple(_stack_leaves(part) for part in zip(*column, strict=True))
    return np.stack(column)[:, None]
