"""What a sweep shows while it runs: a bar over all runs on a terminal, else a line for each run that ends."""

import sys
from collections import Counter
from collections.abc import Iterable
from typing import Any

from tqdm import tqdm

from gio_pyro.sweep.attempts import COMPLETE, Outcome
from gio_pyro.sweep.runs import Run, share_done


class Progress:
    """Shows how far a sweep is.

    Args:
        total: number of runs.
        quiet: show nothing.
    """

    def __init__(self, total: int, *, quiet: bool) -> None:
        self.total, self.counts = total, Counter[str]()
        self.bar: Any = None
        self.lines = not quiet and not sys.stderr.isatty()
        if not quiet and sys.stderr.isatty():
            form = "{percentage:3.0f}% |{bar}| {n:.1f} of {total} runs, {elapsed} elapsed, {remaining} left{postfix}"
            self.bar = tqdm(total=total, bar_format=form, file=sys.stderr)

    def show(self, running: Iterable[Run]) -> None:
        """Show the progress, given the runs that have begun and not ended."""
        if self.bar is not None:
            done = self.counts.total() + sum(share_done(run.folder, run.steps) for run in running)
            self.bar.update(max(done - self.bar.n, 0))

    def ended(self, run: Run, outcome: Outcome) -> None:
        """Show that a run has ended."""
        self.counts[outcome.status] += 1
        others = ", ".join(f"{n} {status}" for status, n in sorted(self.counts.items()) if status != COMPLETE)
        if self.bar is not None:
            self.bar.set_postfix_str(others)
        if self.lines:
            print(
                f"{self.counts.total()} of {self.total}: {run.name} {told(run, outcome)}", file=sys.stderr, flush=True
            )

    def close(self) -> None:
        """Leave the bar as it is."""
        if self.bar is not None:
            self.bar.close()


def told(run: Run, outcome: Outcome) -> str:
    """Return how a run ended, as text."""
    if outcome.status == COMPLETE:
        return f"complete, return {run.score:.4g}, {outcome.seconds:.0f} s"
    return f"{outcome.status}: {outcome.error}" if outcome.error else outcome.status
