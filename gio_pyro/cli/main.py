"""`gio`: the command line. A mistake of the user gives one sentence on standard error and exit status 2."""

import io
import os
import sys
import warnings
from collections.abc import Callable, Sequence
from contextlib import redirect_stderr
from functools import partial
from importlib import metadata
from types import FrameType
from typing import Any

from gio_pyro.cli import BROKEN_PIPE
from gio_pyro.cli.stopping import Stopped, status_of, stoppable

TRACEBACK = "GIO_TRACEBACK"
"""Environment variable that makes an internal error show its traceback."""


def entry_point(arguments: Sequence[str] | None = None) -> int:
    """Run `gio` with the given arguments (those of the process by default) and return its exit status."""
    try:
        with stoppable():
            return _run(arguments)
    except KeyboardInterrupt as stop:
        print("Interrupted.", file=sys.stderr)
        return status_of(stop)
    except BrokenPipeError:
        return BROKEN_PIPE
    except OSError as error:
        print(f"gio: Expected files that can be read and written, but: {error}.", file=sys.stderr)
        return 2


def _run(arguments: Sequence[str] | None) -> int:
    given = list(sys.argv[1:] if arguments is None else arguments)
    if given == ["--version"]:
        print(f"gio-pyro {metadata.version('gio-pyro')}")
        return 0
    from gio_pyro.cli.commands import LIGHT
    from gio_pyro.errors import GioError

    try:
        command = _command(given)
        if command.func in LIGHT:
            return command()
    except GioError as error:
        return _report(error)
    os.environ.setdefault("PYGAME_HIDE_SUPPORT_PROMPT", "1")
    _import_everything()
    return _with_warnings(command)


def _with_warnings(command: Callable[[], int]) -> int:
    """Run a command, whose warnings are shown if they are the library's own; errors become one sentence."""
    from gio_pyro.errors import GioError, GioWarning, describe_error
    from gio_pyro.utils.threads import few_threads

    with few_threads(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        warnings.simplefilter("always", GioWarning)
        warnings.showwarning = _print_warning
        try:
            return command()
        except GioError as error:
            return _report(error)
        except OSError:
            raise
        except Exception as error:  # a status of its own could be read as a verdict of gio diagnose
            if os.environ.get(TRACEBACK):
                raise
            print(f"gio: Internal error: {describe_error(error)}; set {TRACEBACK}=1 and report it.", file=sys.stderr)
            return 2


def _report(error: Exception) -> int:
    """Print a mistake of the user with flags in place of settings; returns the exit status."""
    from gio_pyro.cli.commands import COMMANDS
    from gio_pyro.cli.usage_errors import with_flags

    print(f"gio: {with_flags(str(error), COMMANDS.values())}", file=sys.stderr)
    return 2


def _command(arguments: list[str]) -> partial[int]:
    """Parse the arguments and return the command with them bound; tyro's errors become one sentence."""
    import tyro

    from gio_pyro.cli.commands import COMMANDS
    from gio_pyro.cli.environment_arguments import expand_flags
    from gio_pyro.cli.option_groups import require_one_name
    from gio_pyro.cli.usage_errors import deferred, sentence
    from gio_pyro.errors import InputError

    commands: dict[str, Any] = {name: deferred(command) for name, command in COMMANDS.items()}
    require_one_name(arguments)
    printed = io.StringIO()
    try:
        with redirect_stderr(printed):
            chosen: partial[int] = tyro.extras.subcommand_cli_from_dict(
                commands,
                prog="gio",
                description="Intrinsic control as probabilistic programs. gio --version prints the version.",
                args=expand_flags(arguments),
            )
    except SystemExit as leaving:
        if not leaving.code:
            raise
        raise InputError(sentence(printed.getvalue(), arguments, COMMANDS)) from None
    return chosen


def _print_warning(message: Warning | str, *_: Any, **__: Any) -> None:
    """Show a warning as one line, without the line of code that gave it."""
    print(f"gio: {message}", file=sys.stderr)


def _import_everything() -> None:
    """Import the heavy libraries; a stop signal meanwhile takes effect afterwards, since some of them swallow it."""
    received: list[int] = []

    def remember(number: int, frame: FrameType | None) -> None:
        received.append(number)

    with stoppable(remember):
        import gio_pyro.cli.run_commands  # noqa: F401
    if received:
        raise Stopped(received[0])


if __name__ == "__main__":
    sys.exit(entry_point())
