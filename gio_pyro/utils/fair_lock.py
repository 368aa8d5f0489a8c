"""One thread at a time, first come first served, and nobody who waits is left behind by a fork."""

import os
import threading
import time
from collections import deque
from itertools import takewhile

FORK_TIMEOUT = 10.0
"""Seconds that a fork waits for another thread to come to the end of what it is at."""
POLL_INTERVAL = 0.0005
"""Seconds between two looks at the queue."""


class Ticket:
    """A place in the queue; no two are equal."""

    def __init__(self, thread: int) -> None:
        self.thread = thread


class FairLock:
    """A lock that a thread may take again while it holds it, and that goes to whoever has waited longest.

    A thread that learns gives it back after every round and wants it again at once; with an ordinary lock one that
    wants to save would hardly ever get it.

    A fork waits until nobody is inside, so that the child has no agent that stopped halfway and no random numbers that
    belong to somebody else. The hooks for that are set when the lock is first used, not by an import.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._queue: deque[Ticket] = deque()
        self._owner: int | None = None
        self._depth = 0
        self._hooked = self._held_for_fork = False

    def __enter__(self) -> None:
        self._hook()
        self._take(None)

    def __exit__(self, *_: object) -> None:
        self._give_back()

    def _take(self, seconds: float | None) -> bool:
        """Take the lock once everybody who came before had it; returns False if that takes more than `seconds`."""
        me = threading.get_ident()
        if self._owner != me:
            if not self._wait(Ticket(me), seconds):
                return False
            self._owner = me
        self._depth += 1
        return True

    def _wait(self, ticket: Ticket, seconds: float | None) -> bool:
        end = None if seconds is None else time.monotonic() + seconds
        self._queue.append(ticket)
        try:
            while self._others_before(ticket):
                if end is not None and time.monotonic() > end:
                    return False
                time.sleep(POLL_INTERVAL)
            return self._lock.acquire(timeout=-1 if end is None else max(end - time.monotonic(), 0.0))
        finally:
            self._queue.remove(ticket)

    def _others_before(self, ticket: Ticket) -> bool:
        """Whether another thread came first; what a signal interrupted in this one does not count."""
        before = takewhile(lambda other: other is not ticket, tuple(self._queue))
        return any(other.thread != ticket.thread for other in before)

    def _give_back(self) -> None:
        self._depth -= 1
        if self._depth == 0:
            self._owner = None
            self._lock.release()

    def _hook(self) -> None:
        if self._hooked or not hasattr(os, "register_at_fork"):  # Windows does not fork
            return
        self._hooked = True
        os.register_at_fork(before=self._before_fork, after_in_parent=self._after_fork, after_in_child=self._renew)

    def _before_fork(self) -> None:
        self._held_for_fork = self._take(FORK_TIMEOUT)

    def _after_fork(self) -> None:
        if self._held_for_fork:
            self._give_back()

    def _renew(self) -> None:
        """Begin anew in a child, where only the thread that forked goes on; what it was inside of, it still is."""
        mine = self._owner == threading.get_ident()
        self._depth = self._depth - self._held_for_fork if mine else 0
        self._owner = self._owner if self._depth else None
        self._lock, self._queue = threading.Lock(), deque()
        if self._depth:
            self._lock.acquire()
