"""`gio`: the command line. A user's mistake is answered with one sentence on standard error and exit status 2."""

import io
import os
import sys
import warnings
from collections.abc import Callable, Sequence
from contextlib import redirect_stderr
from types import FrameType
from typing import Any

from gio_pyro.cli import LEFT
from gio_pyro.cli.stopping import Stopped, status_of, stoppable

TRACEBACK = "GIO_TRACEBACK"
"""An environment variable; where it is set, an error that nobody foresaw is shown whole."""


def entry_point(arguments: Sequence[str] | None = None) -> int:
    """Run `gio` with the given arguments (those of the process by default) and return its exit status."""
    try:
        with stoppable():
            return _run(arguments)
    except KeyboardInterrupt as stop:
        print("Interrupted.", file=sys.stderr)
        return status_of(stop)
    except BrokenPipeError:
        return LEFT
    except OSError as error:
        print(f"gio: Expected files that can be read and written, but: {error}.", file=sys.stderr)
        return 2


def _run(arguments: Sequence[str] | None) -> int:
    os.environ.setdefault("PYGAME_HIDE_SUPPORT_PROMPT", "1")
    _import_everything()

    from gio_pyro.cli import usage
    from gio_pyro.cli.commands import COMMANDS
    from gio_pyro.errors import GioError, GioWarning, describe_error
    from gio_pyro.utils.threads import few_threads

    given = list(sys.argv[1:] if arguments is None else arguments)
    with few_threads(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        warnings.simplefilter("always", GioWarning)
        warnings.showwarning = _say
        try:
            return _command(given)()
        except GioError as error:
            print(f"gio: {usage.with_flags(str(error), COMMANDS.values())}", file=sys.stderr)
            return 2
        except OSError:
            raise
        except Exception as error:  # no mistake that is known; a status of its own would read as a verdict
            if os.environ.get(TRACEBACK):
                raise
            print(
                f"gio: Expected no such trouble, but got {describe_error(error)}; if the fault is not in "
                f"a program or an "
                f"environment of your own, report it with what {TRACEBACK}=1 shows.",
                file=sys.stderr,
            )
            return 2


def _command(arguments: list[str]) -> Callable[[], int]:
    """Return the command that the arguments name, with what it was given; what tyro says of mistakes is told anew."""
    import tyro

    from gio_pyro.cli import usage
    from gio_pyro.cli.commands import COMMANDS
    from gio_pyro.cli.worlds import rewritten
    from gio_pyro.errors import InputError

    commands: dict[str, Any] = {name: usage.later(command) for name, command in COMMANDS.items()}
    printed = io.StringIO()
    try:
        with redirect_stderr(printed):
            chosen: Callable[[], int] = tyro.extras.subcommand_cli_from_dict(
                commands,
                prog="gio",
                description="Intrinsic control as probabilistic programs.",
                args=rewritten(arguments),
            )
    except SystemExit as leaving:
        if not leaving.code:
            raise
        raise InputError(usage.sentence(printed.getvalue(), arguments, COMMANDS)) from None
    return chosen


def _say(message: Warning | str, *_: Any, **__: Any) -> None:
    """Show a warning as one line, without the line of code that gave it."""
    print(f"gio: {message}", file=sys.stderr)


def _import_everything() -> None:
    """Import the heavy libraries; a signal meanwhile is remembered, since some of them swallow it."""
    asked: list[int] = []

    def remember(number: int, frame: FrameType | None) -> None:
        asked.append(number)

    with stoppable(remember):
        import gio_pyro.cli.commands  # noqa: F401
    if asked:
        raise Stopped(asked[0])


if __name__ == "__main__":
    sys.exit(entry_point())
