"""Futures as text, as the command line and checkpoints write them: `NextState`, `StateAfter(3)`, `Return(50, 0.9)`."""

from collections.abc import Callable, Mapping
from dataclasses import MISSING, fields
from types import MappingProxyType
from typing import Any

from gio_pyro.errors import InputError, shown, unknown
from gio_pyro.futures.base import Future, FutureLike
from gio_pyro.futures.later import DiscountedState, FinalState, Return, StateAfter, Trajectory
from gio_pyro.futures.one_step import NextState, NextStateAndReward
from gio_pyro.futures.wrapped import as_future, unwrapped_future
from gio_pyro.programs import load_named
from gio_pyro.utils.calls import parse_call

MOST_SHOWN = 80
"""The most characters of a text that an error quotes."""
FUTURES: Mapping[str, Callable[..., Any]] = MappingProxyType(
    {
        kind.__name__: kind
        for kind in (NextState, NextStateAndReward, FinalState, StateAfter, DiscountedState, Trajectory, Return)
    }
)
"""The futures that are known by name; in text their arguments follow in brackets."""


def future_from(future: str | FutureLike | None) -> Future:
    """Return the future that a text names, the given one, or `NextState()` for None.

    A text is a name with its arguments, or `package.module:Name` or `path/file.py:Name` of a user's own future, or of
    its class, with or without arguments.

    Raises:
        InputError: an unknown future, arguments that it does not take, or an object that is not a future.
        ProgramError: a file or module that does not exist or cannot be imported.
    """
    if isinstance(future, str):
        future = _elsewhere(future) if ":" in future.partition("(")[0] else _known(future)
    return as_future(NextState() if future is None else future)


def written(future: FutureLike) -> str | None:
    """Return the text that `future_from` makes this future from, or None for a user's own."""
    own = unwrapped_future(future)
    if FUTURES.get(type(own).__name__) is not type(own):
        return None
    given = [(f.name, getattr(own, f.name)) for f in fields(own) if f.repr and getattr(own, f.name) != f.default]
    arguments = ", ".join(f"{name}={value!r}" for name, value in given)
    return type(own).__name__ + (f"({arguments})" if arguments else "")


def _known(text: str) -> FutureLike:
    name, arguments, by_name = parse_call(text)
    if name not in FUTURES:
        raise InputError(unknown("a future", text, map(_shown, FUTURES), also=", or file.py:Name"))
    return _made(FUTURES[name], arguments, by_name, f"{_shown(name)} with its own numbers", text)


def _elsewhere(text: str) -> FutureLike:
    name, bracket, rest = text.partition("(")
    kind = load_named(name.strip(), "future")
    if not isinstance(kind, type):
        future: FutureLike = kind
        return future
    _, arguments, by_name = parse_call(f"_{bracket}{rest}")
    return _made(kind, arguments, by_name, f"{name} with what it takes", text)


def _made(
    kind: Callable[..., Any], arguments: list[Any], by_name: dict[str, Any], wanted: str, text: str
) -> FutureLike:
    try:
        future: FutureLike = kind(*arguments, **by_name)
    except TypeError as error:
        raise InputError(f"Expected {wanted}, but got {shown(text, MOST_SHOWN)}: {error}.") from error
    return future


def _shown(name: str) -> str:
    """Return the name with its required arguments."""
    needed = [f.name for f in fields(FUTURES[name]) if f.default is MISSING]  # type: ignore[arg-type]
    return f"{name}({', '.join(needed)})" if needed else name
