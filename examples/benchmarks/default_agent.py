"""What `gio train` ends with, and whether `gio diagnose` believes it: five seeds, each also with its guide spoiled.

    python examples/benchmarks/default_agent.py                  # about 15 minutes on one core
    python examples/benchmarks/default_agent.py --seeds 1

Each seed is the command itself, `gio train --seed SEED`: Pendulum-v1, 6,000 steps, nothing else changed. Then the agent
is judged as `gio diagnose` judges it, once as it is and once with the scales of its guide halved, which makes it
overconfident and nothing else: the policy, the model and the episodes stay the same. A figure beyond its limit is bold.

Pendulum after 6,000 steps is inside an unstable phase, in which returns fall back and recover; after 10,000 steps it is
over (`deep_control.py`). Hence the median over the seeds.

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
ENVIRONMENT, STEPS = "Pendulum-v1", 6_000
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
    parser = command_line(__doc__, RESULTS, seeds=5)
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
    """Return what `gio train` prints at the end, as medians over the seeds."""
    rows = [row for row in kept.rows.values() if (row["steps"], row["guide"]) == (str(steps), "learned")]
    before, after, _, nats, entropy, _ = (statistics.median(float(row[name]) for row in rows) for name in SUMMARY)
    each = ", ".join(f"{float(row['return_after']):.0f}" for row in rows)
    return [
        f"return before (untrained, sampled actions)  {before:.0f}",
        f"return after (most probable actions)        {after:.0f}   (seed by seed: {each})",
        f"mean MI bound                             {nats:.2f} nats",
        f"entropy of the policy                     {entropy:.2f} nats",
    ]


def table(kept: Kept, steps: int) -> list[str]:
    """Return the figures of `gio diagnose` as Markdown, seed by seed, beyond its limit in bold."""
    learned, halved = ([row for row in kept.rows.values() if of(row, steps, guide)] for guide in GUIDES)
    heads = [f"seed {row['seed']}" for row in learned], [f"halved: {row['seed']}" for row in halved[:1]]
    head = ["figure", *heads[0], "limit", *heads[1], *(row["seed"] for row in halved[1:])]
    lines = [head, ["---"] * len(head)]
    for column, (name, _) in FIGURES.items():
        limit = f"{'±' if column == 'rank_spread' else ''}{float(learned[0][f'{column}_limit']):g}"
        lines.append([name, *(figure(row, column) for row in learned), limit, *(figure(row, column) for row in halved)])
    lines.append(["verdict", *map(verdict, learned), "", *map(verdict, halved)])
    return ["| " + " | ".join(line) + " |" for line in lines]


def of(row: Row, steps: int, guide: str) -> bool:
    """Whether a row is of these steps and this guide."""
    return (row["steps"], row["guide"]) == (str(steps), guide)


def figure(row: Row, column: str) -> str:
    """Return a figure as text, bold where it is held against the agent."""
    text = f"{float(row[column]):.2f}"
    return text if row[f"{column}_ok"] == "True" else f"**{text}**"


def verdict(row: Row) -> str:
    """Return the verdict in words."""
    return "believe" if row["believed"] == "True" else "do not"


if __name__ == "__main__":
    sys.exit(main())
