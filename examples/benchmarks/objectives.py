"""Which objective should fit the guide? FrozenLake and CliffWalking from samples, judged exactly.

    python examples/benchmarks/objectives.py                      # about 12 minutes on one core

The temperature is 0.1, so that mutual information is worth having. Two columns decide: the amortisation gap, which is
E KL(p_π ‖ q) under the fitted model, the slack of the mutual-information bound; and the error of the model, mean
KL(p ‖ p_ψ) where the policy goes. The control is `BayesGuide`, whose posterior is exact. Medians over the seeds,
largest value in brackets; the last table has the return of every seed. Each run is kept in the CSV file and not run
again.
"""

import argparse
import statistics
import sys
from pathlib import Path

import torch
from finite_control import line, read, run, write

RESULTS = Path(__file__).parent / "results"
WORLDS = ("FrozenLake-v1", "CliffWalking-v1")
TEMPERATURE, STEPS = 0.1, 20_000
EXACT = "exact posterior"
KINDS: dict[str, dict[str, str]] = {
    **{name: {"objective": name} for name in ("elbo", "forward_kl", "sleep", "wake_sleep", "joint_elbo")},
    EXACT: {"guide": "BayesGuide"},
}
"""The one-step objectives; those of pieces are compared in examples/studies/trajectory_bound.py."""
COLUMNS = ("amortisation_gap", "model_error", "information_learned", "information_exact", "return_learned")


def main() -> int:
    """Run what is missing and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--steps", type=int, default=STEPS)
    parser.add_argument("--results", type=Path, default=RESULTS)
    options = parser.parse_args()
    torch.set_num_threads(1)
    print(f"{'world':<16} {'objective':<16}" + "".join(f"{name:>28}" for name in COLUMNS))
    for world in WORLDS:
        for kind, arguments in KINDS.items():
            rows = runs(world, options.steps, options.seeds, options.results / name_of(kind), arguments)
            print(f"{world:<16} {kind:<16}" + "".join(f"{summary(rows, name):>28}" for name in COLUMNS), flush=True)
    print("\n".join(["", *table(options.results, options.steps)]))
    return 0


def name_of(kind: str) -> str:
    """Return the name of the file with the rows of an objective."""
    return f"objectives-{kind.replace(' ', '_')}.csv"


def table(results: Path, steps: int = STEPS) -> list[str]:
    """Return both columns that decide, medians, and the exact return on the lake of every seed, as Markdown."""
    lines = [
        "| objective | amortisation gap: FrozenLake | CliffWalking | model error: FrozenLake | CliffWalking "
        "| return on FrozenLake, seed by seed |",
        "|---" * 6 + "|",
    ]
    for kind in KINDS:
        rows = [row for row in read(results / name_of(kind)).values() if row["steps"] == str(steps)]
        of = {world: [row for row in rows if row["environment"] == world] for world in WORLDS}
        medians = [
            statistics.median(float(row[name]) for row in of[world])
            for name in ("amortisation_gap", "model_error")
            for world in WORLDS
        ]
        cells = [f"{abs(value):.4f}" for value in medians]
        returns = ", ".join(f"{float(row['return_learned']):.3f}" for row in of[WORLDS[0]])
        name = "`BayesGuide`, no objective" if kind == EXACT else f"`{kind}`"
        lines.append(f"| {name} | {' | '.join(cells)} | {returns} |")
    return lines


def runs(world: str, steps: int, seeds: int, path: Path, arguments: dict[str, str]) -> list[dict[str, str]]:
    """Return one row a seed, from the file where it has them."""
    rows = read(path)
    for seed in range(seeds):
        key = (world, str(TEMPERATURE), str(steps), str(seed))
        if key not in rows:
            rows[key] = run(world, TEMPERATURE, steps, seed, **arguments)
            print(line(rows[key]), file=sys.stderr)
            write(path, list(rows.values()))
    return [rows[world, str(TEMPERATURE), str(steps), str(seed)] for seed in range(seeds)]


def summary(rows: list[dict[str, str]], name: str) -> str:
    """Return the median and, in brackets, the value of largest size."""
    values = [float(row[name]) for row in rows]
    return f"{statistics.median(values):.4f} ({max(values, key=abs):.4f})"


if __name__ == "__main__":
    sys.exit(main())
