"""`gio`: the command line. A mistake of the user gives one sentence on standard error and exit status 2."""

import os
import sys
import warnings
from collections.abc import Callable, Sequence
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
    from gio_pyro.cli.commands import COMMANDS, LIGHT
    from gio_pyro.cli.parsing import parse
    from gio_pyro.errors import GioError

    try:
        command = parse(given, COMMANDS)
    except GioError as error:
        return _report(error)
    if command.func in LIGHT:
        return _errors_reported(command)
    os.environ.setdefault("PYGAME_HIDE_SUPPORT_PROMPT", "1")
    _import_everything()
    return _with_warnings(command)


def _with_warnings(command: Callable[[], int]) -> int:
    """Run a command, whose warnings are shown if they are the library's own."""
    from gio_pyro.errors import GioWarning
    from gio_pyro.utils.threads import few_threads

    with few_threads(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        warnings.simplefilter("always", GioWarning)
        warnings.showwarning = _print_warning
        return _errors_reported(command)


def _errors_reported(command: Callable[[], int]) -> int:
    """Run a command whose errors become one sentence."""
    from gio_pyro.errors import GioError, describe_error

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
