"""How many runs a sweep finishes in the time of one job: `gio sweep --jobs 2` beside `--jobs 1`, on an idle machine.

    python examples/benchmarks/throughput.py              # eight minutes of two idle cores; aim: 1.8 with two

Each row is a pair of sweeps of the same runs, one after the other, timed from outside with everything that a user waits
for: starting Python, importing, training, evaluating, drawing. A first sweep, not timed, leaves the compiled update
behind. Rows are kept.
"""

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from statistics import median

from kept import Kept, command_line

RESULTS = Path(__file__).parent / "results" / "throughput.csv"
KEYS = ("environment", "jobs", "pair")
RUNS = {"FrozenLake-v1": ("--steps", "40000", "--seeds", "0-7"), "Pendulum-v1": ("--steps", "2000", "--seeds", "0-7")}
AIM = 1.8


def seconds(environment: str, jobs: int, words: Sequence[str]) -> float:
    """Return the wall-clock seconds of a sweep."""
    with tempfile.TemporaryDirectory() as folder:
        words = ["sweep", environment, *words, "--jobs", str(jobs), "--out", f"{folder}/sweep", "--quiet"]
        start = time.perf_counter()
        subprocess.run([sys.executable, "-m", "gio_pyro", *words], check=True, stdout=subprocess.DEVNULL)
        return time.perf_counter() - start


def table(kept: Kept) -> list[str]:
    """Return the table of the rows, a line for each environment."""
    lines = ["| runs of `gio sweep` | one job, s | two jobs, s | throughput, pair by pair |", "|---|---|---|---|"]
    for environment, words in RUNS.items():
        times = {jobs: kept.numbers("seconds", environment=environment, jobs=jobs) for jobs in (1, 2)}
        ratios = [one / two for one, two in zip(times[1], times[2], strict=True)]
        if ratios:
            what = f"8 of {environment}, {int(words[1]):,} steps"
            cells = [what, *(f"{median(times[jobs]):.0f}" for jobs in (1, 2)), ", ".join(f"{r:.2f}" for r in ratios)]
            lines.append(f"| {' | '.join(cells)} |")
    return lines


def main() -> None:
    """Run what is missing and print the table."""
    parser = command_line(__doc__, RESULTS, quick="a run of 100 steps instead")
    parser.add_argument("--pairs", type=int, default=3)
    options = parser.parse_args()
    kept = Kept(options.results, KEYS)
    print(f"{os.cpu_count()} processors, load {os.getloadavg()[0]:.1f}")
    quick = {"FrozenLake-v1": ("--steps", "100", "--seeds", "0")}
    for environment, words in (quick if options.quick else RUNS).items():
        if not options.quick and any((environment, 2, pair) not in kept for pair in range(options.pairs)):
            seconds(environment, 2, words)
        for pair in range(options.pairs):
            if (environment, 2, pair) not in kept:
                rows = [{"environment": environment, "jobs": n, "pair": pair} for n in ((1, 2), (2, 1))[pair % 2]]
                kept.add([row | {"seconds": seconds(environment, int(row["jobs"]), words)} for row in rows])
    print("\n".join(table(kept)))


if __name__ == "__main__":
    main()
