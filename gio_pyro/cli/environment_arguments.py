"""Arguments of environments on the command line: `--env.NAME=VALUE`."""

import json
from collections.abc import Sequence
from typing import Any

from gio_pyro.errors import InputError

FLAG = "--env."
PYTHON_LITERALS = {"True": True, "False": False, "None": None}
"""Python's spellings of JSON's true, false and null."""


def expand_flags(arguments: Sequence[str]) -> list[str]:
    """Return command-line arguments with each `--env.NAME=VALUE`, or `--env.NAME VALUE`, as `--env-arg NAME=VALUE`."""
    expanded: list[str] = []
    remaining = list(reversed(arguments))
    while remaining:
        argument = remaining.pop()
        if not argument.startswith(FLAG):
            expanded.append(argument)
            continue
        name, equals, value = argument.removeprefix(FLAG).partition("=")
        if name and not equals and remaining and not remaining[-1].startswith("--"):
            equals, value = "=", remaining.pop()
        expanded += ["--env-arg", f"{name.replace('-', '_')}{equals}{value}"]
    return expanded


def parse_arguments(given: Sequence[str]) -> dict[str, Any]:
    """Parse `NAME=VALUE` texts; values are read as JSON where they are valid JSON, else as text.

    Raises:
        InputError: a text without a name or without a value.
    """
    arguments: dict[str, Any] = {}
    for text in given:
        name, _, value = text.partition("=")
        if not name.isidentifier() or not value:
            raise InputError(f"Expected --env.NAME=VALUE, but got --env.{text}; for text that is empty give '\"\"'.")
        arguments[name] = _parse_value(value)
    return arguments


def _parse_value(text: str) -> Any:
    if text in PYTHON_LITERALS:
        return PYTHON_LITERALS[text]
    try:
        return json.loads(text)
    except ValueError:
        return text
