"""Which objective should fit a guide of continuous actions? Learn Pendulum with each, all else equal.

    python examples/benchmarks/pendulum_objectives.py            # about 20 minutes on one core

For each objective and seed: the mean return of 20 evaluation episodes after 6,000 steps, and the intrinsic reward that
was read along the way, nats, averaged over visited states at each report: its last, least and largest value. A guide
that is overconfident shows as a very negative one. Rows already in the CSV file are not run again.
"""

import argparse
import csv
import sys
import time
import warnings
from pathlib import Path

import torch

import gio_pyro as gio
from gio_pyro.errors import GioError, GioWarning

RESULTS = Path(__file__).parent / "results" / "pendulum_objectives.csv"
OBJECTIVES = ("sleep", "elbo", "wake_sleep", "forward_kl")
ENVIRONMENT, TEMPERATURE = "Pendulum-v1", 0.2
COLUMNS = ("objective", "steps", "seed", "return", "nats_last", "nats_least", "nats_largest", "stopped_at", "seconds")


def main() -> int:
    """Run what is missing, print every row, and return the exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=6_000)
    parser.add_argument("--seeds", type=int, default=2)
    parser.add_argument("--episodes", type=int, default=20, help="of each evaluation; a file should hold one number")
    parser.add_argument("--no-compile", action="store_true", help="run the update as it stands")
    parser.add_argument("--results", type=Path, default=RESULTS)
    options = parser.parse_args()
    torch.set_num_threads(1)
    warnings.simplefilter("ignore", GioWarning)  # what they would say is in the table
    print("  ".join(COLUMNS))
    for objective in OBJECTIVES:
        for seed in range(options.seeds):
            key = (objective, str(options.steps), str(seed))
            if key not in read(options.results):
                add(options.results, (*key, *run(objective, seed, options)))
            print("  ".join(read(options.results)[key]), flush=True)
    return 0


def run(objective: str, seed: int, options: argparse.Namespace) -> tuple[str, ...]:
    """Learn once; a run that is stopped by the library's own checks is reported where it stopped."""
    start, nats = time.perf_counter(), [float("nan")]
    how = {"objective": objective, "seed": seed, "compile": not options.no_compile}
    agent = gio.GIO(ENVIRONMENT, temperature=TEMPERATURE, **how)

    def note(agent: gio.GIO, metrics: dict[str, float]) -> None:
        nats.append(metrics["intrinsic/nats"])

    try:
        agent.learn(options.steps, callback=note)
        earned = f"{agent.evaluate(options.episodes, deterministic=True).mean:.5g}"
    except GioError as error:
        print(f"{objective}, seed {seed}: {error}")
        earned = ""
    read_off = nats[1:] or nats
    figures = (f"{value:.4g}" for value in (read_off[-1], min(read_off), max(read_off)))
    return (earned, *figures, str(agent.steps), f"{time.perf_counter() - start:.0f}")


def read(path: Path) -> dict[tuple[str, ...], tuple[str, ...]]:
    """Return the rows that are there, by objective, steps and seed."""
    if not path.exists():
        return {}
    with path.open(newline="") as file:
        return {tuple(row[:3]): tuple(row) for row in list(csv.reader(file))[1:]}


def add(path: Path, row: tuple[str, ...]) -> None:
    """Add one row, and the header before the first."""
    path.parent.mkdir(parents=True, exist_ok=True)
    new = not path.exists()
    with path.open("a", newline="") as file:
        writer = csv.writer(file)
        writer.writerows([COLUMNS, row] if new else [row])


if __name__ == "__main__":
    sys.exit(main())
