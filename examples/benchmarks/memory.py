"""Resident memory of a long run: 200,000 steps of Pendulum-v1 with small networks, and the log of it.

    python examples/benchmarks/memory.py              # about four minutes on one core

The replay (20,000 transitions) is full after a tenth of the run. From then on memory should be flat: the bound is a
growth of 2 % between a quarter of the steps and the end. The log is kept as CSV: step, resident memory in MB, and the
size of the replay in MB. Exit status 1 if the bound is missed.
"""

import argparse
import csv
import resource
import sys
from pathlib import Path

import torch

import gio_pyro as gio

RESULTS = Path(__file__).parent / "results" / "memory.csv"
SETTINGS = {"hidden": (32,), "batch_size": 64, "train_freq": 16, "buffer_size": 20_000, "learning_starts": 1_000}
GROWTH = 1.02
Row = tuple[int, float, float]


def main() -> int:
    """Run, print, keep the log, and return the exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=200_000)
    parser.add_argument("--every", type=int, default=5_000, help="steps between rows of the log")
    parser.add_argument("--results", type=Path, default=RESULTS)
    options = parser.parse_args()
    torch.set_num_threads(1)
    print("settings:", ", ".join(f"{name}={value}" for name, value in SETTINGS.items()), flush=True)
    agent = gio.GIO("Pendulum-v1", seed=0, device="cpu", **SETTINGS)
    rows: list[Row] = []
    while agent.steps < options.steps:
        agent.learn(options.every)
        rows.append((agent.steps, resident(), agent.replay.bytes / 1e6))
        print("step {:>7,}   resident {:8.2f} MB   replay {:6.2f} MB".format(*rows[-1]), flush=True)
    write(options.results, rows)
    growth = rows[-1][1] / rows[len(rows) // 4 - 1][1]
    print(f"resident memory at the end over that at a quarter: {growth:.4f} (bound {GROWTH})")
    return 0 if growth <= GROWTH else 1


def resident() -> float:
    """Return the resident memory of this process, MB."""
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize() / 1e6


def write(path: Path, rows: list[Row]) -> None:
    """Write the log."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(("step", "resident_mb", "replay_mb"))
        writer.writerows((step, f"{mb:.2f}", f"{replay:.2f}") for step, mb, replay in rows)


if __name__ == "__main__":
    sys.exit(main())
