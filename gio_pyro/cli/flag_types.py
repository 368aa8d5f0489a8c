"""Types of command-line flags: how the text after a flag is read, and how the help shows it."""

from collections.abc import Callable, Sequence
from pathlib import Path
from types import NoneType
from typing import Annotated, Any, get_args, get_origin

import tyro
from tyro.constructors import PrimitiveConstructorSpec


def _read(kind: Callable[[str], Any], words: Sequence[str], what: str) -> tuple[Any, ...]:
    try:
        return tuple(map(kind, words))
    except ValueError:
        raise ValueError(f"{what}, but got {' '.join(words)!r}") from None


def _one(kind: Callable[[str], Any], metavar: str, what: str) -> Any:
    return PrimitiveConstructorSpec(
        nargs=1,
        metavar=metavar,
        instance_from_str=lambda words: _read(kind, words, what)[0],
        is_instance=lambda value: True,
        str_from_instance=lambda value: [str(value)],
    )


def _path(word: str) -> Path:
    if not word:
        raise ValueError
    return Path(word)


def number_or_text(word: str) -> float | str:
    """Return the number that a text spells, else the text itself."""
    try:
        return float(word)
    except ValueError:
        return word


def switch_or_text(word: str) -> bool | str:
    """Return True for "true", False for "false", else the text itself."""
    return {"true": True, "false": False}.get(word.lower(), word)


_INT = _one(int, "INT", "a whole number")
_INTS = PrimitiveConstructorSpec(
    nargs="*",
    metavar="INT [INT ...]",
    instance_from_str=lambda words: _read(int, words or [""], "whole numbers"),
    is_instance=lambda value: True,
    str_from_instance=lambda value: [str(value)],
)
_FLOAT = _one(float, "FLOAT", "a number")
_TEXT = _one(str, "TEXT", "text")
_NO_DEFAULT = tyro.conf.arg(help_behavior_hint="")
"""For flags whose help says what happens without them."""

Int = Annotated[int, _INT]
RunPath = Annotated[Path, _one(_path, "RUN", "a path")]
OptionalInt = Annotated[int | None, _INT, _NO_DEFAULT]
OptionalText = Annotated[str | None, _TEXT, _NO_DEFAULT]
PATH = _one(_path, "PATH", "a path")
OptionalPath = Annotated[Path | None, PATH, _NO_DEFAULT]
Repeated = Annotated[tuple[str, ...], tyro.conf.UseAppendAction, tyro.conf.arg(metavar="TEXT", help_behavior_hint="")]
EnvironmentArguments = Annotated[
    tuple[str, ...],
    tyro.conf.UseAppendAction,
    tyro.conf.arg(
        metavar="NAME=VALUE",
        help_behavior_hint="",
        help="Argument of the environment, which may also be written --env.NAME=VALUE; the value is read as JSON where "
        "it is valid JSON, else as text. May be given several times.",
    ),
]


def flag_type(annotation: Any) -> Any:
    """Return the type of the flag for a field of `Settings`.

    Args:
        annotation: of the field: bool, int, float, str, a union of these and None, or a tuple of int.
    """
    if annotation is bool:
        return bool
    if get_origin(annotation) is tuple:
        return Annotated[Any, _INTS]
    kinds = set(get_args(annotation) or (annotation,)) - {NoneType}
    if kinds == {bool, str}:
        return Annotated[Any, _one(switch_or_text, "TEXT", "text")]
    if kinds == {float, str}:
        return Annotated[Any, _one(number_or_text, "TEXT", "a number or text")]
    (kind,) = kinds
    return Annotated[Any, {int: _INT, float: _FLOAT, str: _TEXT}[kind]]
