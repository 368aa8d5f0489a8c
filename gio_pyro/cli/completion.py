"""Completion of commands and flags in bash, zsh and fish, generated from the commands."""

import io
from collections.abc import Callable, Mapping
from contextlib import redirect_stdout, suppress

import tyro


def completion_script(commands: Mapping[str, Callable[..., int]], shell: str) -> str:
    """Return the script that a shell runs to complete `gio`.

    Args:
        commands: the commands by name.
        shell: bash, zsh or fish.
    """
    printed = io.StringIO()
    with redirect_stdout(printed), suppress(SystemExit):
        tyro.extras.subcommand_cli_from_dict({**commands}, prog="gio", args=["--tyro-write-completion", shell, "-"])
    return printed.getvalue().rstrip()
