"""Learn FrozenLake, CliffWalking and Taxi from samples alone, five seeds each, and judge the policies exactly.

    python examples/benchmarks/finite_control.py                  # about 15 minutes on one core
    python examples/benchmarks/finite_control.py --only FrozenLake

One settings file for all (the defaults of `gio_pyro.Settings`); only the number of steps differs. Two bounds:
the policy's exact return covers at least 98 % of the gap between the uniform policy and the best possible one, and
the learned mutual information, averaged over the states that the policy visits, is within 0.02 nats of the exact
one of that policy. A second group at temperature 0.1 has mutual information worth measuring; it has no return bound,
since there the regularised optimum itself gives up return.

Seconds are CPU time of one thread. Rows already in the CSV file are not run again. Exit status 1 if any bound is
missed.
"""

import argparse
import csv
import statistics
import sys
import time
from collections.abc import Iterable
from dataclasses import asdict
from pathlib import Path

import torch

import gio_pyro as gio

RESULTS = Path(__file__).parent / "results" / "finite_control.csv"
RUNS = (
    ("FrozenLake-v1", 0.01, 40_000),
    ("CliffWalking-v1", 0.01, 20_000),
    ("Taxi-v4", 0.01, 40_000),
    ("FrozenLake-v1", 0.1, 40_000),
    ("CliffWalking-v1", 0.1, 20_000),
)
BOUND_TEMPERATURE = 0.01
SHARE, NATS = 0.98, 0.02


def main() -> int:
    """Run what is missing, print the table, and return the exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", default="", help="run environments whose id contains this")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--steps", type=int, help="environment steps of every run, instead of those above")
    parser.add_argument("--results", type=Path, default=RESULTS)
    options = parser.parse_args()
    torch.set_num_threads(1)
    print("settings:", ", ".join(f"{name}={value}" for name, value in asdict(gio.Settings()).items()), flush=True)
    rows = read(options.results)
    for environment, temperature, steps in RUNS:
        if options.only not in environment:
            continue
        steps = options.steps or steps
        for seed in range(options.seeds):
            key = (environment, str(temperature), str(steps), str(seed))
            if key not in rows:
                rows[key] = run(environment, temperature, steps, seed)
                write(options.results, list(rows.values()))
            print(line(rows[key]), flush=True)
    print("\n".join(["", *table(rows.values()), ""]))
    missed = [row for row in rows.values() if not within(row)]
    print(f"{len(rows) - len(missed)} of {len(rows)} runs within their bounds")
    return 1 if missed else 0


def run(environment: str, temperature: float, steps: int, seed: int, **arguments: str) -> dict[str, str]:
    """Learn once, with further arguments of `GIO`, and return the row for the CSV file."""
    start = time.process_time()
    agent = gio.GIO(environment, temperature=temperature, seed=seed, **arguments).learn(steps)
    seconds = time.process_time() - start
    report = gio.diagnostics.compare_with_exact(agent)
    figures = asdict(report) | {"share_of_gap": report.share_of_gap, "amortisation_gap": report.amortisation_gap}
    row: dict[str, object] = {"environment": environment, "temperature": temperature, "steps": steps, "seed": seed}
    row |= {name: f"{value:.6g}" for name, value in figures.items()} | {"seconds": f"{seconds:.1f}"}
    return {name: str(value) for name, value in row.items()}


def within(row: dict[str, str]) -> bool:
    """Whether a row keeps its bounds."""
    information = abs(float(row["information_learned"]) - float(row["information_exact"])) <= NATS
    bounded = float(row["temperature"]) <= BOUND_TEMPERATURE
    return information and (not bounded or float(row["share_of_gap"]) >= SHARE)


def table(rows: Iterable[dict[str, str]]) -> list[str]:
    """Return the worst of the seeds as Markdown, of the runs that have a bound on their return."""
    lines = [
        "| world | steps | seeds | return (optimal) | share of the gap to uniform | MI learned − exact, nats | CPU s |",
        "|---" * 7 + "|",
    ]
    for world, temperature, steps in RUNS:
        key = {"environment": world, "temperature": str(temperature), "steps": str(steps)}
        mine = [row for row in rows if row.items() >= key.items()]
        if mine and temperature <= BOUND_TEMPERATURE:
            worst = min(mine, key=lambda row: float(row["share_of_gap"]))
            off = max((float(row["information_learned"]) - float(row["information_exact"]) for row in mine), key=abs)
            earned, best = float(worst["return_learned"]), float(worst["return_optimal"])
            kept = f"{sum(map(within, mine))} of {len(mine)} within bounds"
            share = f"{100 * float(worst['share_of_gap']):.2f} %"
            spent = statistics.median(float(row["seconds"]) for row in mine)
            cells = (world, f"{steps:,}", kept, f"{earned:.3f} ({best:.3f})", share, f"{off:.4f}", f"{spent:.0f}")
            lines.append(f"| {' | '.join(cells)} |")
    return lines


def line(row: dict[str, str]) -> str:
    """Return a row as text."""
    return (
        f"{row['environment']:<16} temperature {row['temperature']:<5} seed {row['seed']}  "
        f"return {float(row['return_learned']):9.4f} (optimal {float(row['return_optimal']):.4f}, "
        f"share of gap {float(row['share_of_gap']):8.4f})  MI learned {float(row['information_learned']):.4f} "
        f"exact {float(row['information_exact']):.4f} nats  {row['seconds']} s  {'ok' if within(row) else 'MISSED'}"
    )


def read(path: Path) -> dict[tuple[str, ...], dict[str, str]]:
    """Return the rows that are there, by environment, temperature, steps and seed."""
    if not path.exists():
        return {}
    with path.open(newline="") as file:
        return {
            tuple(row[k] for k in ("environment", "temperature", "steps", "seed")): row for row in csv.DictReader(file)
        }


def write(path: Path, rows: list[dict[str, str]]) -> None:
    """Write all rows; a reader sees the old file or the new one."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_suffix(".part")
    with temporary.open("w", newline="") as file:
        writer = csv.DictWriter(file, fieldnames=list(rows[0]), lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)
    temporary.replace(path)


if __name__ == "__main__":
    sys.exit(main())
