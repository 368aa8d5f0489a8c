"""Ctrl-C, SIGTERM and SIGHUP: three ways to ask a command to stop, which answers with 128 and the signal's number."""

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

SIGNALS = tuple(getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name))


class Stopped(KeyboardInterrupt):
    """A signal that ends what is going on.

    Args:
        number: of the signal.
    """

    def __init__(self, number: int) -> None:
        super().__init__()
        self.number = number


def status_of(stop: KeyboardInterrupt) -> int:
    """Return the exit status of a command that a signal ended, as a shell gives it."""
    return 128 + getattr(stop, "number", signal.SIGINT)


@contextmanager
def stoppable(handler: Callable[[int, Any], None] | None = None) -> Iterator[None]:
    """Handle the signals inside the block, by default by raising `Stopped`, and as before after it.

    SIGTERM and SIGHUP that were ignored stay so (nohup); a thread other than the main one handles none.
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
def asked_to_stop() -> Iterator[list[int]]:
    """Collect the signals that come inside the block, so that what is begun can be ended well.

    A second Ctrl-C does not wait; what asks without a person, perhaps by several signals at once, does.
    """
    asked: list[int] = []

    def ask(number: int, frame: Any) -> None:
        if number == signal.SIGINT and number in asked:
            raise Stopped(number)
        asked.append(number)

    with stoppable(ask):
        yield asked


def _raise(number: int, frame: Any) -> None:
    raise Stopped(number)
