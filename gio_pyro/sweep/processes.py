"""One run in a process of its own, which saves and stops if the process that started it dies."""

import multiprocessing
import os
import signal
import sys
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from multiprocessing.process import BaseProcess
from pathlib import Path
from pkgutil import resolve_name
from typing import Any

STOPPED = 128 + signal.SIGTERM
STARTS = 20
"""Times that a start is tried while the server that processes are forked from is gone."""
SERVER_LOST = 255
"""What `multiprocessing` calls the exit status of a process whose server is gone."""


class Processes:
    """Starts processes for runs, and stops those that are alive.

    Where the platform has it, they are forked from a server that has imported `preload` already, which saves each run
    some seconds.

    Args:
        main: the command line, `module:function`, which takes arguments and returns the exit status.
        preload: modules to import once.
    """

    def __init__(self, main: str, preload: Sequence[str]) -> None:
        self.main, self.preload = main, tuple(preload)
        self.alive: set[BaseProcess] = set()
        self.stopping = False
        self.lock = threading.Lock()

    def start(self, arguments: list[str], log: str) -> int:
        """Carry out one command and return its exit status, negative for a process that a signal killed."""
        process: BaseProcess | None = None
        for _ in range(STARTS):
            with self.lock:
                if self.stopping:
                    return STOPPED
                new = self._context().Process(target=_carry_out, args=(self.main, arguments, log))
                with suppress(EOFError, OSError):  # the server was killed; a later start finds or begins another
                    new.start()
                    process = new
                    self.alive.add(new)
                    break
            time.sleep(0.5)
        if process is None:
            return -signal.SIGKILL
        process.join()
        with self.lock:
            self.alive.discard(process)
        if process.exitcode == SERVER_LOST:
            return self._ended(process)
        return process.exitcode if process.exitcode is not None else -signal.SIGKILL

    def _ended(self, process: BaseProcess) -> int:
        """Let a process save and end whose exit status will never be known, since the server was killed."""
        assert process.pid is not None
        with suppress(ProcessLookupError):
            os.kill(process.pid, signal.SIGTERM)
        return STOPPED if self.stopping else -signal.SIGTERM

    def stop(self) -> None:
        """Ask all processes, also those that begin from now on, to save and end."""
        with self.lock:
            self.stopping = True
            for process in self.alive:
                process.terminate()

    def _context(self) -> Any:
        if "forkserver" not in multiprocessing.get_all_start_methods():
            return multiprocessing.get_context("spawn")
        context = multiprocessing.get_context("forkserver")
        context.set_forkserver_preload(list(self.preload))
        return context

    def __getstate__(self) -> dict[str, Any]:
        """Return what another machine needs."""
        return {"main": self.main, "preload": self.preload}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__init__(**state)  # type: ignore[misc]


def _carry_out(main: str, arguments: list[str], log: str) -> None:
    """Run a command with its output appended to a file, and leave with its exit status."""
    Path(log).parent.mkdir(parents=True, exist_ok=True)
    with open(log, "ab") as file, open(os.devnull, "rb") as nothing:
        os.dup2(nothing.fileno(), 0)
        os.dup2(file.fileno(), 1)
        os.dup2(file.fileno(), 2)
    _stop_with_parent()
    sys.stdin = open(0, closefd=False)  # noqa: SIM115
    sys.stdout, sys.stderr = open(1, "w", closefd=False), open(2, "w", buffering=1, closefd=False)  # noqa: SIM115
    status = resolve_name(main)(arguments)
    sys.stdout.flush()
    sys.exit(status)


def _stop_with_parent() -> None:
    """Send this process SIGTERM, upon which a run saves and ends, when the process that started it is gone."""
    parent = multiprocessing.parent_process()

    def wait() -> None:
        assert parent is not None
        parent.join()
        os.kill(os.getpid(), signal.SIGTERM)

    if parent is not None:
        threading.Thread(target=wait, daemon=True, name="stop with parent").start()
