"""Futures as text, as the command line and checkpoints write them: `NextState`, `StateAfter(3)`, `Return(50, 0.9)`."""

from collections.abc import Callable, Mapping
from dataclasses import MISSING, fields
from types import MappingProxyType
from typing import Any

from gio_pyro.errors import InputError, shown, unknown
from gio_pyro.futures.base import Future, require_future
from gio_pyro.futures.later import FinalState, Return, StateAfter, Trajectory
from gio_pyro.futures.masked import unwrapped_future
from gio_pyro.futures.one_step import NextState, NextStateAndReward
from gio_pyro.programs import named
from gio_pyro.utils.calls import parse_call

MOST_SHOWN = 80
"""Characters of a text that an error repeats."""
FUTURES: Mapping[str, Callable[..., Any]] = MappingProxyType(
    {kind.__name__: kind for kind in (NextState, NextStateAndReward, FinalState, StateAfter, Trajectory, Return)}
)
"""The futures that are known by name; those with numbers are written with them."""


def future_from(future: str | Future | None) -> Future:
    """Return the future of a text, the one given, or the next state for None.

    A text is a name with its numbers, or `package.module:Name` or `path/file.py:Name` of a future of one's own, or of
    its class, with numbers or without.

    Raises:
        InputError: no such future, or numbers that it does not take.
        ProgramError: a file or module that is not there or does not import.
    """
    if isinstance(future, str):
        future = _elsewhere(future) if ":" in future.partition("(")[0] else _known(future)
    found = NextState() if future is None else future
    require_future(found)
    return found


def written(future: Future) -> str | None:
    """Return the text that `future_from` makes this future of, or None where there is none."""
    future = unwrapped_future(future)
    if FUTURES.get(type(future).__name__) is not type(future):
        return None
    given = [(f.name, getattr(future, f.name)) for f in fields(future) if getattr(future, f.name) != f.default]
    numbers = ", ".join(f"{name}={value!r}" for name, value in given)
    return type(future).__name__ + (f"({numbers})" if numbers else "")


def _known(text: str) -> Future:
    name, numbers, named_ones = parse_call(text)
    if name not in FUTURES:
        raise InputError(unknown("a future", text, map(_shown, FUTURES), also=", or file.py:Name"))
    return _made(FUTURES[name], numbers, named_ones, f"{_shown(name)} with its own numbers", text)


def _elsewhere(text: str) -> Future:
    name, bracket, rest = text.partition("(")
    kind = named(name.strip(), "future")
    if not isinstance(kind, type):
        future: Future = kind
        return future
    _, numbers, named_ones = parse_call(f"_{bracket}{rest}")
    return _made(kind, numbers, named_ones, f"{name} with what it takes", text)


def _made(kind: Callable[..., Any], numbers: list[Any], named_ones: dict[str, Any], wanted: str, text: str) -> Future:
    try:
        future: Future = kind(*numbers, **named_ones)
    except TypeError as error:
        raise InputError(f"Expected {wanted}, but got {shown(text, MOST_SHOWN)}: {error}.") from error
    return future


def _shown(name: str) -> str:
    """Return the name with the numbers that it must be given."""
    needed = [f.name for f in fields(FUTURES[name]) if f.default is MISSING]  # type: ignore[arg-type]
    return f"{name}({', '.join(needed)})" if needed else name
