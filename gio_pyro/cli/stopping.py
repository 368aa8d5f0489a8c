"""Stop signals: Ctrl-C, SIGTERM and SIGHUP end a command with exit status 128 + the number of the signal."""

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

SIGNALS = tuple(getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name))


class Stopped(KeyboardInterrupt):
    """Raised by a stop signal.

    Args:
        number: number of the signal.
    """

    def __init__(self, number: int) -> None:
        super().__init__()
        self.number = number


def status_of(stop: KeyboardInterrupt) -> int:
    """Return the exit status of a command that a signal ended, as in a shell."""
    return 128 + getattr(stop, "number", signal.SIGINT)


@contextmanager
def stoppable(handler: Callable[[int, Any], None] | None = None) -> Iterator[None]:
    """Handle stop signals inside the block, by default by raising `Stopped`; restore the handlers after it.

    SIGTERM and SIGHUP stay ignored where they were (nohup). Threads other than the main one handle no signals.
    """
    before: dict[int, Any] = {}
    if threading.current_thread() is threading.main_thread():
        for number in SIGNALS:
            if number == signal.SIGINT or signal.getsignal(number) not in (signal.SIG_IGN, None):
                before[number] = signal.signal(number, handler or _raise)
    try:
        yield
    finally:
        for number, own in before.items():
            signal.signal(number, signal.SIG_DFL if own is None else own)


@contextmanager
def collect_signals() -> Iterator[list[int]]:
    """Collect the stop signals received inside the block, so that the current round can be finished and saved.

    A second Ctrl-C raises `Stopped` at once; SIGTERM and SIGHUP, which may come several times, never do.
    """
    received: list[int] = []

    def collect(number: int, frame: Any) -> None:
        if number == signal.SIGINT and number in received:
            raise Stopped(number)
        received.append(number)

    with stoppable(collect):
        yield received


def _raise(number: int, frame: Any) -> None:
    raise Stopped(number)
