"""Mistakes on the command line as one sentence: tyro's own messages, and those of the library with flags in them."""

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial, wraps
from typing import Any

from gio_pyro.cli.option_groups import flag, option_names

SENTENCES = (
    (r"Error parsing (?P<flag>\S+): (?P<why>.*)", "{flag} to be {why}"),
    (r"Missing value for argument '(?P<flag>-[^']+)'", "a value after {flag}, but got none"),
    (r"Missing value for argument '(?P<what>\w+)'", "{what} after {command}, but got none"),
    (r"Missing from (?P<command>gio \w+): (?P<what>\w+)", "{what} after {command}, but got none"),
    (
        r"invalid choice (?P<got>'[^']*') for argument '(?P<what>\w+)'\. Expected one of \((?P<known>.*)\)",
        "{what} to be one of {known}, but got {got}",
    ),
    (
        r"Unrecognized (or misplaced )?options: (?P<got>.*?)( Arguments are applied to .*)?$",
        "arguments that {command} takes, but got {got}",
    ),
)
"""Patterns of what tyro prints in its box between the title and the first rule, and the sentences that replace it."""


def sentence(printed: str, arguments: Sequence[str], commands: Mapping[str, Callable[..., int]]) -> str:
    """Return one sentence for the box that tyro prints about invalid arguments.

    Args:
        printed: what tyro printed.
        arguments: those of the command line.
        commands: the commands by name.
    """
    command = arguments[0] if arguments else ""
    if command not in commands:
        got = repr(command) if command else "none"
        return f"Expected a command, one of {', '.join(commands)}, but got {got}; see gio --help."
    plain = re.sub(r"\x1b\[[\d;]*m|[│╭╮╰╯]", "", printed)
    title, *parts = (" ".join(part.split()) for part in re.split(r"[─-]{3,}", plain))
    message, *rest = parts or [title]
    message = re.sub(r" \(applied to [^)]*\)", "", message)
    text = f"arguments that gio {command} takes, but: {message.rstrip('.')}"
    for pattern, replacement in SENTENCES:
        found = re.match(pattern, message)
        if found:
            text = replacement.format(**{"command": f"gio {command}"} | found.groupdict())
            text = re.sub(r"(?<=one of )('.*')(?=, but)", lambda names: names[0].replace("'", ""), text)
            break
    text = text.replace(", -", " -").replace("--env-arg, ", "--env.").replace("--env-arg ", "--env.")
    meant = re.search(r"(?:Perhaps you meant|Arguments similar to \S+): (--[\w-]+)", " ".join(rest))
    flags = map(flag, option_names(commands[command]))
    perhaps = f"; perhaps {meant[1]} was meant" if meant and meant[1] in flags else ""
    return f"Expected {text}{perhaps}; see gio {command} --help."


def with_flags(text: str, commands: Iterable[Callable[..., int]]) -> str:
    """Return an error of the library with flags in place of the names of settings."""
    names = {name for command in commands for name in option_names(command)}
    found = re.match(r"Expected (\w+) (?=to be |from |only |without |and |of at least )", text)
    if found is None or found[1] not in names:
        return text

    def as_flag(word: re.Match[str]) -> str:
        name, assigned, value = word.groups()
        if name not in names or not (assigned or "_" in name):  # an ordinary word
            return word[0]
        return f"{flag(name)} {value}" if value else flag(name)

    rest = re.sub(r'(?<!-)\b(\w+)(=(?:True|"(\w+)"))?', as_flag, text[found.end() :])
    return f"Expected {flag(found[1])} {rest}".replace("gio_pyro.Settings", "gio train --help")


def deferred(command: Callable[..., int]) -> Callable[..., partial[int]]:
    """Return the command as a function that binds the parsed arguments and runs later, outside tyro."""

    @wraps(command)
    def bound(**arguments: Any) -> partial[int]:
        return partial(command, **arguments)

    return bound
