"""Read the arguments of `gio`."""

import io
from collections.abc import Callable, Mapping, Sequence
from contextlib import redirect_stderr
from functools import partial
from typing import Any

import tyro

from gio_pyro.cli.environment_arguments import expand_flags
from gio_pyro.cli.option_groups import require_one_name
from gio_pyro.cli.usage_errors import deferred, sentence
from gio_pyro.errors import InputError


def parse(arguments: Sequence[str], commands: Mapping[str, Callable[..., int]]) -> partial[int]:
    """Return the command that some arguments name, with its options bound.

    Args:
        arguments: those of the command line; the first is the name of the command.
        commands: the commands by name, at least two.

    Raises:
        InputError: invalid arguments, for which tyro's message is put into one sentence.
    """
    known: dict[str, Any] = {name: deferred(command) for name, command in commands.items()}
    require_one_name(arguments)
    printed = io.StringIO()
    try:
        with redirect_stderr(printed):
            chosen: partial[int] = tyro.extras.subcommand_cli_from_dict(
                known,
                prog="gio",
                description="Intrinsic control as probabilistic programs. gio --version prints the version.",
                args=expand_flags(arguments),
            )
    except SystemExit as leaving:
        if not leaving.code:
            raise
        raise InputError(sentence(printed.getvalue(), arguments, commands)) from None
    return chosen
