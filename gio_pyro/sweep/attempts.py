"""Bring one run to its end: begin it, or resume it, again where its process was killed."""

import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from gio_pyro.errors import InputError
from gio_pyro.sweep.runs import CHECKPOINT, Run, extend, is_complete
from gio_pyro.utils import files

COMPLETE, FAILED, STOPPED, WAITING = "complete", "failed", "stopped", "waiting"
ATTEMPTS = 3
"""Times that a run is begun or resumed before its sweep goes on without it."""
PATIENCE = 120.0
"""Seconds to wait for another process that is at work in the run folder, such as one that saves after a stop."""
STOP_STATUSES = (129, 130, 143)
"""Exit statuses of a run that a stop signal ended, after it has saved."""

Start = Callable[[list[str], str], int]
"""Carries out a command, given its arguments and the file for what it prints; returns the exit status, negative for a
process that a signal killed."""


@dataclass(frozen=True)
class Outcome:
    """How a run ended."""

    status: str
    error: str = ""
    """The sentence that a failed run printed last."""
    seconds: float = 0.0
    """Time that it took, of this attempt to carry out the sweep."""


def complete_run(run: Run, start: Start, stopped: Callable[[], bool] = lambda: False) -> Outcome:
    """Bring a run to its end.

    Args:
        run: the run.
        start: what carries out a command.
        stopped: whether the sweep is being stopped.
    """
    began, killed = time.monotonic(), ""

    def outcome(status: str, error: str = "") -> Outcome:
        return Outcome(status, error, time.monotonic() - began)

    for _ in range(ATTEMPTS):
        if is_complete(run):
            return outcome(COMPLETE)
        if stopped():
            return outcome(STOPPED)
        if not _wait_until_free(Path(run.folder), stopped):
            return outcome(FAILED, f"another process is at work in {run.folder}")
        if is_complete(run):  # by the process that was at work there
            return outcome(COMPLETE)
        _remove_without_checkpoint(Path(run.folder))
        extend(run)
        status = start(run.command(), run.log)
        if status == 0:
            return outcome(COMPLETE)
        if status in STOP_STATUSES:
            return outcome(STOPPED)
        if status > 0:
            return outcome(FAILED, last_line(Path(run.log)) or f"exit status {status}")
        killed = f"killed by signal {-status}"
    return outcome(FAILED, f"{killed} in each of {ATTEMPTS} attempts")


def _wait_until_free(folder: Path, stopped: Callable[[], bool]) -> bool:
    """Wait until no process is at work in a run folder; returns whether that is so."""
    until = time.monotonic() + PATIENCE
    while folder.exists():
        try:
            files.release(files.claim(folder))
            return True
        except InputError:
            if stopped() or time.monotonic() > until:
                return False
            time.sleep(0.1)
    return True


def _remove_without_checkpoint(folder: Path) -> None:
    """Remove the folder of a run that was killed before it wrote a checkpoint."""
    if folder.exists() and not (folder / CHECKPOINT).exists():
        shutil.rmtree(folder)


def outcome_on_disk(run: Run) -> Outcome:
    """Return how a run ended that an earlier process carried out, as its folder and its log say."""
    if is_complete(run):
        return Outcome(COMPLETE)
    if run.path.exists():
        return Outcome(STOPPED)
    said = last_line(Path(run.log))
    return Outcome(FAILED, said) if said else Outcome(WAITING)


def last_line(path: Path) -> str:
    """Return the last line of a text that is not empty, without the name of the command; "" where there is none."""
    try:
        lines = path.read_text(errors="replace").split("\n")
    except OSError:
        return ""
    return next((line.strip().removeprefix("gio: ") for line in reversed(lines) if line.strip()), "")
