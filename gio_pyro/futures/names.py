"""Futures as text, as the command line and checkpoints write them: `NextState`, `StateAfter(3)`, `Return(50, 0.9)`."""

import ast
from collections.abc import Callable, Mapping
from dataclasses import MISSING, fields
from types import MappingProxyType
from typing import Any

from gio_pyro.errors import InputError
from gio_pyro.futures.base import Future, steps_of
from gio_pyro.futures.later import FinalState, Return, StateAfter, Trajectory
from gio_pyro.futures.one_step import NextState, NextStateAndReward

FUTURES: Mapping[str, Callable[..., Any]] = MappingProxyType(
    {kind.__name__: kind for kind in (NextState, NextStateAndReward, FinalState, StateAfter, Trajectory, Return)}
)
"""The futures that are known by name; those with numbers are written with them."""


def future_from(future: str | Future | None) -> Future:
    """Return the future of a text, the one given, or the next state for None; raises `InputError` for anything else."""
    if future is None:
        return NextState()
    if isinstance(future, str):
        return _read(future)
    if isinstance(future, type) or not (hasattr(future, "space") and (hasattr(future, "of") or steps_of(future))):
        raise InputError(f"Expected a future with the methods space and of, such as NextState(), but got {future!r}.")
    return future


def written(future: Future) -> str | None:
    """Return the text that `future_from` makes this future of, or None where there is none."""
    if FUTURES.get(type(future).__name__) is not type(future):
        return None
    given = [(f.name, getattr(future, f.name)) for f in fields(future) if getattr(future, f.name) != f.default]
    numbers = ", ".join(f"{name}={value!r}" for name, value in given)
    return type(future).__name__ + (f"({numbers})" if numbers else "")


def _read(text: str) -> Future:
    try:
        node = ast.parse(text.strip(), mode="eval").body
        call = node if isinstance(node, ast.Call) else ast.Call(node, [], [])
        name = call.func.id if isinstance(call.func, ast.Name) else ""
        numbers = [ast.literal_eval(value) for value in call.args]
        named = {keyword.arg or "": ast.literal_eval(keyword.value) for keyword in call.keywords}
    except (SyntaxError, ValueError, MemoryError, RecursionError):
        name, numbers, named = "", [], {}
    if name not in FUTURES:
        known = ", ".join(map(_shown, FUTURES))
        raise InputError(f"Expected a future among {known}, but got {text!r}; name one, or pass one.")
    try:
        future: Future = FUTURES[name](*numbers, **named)
    except TypeError as error:
        raise InputError(f"Expected {_shown(name)} with its own numbers, but got {text!r}: {error}.") from error
    return future


def _shown(name: str) -> str:
    """Return the name with the numbers that it must be given."""
    needed = [f.name for f in fields(FUTURES[name]) if f.default is MISSING]  # type: ignore[arg-type]
    return f"{name}({', '.join(needed)})" if needed else name
