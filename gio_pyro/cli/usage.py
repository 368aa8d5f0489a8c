"""What the flags take, and one sentence for what they do not."""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial, wraps
from inspect import signature
from pathlib import Path
from typing import Annotated, Any

import tyro
from tyro.constructors import PrimitiveConstructorSpec


def _one(kind: Callable[[str], Any], metavar: str, what: str) -> Any:
    return PrimitiveConstructorSpec(
        nargs=1,
        metavar=metavar,
        instance_from_str=lambda words: _read(kind, words, what)[0],
        is_instance=lambda value: True,
        str_from_instance=lambda value: [str(value)],
    )


def _read(kind: Callable[[str], Any], words: Sequence[str], what: str) -> tuple[Any, ...]:
    try:
        return tuple(map(kind, words))
    except ValueError:
        raise ValueError(f"{what}, but got {' '.join(words)!r}") from None


def _path(word: str) -> Path:
    if not word:
        raise ValueError
    return Path(word)


_INT = _one(int, "INT", "a whole number")
_INTS = PrimitiveConstructorSpec(
    nargs="*",
    metavar="INT [INT ...]",
    instance_from_str=lambda words: _read(int, words or [""], "whole numbers"),
    is_instance=lambda value: True,
    str_from_instance=lambda value: [str(value)],
)
_UNSAID = tyro.conf.arg(help_behavior_hint="")
"""The help says itself what None stands for."""

Int = Annotated[int, _INT]
RunPath = Annotated[Path, _one(_path, "RUN", "a path")]
MaybeInt = Annotated[int | None, _INT, _UNSAID]
MaybeInts = Annotated[tuple[int, ...] | None, _INTS, _UNSAID]
MaybeFloat = Annotated[float | None, _one(float, "FLOAT", "a number"), _UNSAID]
MaybeText = Annotated[str | None, _one(str, "TEXT", "text"), _UNSAID]
MaybePath = Annotated[Path | None, _one(_path, "PATH", "a path"), _UNSAID]
Repeated = Annotated[tuple[str, ...], tyro.conf.UseAppendAction, tyro.conf.arg(metavar="TEXT", help_behavior_hint="")]

SENTENCES = (
    (r"Error parsing (?P<flag>\S+): (?P<why>.*)", "{flag} to be {why}"),
    (r"Missing value for argument '(?P<flag>-[^']+)'", "a value after {flag}, but got none"),
    (r"Missing value for argument '(?P<what>\w+)'", "{what} after {command}, but got none"),
    (r"Missing from (?P<command>gio \w+): (?P<what>\w+)", "{what} after {command}, but got none"),
    (
        r"Unrecognized (or misplaced )?options: (?P<got>.*?)( Arguments are applied to .*)?$",
        "arguments that {command} takes, but got {got}",
    ),
)
"""What tyro prints in its box between the title and the first rule, and what is told instead."""


def sentence(printed: str, arguments: Sequence[str], commands: Mapping[str, Callable[..., int]]) -> str:
    """Return one sentence for the box that tyro prints about arguments that it does not take."""
    command = arguments[0] if arguments else ""
    if command not in commands:
        got = repr(command) if command else "none"
        return f"Expected a command, one of {', '.join(commands)}, but got {got}; see gio --help."
    plain = re.sub(r"\x1b\[[\d;]*m|[│╭╮╰╯]", "", printed)
    title, *parts = (" ".join(part.split()) for part in re.split(r"[─-]{3,}", plain))
    said, *rest = parts or [title]
    said = re.sub(r" \(applied to [^)]*\)", "", said)
    text = f"arguments that gio {command} takes, but: {said.rstrip('.')}"
    for pattern, told in SENTENCES:
        found = re.match(pattern, said)
        if found:
            text = told.format(**{"command": f"gio {command}"} | found.groupdict())
            break
    text = text.replace(", -", " -").replace("--env-arg, ", "--env.").replace("--env-arg ", "--env.")
    meant = re.search(r"(?:Perhaps you meant|Arguments similar to \S+): (--[\w-]+)", " ".join(rest))
    flags = map(flag, signature(commands[command]).parameters)
    perhaps = f"; perhaps {meant[1]} was meant" if meant and meant[1] in flags else ""
    return f"Expected {text}{perhaps}; see gio {command} --help."


def with_flags(text: str, commands: Iterable[Callable[..., int]]) -> str:
    """Return an error of the library as the command line tells it: with flags in the place of Python's names."""
    names = {name for command in commands for name in signature(command).parameters}
    found = re.match(r"Expected (\w+) (?=to be |from |only |without |and |of at least )", text)
    if found is None or found[1] not in names:
        return text

    def spelt(word: re.Match[str]) -> str:
        name, assigned, value = word.groups()
        if name not in names or not (assigned or "_" in name):  # a word of the sentence
            return word[0]
        return f"{flag(name)} {value}" if value else flag(name)

    rest = re.sub(r'(?<!-)\b(\w+)(=(?:True|"(\w+)"))?', spelt, text[found.end() :])
    return f"Expected {flag(found[1])} {rest}".replace("gio_pyro.Settings", "gio train --help")


def flag(name: str) -> str:
    """Return the flag of a command's argument."""
    return "--env.NAME" if name == "env_arg" else f"--{name.replace('_', '-')}"


def later(command: Callable[..., int]) -> Callable[..., Callable[[], int]]:
    """Return the command, to be called once its arguments are known to be right."""

    @wraps(command)
    def bound(**arguments: Any) -> Callable[[], int]:
        return partial(command, **arguments)

    return bound
