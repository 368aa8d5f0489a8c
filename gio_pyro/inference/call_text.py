"""Calls as text, `Name(argument=0.5)`: what settings store of objects that their arguments make again."""

from collections.abc import Mapping
from typing import Any

from gio_pyro.utils.calls import parse_call, to_builtin


def call_text(name: str, arguments: Mapping[str, Any]) -> str:
    """Return a call with keyword arguments as text; without arguments the name alone."""
    written = ", ".join(f"{key}={to_builtin(value)!r}" for key, value in arguments.items())
    return f"{name}({written})" if written else name


def is_literal(value: Any) -> bool:
    """Return whether a value is the same after it is written as text and read again."""
    _, read, _ = parse_call(f"_({to_builtin(value)!r})")
    return bool(read == [to_builtin(value)])
