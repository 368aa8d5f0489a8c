"""Time of a seed that learns beside others, their networks updated as one, over that of a seed alone.

    python examples/benchmarks/stacked_seeds.py          # about ten minutes on two cores

Pendulum, layers of 64 units, batches of 256, one update a step. Each row is the median CPU time of one thread
between reports, for each seed and 1,000 steps, once the graphs are compiled, or of eager updates; one seed alone is a
run of `GIO.learn`. The aim for eight seeds is a half.
"""

import statistics
import time
from itertools import pairwise
from pathlib import Path
from typing import Any

from kept import Kept, command_line

import gio_pyro as gio

RESULTS = Path(__file__).parent / "results" / "stacked_seeds.csv"
KEYS = ("update", "seeds")
ENVIRONMENT, AIM, MOST = "Pendulum-v1", 0.5, 8
UPDATES = {"compiled": True, "eager": False}
"""Settings of `compile` by their names in the table."""
SETTINGS: dict[str, Any] = {"hidden": (64, 64), "learning_starts": 300}
WARM_UP = 100
"""Updates of the policy before the first report that counts."""


def main() -> int:
    """Measure, print, keep, and return the exit status: 1 if the aim is missed."""
    parser = command_line(__doc__, RESULTS)
    parser.add_argument("--update", choices=list(UPDATES), help="one kind of update; both by default")
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 4, 8])
    parser.add_argument("--reports", type=int, default=7, help="reports whose median time counts")
    parser.add_argument("--steps", type=int, default=200, help="steps between reports")
    options = parser.parse_args()
    kept = Kept(options.results, KEYS)
    for update in UPDATES if options.update is None else [options.update]:
        for count in options.seeds:
            spent = 1e6 * seconds_of_step(count, options.reports, options.steps, compile=UPDATES[update])
            kept.add([{"update": update, "seeds": count, "ms": f"{spent:.0f}"}])
    print("\n".join(table(kept)))
    return int(any(share(kept, update, MOST) > AIM for update in UPDATES if (update, MOST) in kept))


def table(kept: Kept) -> list[str]:
    """Return the time of each number of seeds as Markdown."""
    lines = ["| update | seeds | ms for each seed and 1,000 steps | of one alone |", "|---" * 4 + "|"]
    for (update, seeds), row in kept.rows.items():
        lines.append(f"| {update} | {seeds} | {row['ms']} | {share(kept, update, seeds):.2f} |")
    return lines


def share(kept: Kept, update: str, seeds: int | str) -> float:
    """Return the time of a seed among several, as a share of that of a seed alone."""
    several, alone = (float(kept[update, count]["ms"]) for count in (seeds, 1))
    return several / alone


def seconds_of_step(count: int, reports: int, interval: int, **how: Any) -> float:
    """Return the CPU-seconds of a step of each seed among `count`, the median between reports."""
    ends: list[float] = []
    first = SETTINGS["learning_starts"] + WARM_UP

    def report(agent: gio.GIO, _: Any) -> None:
        if agent.settings.seed == count - 1 and agent.steps >= first:
            ends.append(time.process_time())

    settings = SETTINGS | how | {"log_interval": interval}
    steps = first + (reports + 1) * interval
    if count == 1:
        gio.GIO(ENVIRONMENT, seed=0, **settings).learn(steps, callback=report)
    else:
        gio.learn_seeds(ENVIRONMENT, range(count), steps, callback=report, **settings)
    return statistics.median(later - sooner for sooner, later in pairwise(ends)) / interval / count


if __name__ == "__main__":
    raise SystemExit(main())
