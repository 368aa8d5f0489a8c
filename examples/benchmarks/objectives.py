"""Which objective should fit the guide? FrozenLake and CliffWalking from samples, judged exactly.

    python examples/benchmarks/objectives.py                      # about 12 minutes on one core

The temperature is 0.1, so that mutual information is worth having. Two columns decide: the amortisation gap, which is
E KL(p_π ‖ q) under the fitted model, the slack of the mutual-information bound; and the error of the model, mean
KL(p ‖ p_ψ) where the policy goes. The control is `BayesGuide`, whose posterior is exact. Medians over the seeds,
largest value in brackets; the last table has the return of every seed. Each run is kept in the CSV file and not run
again.
"""

import statistics
import sys
from argparse import Namespace
from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from finite_control import KEYS, judged
from kept import Kept, Row, command_line
from swept import agents, sweep_options

RESULTS = Path(__file__).parent / "results"
WORLDS = ("FrozenLake-v1", "CliffWalking-v1")
TEMPERATURE, STEPS = 0.1, 20_000
EXACT = "exact posterior"
OBJECTIVES = ("elbo", "forward_kl", "sleep", "wake_sleep", "joint_elbo")
"""The one-step objectives; those of pieces are compared in examples/studies/trajectory_bound.py."""
KINDS = (*OBJECTIVES, EXACT)
SWEEPS = {OBJECTIVES: ("--set", f"objective={','.join(OBJECTIVES)}"), (EXACT,): ("--guide", "BayesGuide")}
"""Flags of the sweeps, by what each runs."""
COLUMNS = ("amortisation_gap", "model_error", "information_learned", "information_exact", "return_learned")


def main() -> int:
    """Run what is missing and print the table."""
    parser = command_line(__doc__, RESULTS, seeds=5)
    parser.add_argument("--only", default="", help="worlds whose id contains this")
    parser.add_argument("--steps", type=int, default=STEPS)
    sweep_options(parser, "runs/objectives")
    options = parser.parse_args()
    torch.set_num_threads(1)
    kept = {kind: Kept(options.results / name_of(kind), KEYS) for kind in KINDS}
    worlds = [world for world in WORLDS if options.only in world]
    for world in worlds:
        run(kept, world, options)
    print(f"{'world':<16} {'objective':<16}" + "".join(f"{name:>28}" for name in COLUMNS))
    for world in worlds:
        for kind in KINDS:
            keys = [(world, TEMPERATURE, options.steps, seed) for seed in range(options.seeds)]
            if rows := [kept[kind][key] for key in keys if key in kept[kind]]:
                print(f"{world:<16} {kind:<16}" + "".join(f"{summary(rows, name):>28}" for name in COLUMNS))
    print("\n".join(["", *table(options.results, options.steps)]))
    return 0


def run(kept: Mapping[str, Kept], world: str, options: Namespace) -> None:
    """Add the rows of a world that are missing."""
    keys = [(world, TEMPERATURE, options.steps, seed) for seed in range(options.seeds)]
    for kinds, own in SWEEPS.items():
        missing = [key[-1] for key in keys if any(key not in kept[kind] for kind in kinds)]
        flags, folder = ("--temperature", str(TEMPERATURE), *own), options.folder / f"{world}-{kinds[0]}"
        for result, agent, seconds in agents(world, options.steps, missing, flags, folder, options.jobs):
            kind = result.settings["objective"] if kinds == OBJECTIVES else EXACT
            kept[kind].add([judged(agent, (world, TEMPERATURE, options.steps, result.seed), seconds)])


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
        rows = [row for row in Kept(results / name_of(kind), KEYS).rows.values() if row["steps"] == str(steps)]
        of = {world: [row for row in rows if row["environment"] == world] for world in WORLDS}
        if not all(of.values()):
            continue  # some worlds were left out
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


def summary(rows: Sequence[Row], name: str) -> str:
    """Return the median and, in brackets, the value of largest size."""
    values = [float(row[name]) for row in rows]
    return f"{statistics.median(values):.4f} ({max(values, key=abs):.4f})"


if __name__ == "__main__":
    sys.exit(main())
