"""What `gio train` ends with, and whether `gio diagnose` believes it: ten seeds, each also with its guide spoiled.

    python examples/benchmarks/default_agent.py                  # about ten minutes on one core
    python examples/benchmarks/default_agent.py --seeds 1

Each seed is the command itself, `gio train --seed SEED`: Pendulum-v1, 4,000 steps, nothing else changed. Then the agent
is judged as `gio diagnose` judges it, once as it is and once with the scales of its guide halved, which makes it
overconfident and nothing else: the policy, the model and the episodes stay the same.

Rows already in the CSV file are not run again; a run that was cut short goes on from its last checkpoint.
"""

import json
import statistics
import subprocess
import sys
from pathlib import Path

import pyro
import pyro.distributions as dist
import torch
from kept import Kept, Row, command_line
from torch import Tensor, nn

import gio_pyro as gio
from gio_pyro.diagnostics import Diagnosis, diagnose
from gio_pyro.guides import GaussianGuide
from gio_pyro.programs import Guide
from gio_pyro.types import Policy

RESULTS = Path(__file__).parent / "results" / "default_agent.csv"
ENVIRONMENT, STEPS = "Pendulum-v1", 4_000
SEEDS = 10
KEYS = ("steps", "seed", "guide")
GUIDES = ("learned", "halved")
SUMMARY = ("return_before", "return_after", "return_after_error", "intrinsic_nats", "entropy", "steps_per_second")
"""What `gio train` prints at the end; the last is kept, but not shown, as the machine was busy."""
FIGURES = {
    "surprise": ("surprise a number, nats", "surprise"),
    "rank_nats": ("rank divergence, nats", "ranks"),
    "rank_spread": ("rank spread beyond uniform", "spread"),
    "lost": ("share that the guide loses", "loss"),
    "k_hat": ("share of k-hat above 0.7", "k_hat"),
    "unfounded": ("share paid that is not borne out", "unconfirmed"),
}
"""Column, its name in the table, and the kind of its verdict."""


class Halved(nn.Module):
    """A learned guide, twice as sure of the action as it has learned to be."""

    def __init__(self, learned: GaussianGuide) -> None:
        super().__init__()
        self.learned = learned

    def forward(self, policy: Policy, state: Tensor, future: Tensor) -> Tensor:
        """Sample "action", `[B, d]`, with half the scale."""
        with pyro.plate("batch", state.shape[0]):
            own = self.learned.posterior(policy(state), state, future).base_dist
            return pyro.sample("action", dist.Normal(own.loc, own.scale / 2).to_event(1))


def main() -> int:
    """Run what is missing and print the tables; returns 0."""
    parser = command_line(__doc__, RESULTS, seeds=SEEDS)
    parser.add_argument("--steps", type=int, default=STEPS, help="environment steps of every run")
    parser.add_argument("--runs", type=Path, default=Path("runs/default_agent"), help="where the run folders are")
    options = parser.parse_args()
    torch.set_num_threads(1)
    kept = Kept(options.results, KEYS)
    for seed in range(options.seeds):
        if (options.steps, seed, GUIDES[-1]) not in kept:
            kept.add(run(options.steps, seed, options.runs / f"{ENVIRONMENT}-{options.steps}-{seed}"))
        print("  ".join(f"{name} {value}" for name, value in kept[options.steps, seed, GUIDES[0]].items()), flush=True)
    print("\n".join(["", *medians(kept, options.steps), "", *table(kept, options.steps)]))
    return 0


def run(steps: int, seed: int, place: Path) -> list[dict[str, object]]:
    """Train by the command, judge twice, and return the two rows."""
    command = [sys.executable, "-m", "gio_pyro.cli.main", "train", "--quiet"]
    if (place / "checkpoint.pt").exists():
        command += ["--resume", str(place)]
    else:
        command += [ENVIRONMENT, "--steps", str(steps), "--seed", str(seed), "--out", str(place)]
    if not (place / "summary.json").exists() or gio.GIO.load(place).steps < steps:
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
    summary = json.loads((place / "summary.json").read_text())
    rows: list[dict[str, object]] = []
    for guide in GUIDES:
        agent = gio.GIO.load(place)
        if guide == "halved":
            agent.guide = Guide(Halved(agent.guide.program))
        row = {"steps": steps, "seed": seed, "guide": guide} | {name: summary[name] for name in SUMMARY}
        rows.append(row | judged(diagnose(agent)))
    return rows


def judged(found: Diagnosis) -> dict[str, object]:
    """Return every figure, its limit, and the verdict."""
    row: dict[str, object] = {}
    for column, (_, kind) in FIGURES.items():
        (verdict,) = [v for v in found.verdicts if v.kind == kind]
        row |= {column: float(verdict.value), f"{column}_limit": verdict.threshold, f"{column}_ok": verdict.believed}
    return row | {"believed": found.believed}


def medians(kept: Kept, steps: int) -> list[str]:
    """Return what `gio train` prints at the end, as medians and ranges over the seeds."""
    rows = [row for row in kept.rows.values() if of(row, steps, "learned")]
    before, after, _, nats, entropy, _ = ([float(row[name]) for row in rows] for name in SUMMARY)
    return [
        f"return before (untrained, sampled actions)  {spread(before, 0)}",
        f"return after (most probable actions)        {spread(after, 0)}",
        f"mean MI bound                             {spread(nats, 2)} nats",
        f"entropy of the policy                     {spread(entropy, 2)} nats",
    ]


def spread(values: list[float], digits: int) -> str:
    """Return the median and the range of some values as text."""
    low, middle, high = (f"{value:.{digits}f}" for value in (min(values), statistics.median(values), max(values)))
    return f"{middle} ({low} to {high})"


def table(kept: Kept, steps: int) -> list[str]:
    """Return the figures of `gio diagnose` as Markdown: median, range, and the number of seeds beyond the limit."""
    each = [[row for row in kept.rows.values() if of(row, steps, guide)] for guide in GUIDES]
    lines = [["figure", "limit", "median (range)", "beyond", "halved: median (range)", "beyond"], ["---"] * 6]
    for column, (name, _) in FIGURES.items():
        limit = f"{'±' if column == 'rank_spread' else ''}{float(each[0][0][f'{column}_limit']):g}"
        found = [(spread([float(row[column]) for row in rows], 2), f"{column}_ok", rows) for rows in each]
        lines.append([name, limit, *(text for words, ok, rows in found for text in (words, share(rows, ok, "False")))])
    believed = [share(rows, "believed", "True") for rows in each]
    lines.append(["believed", "", believed[0], "", believed[1], ""])
    return ["| " + " | ".join(line) + " |" for line in lines]


def share(rows: list[Row], column: str, value: str) -> str:
    """Return in how many rows a column has a value, as text."""
    return f"{sum(row[column] == value for row in rows)} of {len(rows)}"


def of(row: Row, steps: int, guide: str) -> bool:
    """Whether a row is of these steps and this guide."""
    return (row["steps"], row["guide"]) == (str(steps), guide)


if __name__ == "__main__":
    sys.exit(main())
