"""Check the results of `reset` and `step` against Gymnasium's interface, so that errors name the fault."""

import math
import re
from collections.abc import Mapping
from decimal import Decimal
from numbers import Real
from typing import Any

import numpy as np
from torch import Tensor

from gio_pyro.errors import InputError, TrainingError, describe_error

Array = np.ndarray[Any, np.dtype[Any]]

OLD_GYM = "old Gym"
SHIMMY_ADVICE = f"return these, or wrap an environment of {OLD_GYM} with shimmy"
CALLERS = ("gio_pyro", "gymnasium", "stable_baselines3")
"""Packages that call an environment; an error raised in one of these is due to what the environment returned."""


class InterfaceError(InputError, TrainingError):
    """An environment violates Gymnasium's interface; an `InputError`, and a `TrainingError` if met during training."""


def check_reset(given: Any) -> tuple[Any, Any]:
    """Return the observation and the info of a reset; raises `InterfaceError` if the result is anything else."""
    if not isinstance(given, tuple) or len(given) != 2 or not _is_info(given[1]):
        raise InterfaceError(
            f"Expected reset to return (observation, info), info a dictionary, but got {describe_value(given)}; "
            f"{SHIMMY_ADVICE}."
        )
    return given[0], {} if given[1] is None else given[1]


def check_step_tuple(given: Any) -> tuple[Any, Any, Any, Any, Any]:
    """Return the result of a step unchanged; raises `InterfaceError` unless it has five entries, the last an info."""
    if not isinstance(given, tuple) or len(given) != 5 or not _is_info(given[4]):
        raise InterfaceError(
            "Expected step to return five things (observation, reward, terminated, truncated, info), info a "
            f"dictionary, but got {describe_value(given)}; {SHIMMY_ADVICE}."
        )
    observation, reward, terminated, truncated, info = given
    return observation, reward, terminated, truncated, {} if info is None else info


def check_step(given: Any) -> tuple[Any, float, bool, bool, Any]:
    """Return the result of a step of one environment, with a Python float and bools.

    Raises:
        InterfaceError: not five entries, a reward that is not a number, or flags that are not booleans.
    """
    observation, reward, terminated, truncated, info = check_step_tuple(given)
    return (
        observation,
        check_reward(reward),
        check_flag("terminated", terminated),
        check_flag("truncated", truncated),
        info,
    )


def check_reward(reward: Any) -> float:
    """Return a reward, a number or an array of one number, as a float; raises `InterfaceError` otherwise."""
    if type(reward) is float:
        return reward
    found = _number_or_none(reward)
    if found is None:
        raise InterfaceError(
            f"Expected the reward to be a number, but step gave {describe_value(reward)}; return a float."
        )
    return found


def check_flag(name: str, given: Any) -> bool:
    """Return `terminated` or `truncated`, also given as 0 or 1, as a bool; raises `InterfaceError` otherwise."""
    if given is True or given is False:
        return bool(given)
    found = _number_or_none(given)
    if found not in (0.0, 1.0):
        raise InterfaceError(
            f"Expected {name} to be True or False, but step gave {describe_value(given)}; return a bool."
        )
    return bool(found)


def check_rewards(given: Any, count: int) -> Array:
    """Return the rewards of N environments, `[N]` float64; raises `InterfaceError` if they are not N numbers."""
    found = _array_or_none(given)
    if found is not None and found.dtype.kind in "biuf" and found.shape in ((count,), (count, 1)):
        return found.astype(np.float64).reshape(count)
    if isinstance(given, list | tuple) and len(given) == count:
        return np.array([check_reward(one) for one in given])
    raise InterfaceError(
        f"Expected {count} numbers as rewards, one for each environment, but step gave {describe_value(given)}; return "
        "those."
    )


def check_flags(name: str, given: Any, count: int) -> Array:
    """Return `terminated` or `truncated` of N environments, `[N]` booleans; raises `InterfaceError` otherwise."""
    found = _array_or_none(given)
    if found is not None and found.shape in ((count,), (count, 1)):
        if found.dtype.kind == "b":
            return found.reshape(count).copy()
        if found.dtype.kind in "iuf" and np.isin(found, (0, 1)).all():
            return found.astype(np.bool_).reshape(count)
    raise InterfaceError(
        f"Expected {name} to be {count} booleans, one for each environment, but step gave {describe_value(given)}; "
        "return those."
    )


def environment_error(what: str, error: Exception) -> InputError | TrainingError:
    """Return the error to raise for what an environment raised in `reset` or `step`; it names the fault."""
    if isinstance(error, InterfaceError):
        return InterfaceError(str(error))
    text = str(error)
    if _raised_by_caller(error):
        if isinstance(error, TypeError) and re.search(r"unexpected keyword argument '(seed|options)'", text):
            return InterfaceError(
                "Expected an environment whose reset takes seed= and options=, but it does not: "
                f"{describe_error(error, 80)}; write reset(self, *, seed=None, options=None), or wrap "
                f"{OLD_GYM} with shimmy."
            )
        if isinstance(error, ValueError) and re.search(r"values to unpack \(expected [25]\b", text):
            gives = "(observation, info)" if what == "reset" else "(observation, reward, terminated, truncated, info)"
            return InterfaceError(
                f"Expected the environment to return {gives}, but there were {text}; {SHIMMY_ADVICE}."
            )
    return TrainingError(f"Expected the environment to {what}, but it raised {describe_error(error, 150)}.")


def describe_value(given: Any) -> str:
    """Return a short description, on one line: types for tuples, shape and dtype for arrays, else the repr."""
    if isinstance(given, tuple):
        kinds = ", ".join(type(one).__name__ for one in given[:6])
        return f"a tuple of {len(given)} ({kinds})"
    if isinstance(given, np.ndarray | Tensor):
        return f"{type(given).__name__} of shape {tuple(given.shape)} and {given.dtype}"
    return " ".join(repr(given).split())[:60]


def _is_info(given: Any) -> bool:
    """Whether this is an info: a dictionary, a list of them (vectors), or None for an empty one."""
    return given is None or isinstance(given, Mapping | list)


def _raised_by_caller(error: Exception) -> bool:
    last = error.__traceback__
    while last is not None and last.tb_next is not None:
        last = last.tb_next
    return last is not None and str(last.tb_frame.f_globals.get("__name__", "")).partition(".")[0] in CALLERS


def _array_or_none(given: Any) -> Array | None:
    try:
        return np.asarray(given.numpy(force=True) if isinstance(given, Tensor) else given)
    except Exception:  # rows of different lengths, or a class that does not convert
        return None


def _number_or_none(given: Any) -> float | None:
    """Return a real number, or an array of one, as a float; None for anything else."""
    if isinstance(given, Real | Decimal):
        try:
            return float(given)
        except OverflowError:
            return math.inf  # either sign: too large in any case
    found = None if isinstance(given, str | bytes) else _array_or_none(given)
    return float(found.reshape(-1)[0]) if found is not None and found.size == 1 and found.dtype.kind in "biuf" else None
