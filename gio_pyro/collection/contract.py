"""What an environment's reset and step give, checked as Gymnasium has it, so that errors name what breaks it."""

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

OLD = "old Gym"
SHIMMY = f"return these, or wrap an environment of {OLD} with shimmy"
TRUNK = ("gio_pyro", "gymnasium", "stable_baselines3")
"""Packages that call an environment: where an error is raised in one of these, it is what the environment gave."""


class InterfaceError(InputError, TrainingError):
    """An environment that does not keep Gymnasium's interface: no input to use, and learning cannot go on with it."""


def first_of(given: Any) -> tuple[Any, Any]:
    """Return the observation and the info of a reset; raises `InterfaceError` for anything else."""
    if not isinstance(given, tuple) or len(given) != 2 or not _is_info(given[1]):
        raise InterfaceError(
            f"Expected reset to return (observation, info), info a dictionary, but got {shown(given)}; {SHIMMY}."
        )
    return given[0], {} if given[1] is None else given[1]


def five_of(given: Any) -> tuple[Any, Any, Any, Any, Any]:
    """Return what a step gave, as it is; raises `InterfaceError` unless it is five things, the last one an info."""
    if not isinstance(given, tuple) or len(given) != 5 or not _is_info(given[4]):
        raise InterfaceError(
            "Expected step to return five things (observation, reward, terminated, truncated, info), info a "
            f"dictionary, but got {shown(given)}; {SHIMMY}."
        )
    observation, reward, terminated, truncated, info = given
    return observation, reward, terminated, truncated, {} if info is None else info


def step_of(given: Any) -> tuple[Any, float, bool, bool, Any]:
    """Return what a step of one environment gave, reward and flags as plain values.

    Raises:
        InterfaceError: no five things, a reward that is no number, or flags that are neither True nor False.
    """
    observation, reward, terminated, truncated, info = five_of(given)
    return observation, number(reward), flag("terminated", terminated), flag("truncated", truncated), info


def number(reward: Any) -> float:
    """Return a reward as a float; an array of one number is that number. Raises `InterfaceError` for all else."""
    if type(reward) is float:
        return reward
    found = _one(reward)
    if found is None:
        raise InterfaceError(f"Expected the reward to be a number, but step gave {shown(reward)}; return a float.")
    return found


def flag(name: str, given: Any) -> bool:
    """Return `terminated` or `truncated` as a boolean; 0 and 1 count. Raises `InterfaceError` for all else."""
    if given is True or given is False:
        return bool(given)
    found = _one(given)
    if found not in (0.0, 1.0):
        raise InterfaceError(f"Expected {name} to be True or False, but step gave {shown(given)}; return a bool.")
    return bool(found)


def rewards(given: Any, count: int) -> Array:
    """Return the rewards of N environments, `[N]` float64; raises `InterfaceError` where they are no N numbers."""
    found = _array(given)
    if found is not None and found.dtype.kind in "biuf" and found.shape in ((count,), (count, 1)):
        return found.astype(np.float64).reshape(count)
    if isinstance(given, list | tuple) and len(given) == count:
        return np.array([number(one) for one in given])
    raise InterfaceError(
        f"Expected {count} numbers as rewards, one for each environment, but step gave {shown(given)}; return those."
    )


def flags(name: str, given: Any, count: int) -> Array:
    """Return `terminated` or `truncated` of N environments, `[N]` booleans; raises `InterfaceError` for all else."""
    found = _array(given)
    if found is not None and found.shape in ((count,), (count, 1)):
        if found.dtype.kind == "b":
            return found.reshape(count).copy()
        if found.dtype.kind in "iuf" and np.isin(found, (0, 1)).all():
            return found.astype(np.bool_).reshape(count)
    raise InterfaceError(
        f"Expected {name} to be {count} booleans, one for each environment, but step gave {shown(given)}; return those."
    )


def trouble(what: str, error: Exception) -> InputError | TrainingError:
    """Return what an environment raised in one sentence that blames what is at fault."""
    if isinstance(error, InterfaceError):
        return InterfaceError(str(error))
    text = str(error)
    if _raised_in_trunk(error):
        if isinstance(error, TypeError) and re.search(r"unexpected keyword argument '(seed|options)'", text):
            return InterfaceError(
                "Expected an environment whose reset takes seed= and options=, but it does not: "
                f"{describe_error(error, 80)}; write reset(self, *, seed=None, options=None), or wrap "
                f"{OLD} with shimmy."
            )
        if isinstance(error, ValueError) and re.search(r"values to unpack \(expected [25]\b", text):
            gives = "(observation, info)" if what == "reset" else "(observation, reward, terminated, truncated, info)"
            return InterfaceError(f"Expected the environment to return {gives}, but there were {text}; {SHIMMY}.")
    return TrainingError(f"Expected the environment to {what}, but it raised {describe_error(error, 150)}.")


def shown(given: Any) -> str:
    """Return something in a few words, on one line: the kind of arrays and tuples, the text of what is short."""
    if isinstance(given, tuple):
        kinds = ", ".join(type(one).__name__ for one in given[:6])
        return f"a tuple of {len(given)} ({kinds})"
    if isinstance(given, np.ndarray | Tensor):
        return f"{type(given).__name__} of shape {tuple(given.shape)} and {given.dtype}"
    return " ".join(repr(given).split())[:60]


def _is_info(given: Any) -> bool:
    """Whether something is an info: a dictionary, of a vector perhaps a list of them; None counts as an empty one."""
    return given is None or isinstance(given, Mapping | list)


def _raised_in_trunk(error: Exception) -> bool:
    last = error.__traceback__
    while last is not None and last.tb_next is not None:
        last = last.tb_next
    return last is not None and str(last.tb_frame.f_globals.get("__name__", "")).partition(".")[0] in TRUNK


def _array(given: Any) -> Array | None:
    try:
        return np.asarray(given.numpy(force=True) if isinstance(given, Tensor) else given)
    except Exception:  # rows of different lengths, or a thing that does not want to be an array
        return None


def _one(given: Any) -> float | None:
    """Return a real number, also as an array of one, as a float; None for everything else."""
    if isinstance(given, Real | Decimal):
        try:
            return float(given)
        except OverflowError:
            return math.inf  # of either sign: it is refused for its size
    found = None if isinstance(given, str | bytes) else _array(given)
    return float(found.reshape(-1)[0]) if found is not None and found.size == 1 and found.dtype.kind in "biuf" else None
