"""Carry out the runs of a sweep, with a row for each that ends."""

import time
from collections.abc import Callable, Iterable
from concurrent.futures import FIRST_COMPLETED, Future, wait

from gio_pyro.sweep.attempts import COMPLETE, Outcome
from gio_pyro.sweep.folder import SweepFolder
from gio_pyro.sweep.pools import Pool, outcome_of
from gio_pyro.sweep.progress import Progress
from gio_pyro.sweep.runs import Run, is_complete

POLLED_EVERY = 0.5
"""Seconds between updates of the progress."""
WRITTEN_EVERY = 2.0
"""Seconds between writes of the table."""


def carry_out(
    runs: Iterable[Run], folder: SweepFolder, pool: Pool, progress: Progress, stop: Callable[[], bool]
) -> dict[str, Outcome]:
    """Carry out runs that are not complete, and return how all ended, by name.

    A run that fails is a row of the table; the others go on.

    Args:
        runs: the runs, in the order in which they begin.
        folder: where the table is written.
        pool: where they take place.
        progress: shows what happens.
        stop: whether to stop: the runs that take place save and end.
    """
    outcomes: dict[str, Outcome] = {}
    waiting: dict[Future[Outcome], Run] = {}
    for run in runs:
        if is_complete(run):
            outcomes[run.name] = Outcome(COMPLETE)
            progress.counts[COMPLETE] += 1
        else:
            waiting[pool.submit(run)] = run
    written, stopping = 0.0, False
    while waiting:
        ended, _ = wait(waiting, POLLED_EVERY, FIRST_COMPLETED)
        for one in ended:
            run = waiting.pop(one)
            outcomes[run.name] = outcome_of(one)
            progress.ended(run, outcomes[run.name])
        if stop() and not stopping:
            stopping = True
            pool.stop()
        progress.show(waiting.values())
        if ended and time.monotonic() - written > WRITTEN_EVERY:
            folder.write_table(outcomes)
            written = time.monotonic()
    folder.write_table(outcomes)
    return outcomes
