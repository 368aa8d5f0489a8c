"""A fair, re-entrant lock that is safe with forks."""

import os
import threading
import time
from collections import deque
from itertools import takewhile

FORK_TIMEOUT = 60.0
"""Time that a fork waits for another thread to release the lock, seconds. The first round of an agent, which captures
graphs, takes ten and more on a busy machine."""
POLL_INTERVAL = 0.0005
"""Time between two checks of the queue, seconds."""


class Ticket:
    """A place in the queue, compared by identity."""

    def __init__(self, thread: int) -> None:
        self.thread = thread


class FairLock:
    """A re-entrant lock that goes to the thread that has waited longest.

    A training thread releases it after every round and requests it again at once; with an ordinary lock another thread
    that wants to save would hardly ever get it.

    A fork waits until the lock is free, so that the child has no half-updated agent and no private random state in the
    global generators. The hooks for this are set at the first use of the lock, not by an import.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._queue: deque[Ticket] = deque()
        self._owner: int | None = None
        self._depth = 0
        self._hooked = self._held_for_fork = False

    def __enter__(self) -> None:
        self._register_fork_hooks()
        self._acquire(None)

    def __exit__(self, *_: object) -> None:
        self._release()

    @property
    def awaited(self) -> bool:
        """Whether another thread waits for the lock."""
        return len(self._queue) > 0

    def _acquire(self, seconds: float | None) -> bool:
        """Acquire the lock in order of arrival; returns False after `seconds`, None waiting without limit."""
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
            while self._is_behind_others(ticket):
                if end is not None and time.monotonic() > end:
                    return False
                time.sleep(POLL_INTERVAL)
            return self._lock.acquire(timeout=-1 if end is None else max(end - time.monotonic(), 0.0))
        finally:
            self._queue.remove(ticket)

    def _is_behind_others(self, ticket: Ticket) -> bool:
        """Whether another thread came first; tickets of this thread, interrupted by a signal handler, do not count."""
        before = takewhile(lambda other: other is not ticket, tuple(self._queue))
        return any(other.thread != ticket.thread for other in before)

    def _release(self) -> None:
        self._depth -= 1
        if self._depth == 0:
            self._owner = None
            self._lock.release()

    def _register_fork_hooks(self) -> None:
        if self._hooked or not hasattr(os, "register_at_fork"):  # Windows does not fork
            return
        self._hooked = True
        os.register_at_fork(
            before=self._before_fork, after_in_parent=self._after_fork, after_in_child=self._reset_in_child
        )

    def _before_fork(self) -> None:
        self._held_for_fork = self._acquire(FORK_TIMEOUT)

    def _after_fork(self) -> None:
        if self._held_for_fork:
            self._release()

    def _reset_in_child(self) -> None:
        """Reset the lock in a child, where only the forking thread exists; what that thread held, it still holds."""
        mine = self._owner == threading.get_ident()
        self._depth = self._depth - self._held_for_fork if mine else 0
        self._owner = self._owner if self._depth else None
        self._lock, self._queue = threading.Lock(), deque()
        if self._depth:
            self._lock.acquire()
