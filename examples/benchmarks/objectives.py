"""Which objective should fit the guide? FrozenLake and CliffWalking from samples, judged exactly.

    python examples/benchmarks/objectives.py                      # about 8 minutes on one core

The temperature is 0.1, so that mutual information is worth having. Two columns decide: the amortisation gap, which is
E KL(p_π ‖ q) under the fitted model, the slack of the mutual-information bound; and the error of the model, mean
KL(p ‖ p_ψ) where the policy goes. The control is `BayesGuide`, whose posterior is exact. Medians over the seeds,
largest value in brackets; each run is kept in the CSV file and not run again.
"""

import argparse
import statistics
import sys
from pathlib import Path

import torch
from finite_control import line, read, run, write

from gio_pyro.inference import OBJECTIVES

RESULTS = Path(__file__).parent / "results"
WORLDS = ("FrozenLake-v1", "CliffWalking-v1")
COLUMNS = ("amortisation_gap", "model_error", "information_learned", "information_exact", "return_learned")


def main() -> int:
    """Run what is missing and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=20_000)
    parser.add_argument("--results", type=Path, default=RESULTS)
    options = parser.parse_args()
    torch.set_num_threads(1)
    kinds: dict[str, dict[str, str]] = {name: {"objective": name} for name in OBJECTIVES}
    kinds["exact posterior"] = {"guide": "BayesGuide"}
    print(f"{'world':<16} {'objective':<16}" + "".join(f"{name:>28}" for name in COLUMNS))
    for world in WORLDS:
        for kind, arguments in kinds.items():
            path = options.results / f"objectives-{kind.replace(' ', '_')}.csv"
            rows = runs(world, options.steps, options.seeds, path, arguments)
            print(f"{world:<16} {kind:<16}" + "".join(f"{summary(rows, name):>28}" for name in COLUMNS), flush=True)
    return 0


def runs(world: str, steps: int, seeds: int, path: Path, arguments: dict[str, str]) -> list[dict[str, str]]:
    """Return one row a seed, from the file where it has them."""
    rows = read(path)
    for seed in range(seeds):
        key = (world, "0.1", str(steps), str(seed))
        if key not in rows:
            rows[key] = run(world, 0.1, steps, seed, **arguments)
            print(line(rows[key]), file=sys.stderr)
            write(path, list(rows.values()))
    return [rows[world, "0.1", str(steps), str(seed)] for seed in range(seeds)]


def summary(rows: list[dict[str, str]], name: str) -> str:
    """Return the median and, in brackets, the value of largest size."""
    values = [float(row[name]) for row in rows]
    return f"{statistics.median(values):.4f} ({max(values, key=abs):.4f})"


if __name__ == "__main__":
    sys.exit(main())
