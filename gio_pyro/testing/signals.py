"""What a signal must do: pay a transition for itself and its own episode, in whatever company it comes."""

from itertools import pairwise
from typing import Any

import numpy as np

from gio_pyro.collection.make import Env, make_env
from gio_pyro.data.samples import KEYS
from gio_pyro.errors import InputError, ProgramError
from gio_pyro.intrinsic_reward import IntrinsicReward
from gio_pyro.utils.trees import tree_map

Samples = dict[str, Any]

WARM = 256
"""Transitions that are observed before, so that statistics of inputs stand still."""
STREAMS, STEPS = 3, 30
TOLERANCE = 0.05
"""What the order of statistics may change, of the size of what is paid and in its unit."""


def check_signal(signal: str, environment: str | Env, **settings: Any) -> None:
    """Check that a signal pays the same trajectories the same however they come.

    They are observed as one environment after the other, as several at once, and in pieces of any length; then each
    transition is read. Nothing is fitted in between.

    Args:
        signal: its name in `gio_pyro.signals`, or `package.module:Name` or `file.py:Name`.
        environment: an id or an environment, which is stepped with random actions.
        settings: further ones of `gio_pyro.IntrinsicReward`, such as `model`.

    Raises:
        ProgramError: a transition that is paid otherwise, and what to do.
        InputError: a signal or an environment that is not supported.
    """
    env = make_env(environment)
    if not hasattr(env, "action_space"):
        raise InputError(f"Expected one environment, but got {type(env).__name__}; give one that is not a vector.")
    warm = _walk(env, WARM, seed=STREAMS)
    streams = [_walk(env, STEPS, seed=number) for number in range(STREAMS)]
    together = {key: _joined([one[key] for one in streams], 1) for key in KEYS}
    small: dict[str, Any] = {"hidden": (8,), "updates": 1, "batch_size": 8} | settings
    paid = {}
    for order in ("at once", "one after the other", "in pieces"):
        reward = IntrinsicReward(env, signal=signal, **small)
        reward.observe(warm)
        numbers = _observed(reward, order, streams, together)
        paid[order] = np.asarray(reward.compute(together | {"numbers": numbers}))
    first = paid.pop("at once")
    for order, other in paid.items():
        _require_equal(reward.signal.__class__.__name__, order, first, other)


def _observed(reward: IntrinsicReward, order: str, streams: list[Samples], together: Samples) -> Any:
    """Return the number of each transition `[T, N]`, after they were observed in some order."""
    if order == "one after the other":
        return np.concatenate([reward.observe(one) for one in streams], 1)
    cuts = [0, STEPS] if order == "at once" else [0, 1, 3, 7, 8, 19, STEPS]
    pieces = [slice(first, last) for first, last in pairwise(cuts)]
    return np.concatenate([reward.observe(_cut(together, piece)) for piece in pieces])


def _cut(samples: Samples, piece: slice) -> Samples:
    return {key: tree_map(lambda leaf: leaf[piece], samples[key]) for key in KEYS}


def _require_equal(name: str, order: str, first: Any, other: Any) -> None:
    wrong = np.abs(first - other) > TOLERANCE * (1 + np.abs(first))
    if wrong.any():
        step, stream = np.argwhere(wrong)[0]
        raise ProgramError(
            f"Expected {name} to pay the same for trajectories of {STREAMS} environments at once and {order}, but step "
            f"{step} of environment {stream} is paid {first[step, stream]:.4g} and {other[step, stream]:.4g}; keep a "
            "memory for each rows.episode and read it as of rows.time."
        )


def _walk(env: Any, steps: int, *, seed: int) -> Samples:
    """Return samples `[steps, 1]` of random actions; the last step cuts its episode."""
    env.action_space.seed(seed)
    seen, _ = env.reset(seed=seed)
    rows = []
    for number in range(steps):
        action = env.action_space.sample()
        after, reward, terminated, truncated, _ = env.step(action)
        over = bool(terminated or truncated)
        rows.append((seen, action, after, reward, terminated, truncated or (number == steps - 1 and not terminated)))
        seen = env.reset()[0] if over else after
    return {key: _stacked(column) for key, column in zip(KEYS, zip(*rows, strict=True), strict=True)}


def _joined(trees: list[Any], axis: int) -> Any:
    return tree_map(lambda *leaves: np.concatenate(leaves, axis), *trees)


def _stacked(column: Any) -> Any:
    """Return T values, which may be nested, as arrays `[T, 1, ...]`."""
    if isinstance(column[0], dict):
        return {key: _stacked([one[key] for one in column]) for key in column[0]}
    if isinstance(column[0], tuple):
        return tuple(_stacked(part) for part in zip(*column, strict=True))
    return np.stack(column)[:, None]
