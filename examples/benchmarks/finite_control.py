"""Learn FrozenLake, CliffWalking and Taxi from samples alone, five seeds each, and judge the policies exactly.

    python examples/benchmarks/finite_control.py                  # about 15 minutes on one core
    python examples/benchmarks/finite_control.py --only FrozenLake

One settings file for all (the defaults of `gio_pyro.Settings`); only the number of steps differs. Two bounds:
the policy's exact return covers at least 98 % of the gap between the uniform policy and the best possible one, and
the learned mutual information, averaged over the states that the policy visits, is within 0.02 nats of the exact
one of that policy. A second group at temperature 0.1 has mutual information worth measuring; it has no return bound,
since there the regularised optimum itself gives up return.

Runs are those of `gio sweep`, printed before they begin. Seconds are those that the process learned for. Rows already
in the CSV file are not run again. Exit status 1 if any bound is missed.
"""

import statistics
import sys
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from pathlib import Path

import torch
from kept import Kept, Row, command_line
from swept import agents, sweep_options

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
KEYS = ("environment", "temperature", "steps", "seed")


def main() -> int:
    """Run what is missing, print the table, and return the exit status."""
    parser = command_line(__doc__, RESULTS, seeds=5)
    parser.add_argument("--only", default="", help="run environments whose id contains this")
    parser.add_argument("--steps", type=int, help="environment steps of every run, instead of those above")
    sweep_options(parser, "runs/finite_control")
    options = parser.parse_args()
    torch.set_num_threads(1)
    print("settings:", ", ".join(f"{name}={value}" for name, value in asdict(gio.Settings()).items()), flush=True)
    kept = Kept(options.results, KEYS)
    for environment, temperature, steps in RUNS:
        if options.only in environment:
            folder = options.folder / f"{environment}-{temperature}"
            keys = [(environment, temperature, options.steps or steps, seed) for seed in range(options.seeds)]
            run(kept, keys, folder, options.jobs)
            print("\n".join(line(kept[key]) for key in keys if key in kept), flush=True)
    rows = kept.rows.values()
    print("\n".join(["", *table(rows), ""]))
    missed = [row for row in rows if not within(row)]
    print(f"{len(rows) - len(missed)} of {len(rows)} runs within their bounds")
    return 1 if missed else 0


def run(kept: Kept, keys: Sequence[tuple[str, float, int, int]], folder: Path, jobs: int) -> None:
    """Add the rows that are missing of one environment, temperature and number of steps."""
    environment, temperature, steps, _ = keys[0]
    missing = [key[-1] for key in keys if key not in kept]
    flags = ("--temperature", str(temperature))
    for result, agent, seconds in agents(environment, steps, missing, flags, folder, jobs):
        kept.add([judged(agent, (environment, temperature, steps, result.seed), seconds)])


def judged(agent: gio.GIO, key: tuple[str, float, int, int], seconds: str) -> dict[str, object]:
    """Return the row of an agent, compared with the exact tier."""
    report = gio.diagnostics.compare_with_exact(agent)
    figures = asdict(report) | {"share_of_gap": report.share_of_gap, "amortisation_gap": report.amortisation_gap}
    return {**dict(zip(KEYS, key, strict=True)), **figures, "seconds": seconds}


def within(row: Row) -> bool:
    """Whether a row keeps its bounds."""
    information = abs(float(row["information_learned"]) - float(row["information_exact"])) <= NATS
    bounded = float(row["temperature"]) <= BOUND_TEMPERATURE
    return information and (not bounded or float(row["share_of_gap"]) >= SHARE)


def table(rows: Iterable[Row]) -> list[str]:
    """Return the worst of the seeds as Markdown, of the runs that have a bound on their return."""
    lines = [
        "| world | steps | seeds | return (optimal) | share of the gap to uniform | MI learned − exact, nats | s |",
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
            spent = statistics.median(float(row["seconds"] or "nan") for row in mine)
            cells = (world, f"{steps:,}", kept, f"{earned:.3f} ({best:.3f})", share, f"{off:.4f}", f"{spent:.0f}")
            lines.append(f"| {' | '.join(cells)} |")
    return lines


def line(row: Row) -> str:
    """Return a row as text."""
    return (
        f"{row['environment']:<16} temperature {row['temperature']:<5} seed {row['seed']}  "
        f"return {float(row['return_learned']):9.4f} (optimal {float(row['return_optimal']):.4f}, "
        f"share of gap {float(row['share_of_gap']):8.4f})  MI learned {float(row['information_learned']):.4f} "
        f"exact {float(row['information_exact']):.4f} nats  {row['seconds']} s  {'ok' if within(row) else 'MISSED'}"
    )


if __name__ == "__main__":
    sys.exit(main())
