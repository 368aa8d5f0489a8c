"""Time of a seed that learns beside others, their networks updated as one, over that of a seed alone.

    python examples/benchmarks/stacked_seeds.py          # about ten minutes on two cores

Pendulum, layers of 64 units, batches of 256, one update a step. Each row is the median wall time between reports, for
each seed and 1,000 steps, once the graphs are compiled; one seed alone is a run of `GIO.learn`. The aim for eight seeds
is a half.
"""

import argparse
import csv
import statistics
import time
from itertools import pairwise
from pathlib import Path
from typing import Any

import gio_pyro as gio

RESULTS = Path(__file__).parent / "results" / "stacked_seeds.csv"
ENVIRONMENT, WARM_UP, INTERVAL, AIM = "Pendulum-v1", 600, 200, 0.5
SETTINGS: dict[str, Any] = {"hidden": (64, 64), "learning_starts": 300, "log_interval": INTERVAL, "compile": True}


def main() -> int:
    """Measure, print, keep, and return the exit status: 1 if the aim is missed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 4, 8])
    parser.add_argument("--reports", type=int, default=7, help="reports whose median time counts")
    parser.add_argument("--results", type=Path, default=RESULTS)
    options = parser.parse_args()
    times = {count: seconds_of_step(count, options.reports) for count in options.seeds}
    first = times[options.seeds[0]]
    rows = [(count, f"{1e6 * spent:.0f}", f"{spent / first:.3f}") for count, spent in times.items()]
    for count, spent, share in rows:
        print(f"{count} seeds: {spent} ms for each seed and 1,000 steps, {share} of one alone")
    keep(options.results, rows)
    return 0 if float(rows[-1][2]) <= AIM else 1


def seconds_of_step(count: int, reports: int) -> float:
    """Return the seconds of a step of each seed among `count`, the median between reports."""
    ends: list[float] = []

    def report(agent: gio.GIO, _: Any) -> None:
        if agent.settings.seed == count - 1 and agent.steps >= WARM_UP:
            ends.append(time.perf_counter())

    steps = WARM_UP + reports * INTERVAL
    if count == 1:
        gio.GIO(ENVIRONMENT, seed=0, **SETTINGS).learn(steps, callback=report)
    else:
        gio.learn_seeds(ENVIRONMENT, range(count), steps, callback=report, **SETTINGS)
    return statistics.median(later - sooner for sooner, later in pairwise(ends)) / INTERVAL / count


def keep(path: Path, rows: list[tuple[int, str, str]]) -> None:
    """Write the rows as CSV."""
    with path.open("w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(("seeds", "ms for each seed and 1000 steps", "of one alone"))
        writer.writerows(rows)


if __name__ == "__main__":
    raise SystemExit(main())
