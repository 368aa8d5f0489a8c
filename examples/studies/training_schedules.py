"""Should model and guide be trained together, in turn, or by the ELBO alone? FrozenLake, CliffWalking and Pendulum.

    python examples/studies/training_schedules.py            # 20 CPU minutes; --quick: half a minute

`joint` takes one gradient step on both terms of the loss, `alternating` one of the model and then one of the guide with
an optimiser each, `svi` one of both programs on the ELBO alone, as `pyro.infer.SVI` does: it never sees which action
was taken, so it identifies the model up to a relabelling of the actions (docs/theory.md, section 3).

Finite worlds are judged exactly: return of the policy within the step limit, mutual information as the agent reports
it less that of the transition table, the amortisation gap, and the error of the model, all in the states that the
policy visits; their temperature is 0.1, so that information counts. Pendulum is judged by ten episodes of the policy's
most probable actions, and by the largest intrinsic reward reported, in nats. All other settings are the defaults; on
Pendulum networks have 64 units a layer and batches 128 rows, to save time. CPU seconds are of learning.
"""

import statistics
import sys
import time
import warnings
from pathlib import Path
from typing import Any

import torch
from kept import Kept, announce, command_line

import gio_pyro as gio
from gio_pyro.diagnostics import compare_with_exact
from gio_pyro.errors import GioWarning, TrainingError

RESULTS = Path(__file__).parent / "results" / "training_schedules.csv"
KEYS = ("world", "training", "objective", "seed", "steps")
FINITE, PENDULUM = ("FrozenLake-v1", "CliffWalking-v1"), "Pendulum-v1"
STEPS = {"FrozenLake-v1": 5_000, "CliffWalking-v1": 5_000, PENDULUM: 3_000}
QUICK = {"FrozenLake-v1": 1_000, "CliffWalking-v1": 1_000, PENDULUM: 1_050}
COMMON: dict[str, dict[str, Any]] = {
    "FrozenLake-v1": {"temperature": 0.1},
    "CliffWalking-v1": {"temperature": 0.1},
    PENDULUM: {"hidden": (64, 64), "batch_size": 128},
}
SCHEDULES: dict[str, tuple[tuple[str, str], ...]] = {
    **dict.fromkeys(
        FINITE,
        (
            ("joint", "sleep"),
            ("alternating", "sleep"),
            ("joint", "TraceEnum_ELBO"),
            ("alternating", "TraceEnum_ELBO"),
            ("svi", "TraceEnum_ELBO"),
        ),
    ),
    PENDULUM: (("joint", "sleep"), ("alternating", "sleep"), ("svi", "Trace_ELBO")),
}
"""Training and objective; the first of each world is the default."""


def learned(world: str, training: str, objective: str, seed: int, steps: int) -> dict[str, object]:
    """Learn once and return the row for the table."""
    agent = gio.GIO(world, training=training, objective=objective, seed=seed, **COMMON[world])
    nats, note, start = [0.0], "", time.process_time()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", GioWarning)
        try:
            agent.learn(steps, callback=lambda agent, metrics: nats.append(metrics["intrinsic/nats"]))
        except TrainingError as error:
            note = f"stopped after {agent.steps} steps: {str(error)[:60]}"
    row: dict[str, object] = {"world": world, "training": training, "objective": objective, "seed": seed}
    row |= {"steps": steps, "cpu_seconds": time.process_time() - start}
    judged = exactly(agent) if world in FINITE else played(agent, nats)
    return row | judged | {"note": note}


def exactly(agent: gio.GIO) -> dict[str, object]:
    """Return the figures of a finite world."""
    found = compare_with_exact(agent)
    return {
        "return": found.return_learned,
        "nats": found.information_learned,
        "nats_error": found.information_learned - found.information_exact,
        "amortisation_gap": found.amortisation_gap,
        "model_error": found.model_error,
    }


def played(agent: gio.GIO, nats: list[float]) -> dict[str, object]:
    """Return the figures of Pendulum; what is not known there is empty."""
    earned = agent.evaluate(10, deterministic=True).mean
    largest = max(nats, key=abs)
    return {"return": earned, "nats": largest, "nats_error": "", "amortisation_gap": "", "model_error": ""}


def table(kept: Kept) -> list[str]:
    """Return medians over the seeds, the worst seed in brackets, as Markdown."""
    head = "| world | training, objective | seeds | return | MI read − exact | amortisation gap | model error | CPU s |"
    lines = [head, "|---" * 8 + "|"]
    for world, schedules in SCHEDULES.items():
        for training, objective in schedules:
            where = {"world": world, "training": training, "objective": objective, "steps": STEPS[world]}
            if not (returns := kept.numbers("return", **where)):
                continue
            cells = [str(len(returns)), f"{statistics.median(returns):.4g} ({min(returns):.4g})"]
            for column in ("nats_error", "amortisation_gap", "model_error"):
                values = kept.numbers(column, **where) if world in FINITE else []
                worst = f"{statistics.median(values):.4f} ({max(values, key=abs):.4f})" if values else "–"
                cells.append(worst)
            cells.append(f"{statistics.median(kept.numbers('cpu_seconds', **where)):.0f}")
            lines.append(f"| {world} | {training}, {objective} | {' | '.join(cells)} |")
    return lines


def largest(kept: Kept) -> list[str]:
    """Return the return and the largest intrinsic reward on Pendulum of every seed, as a sentence."""
    parts = []
    for training, objective in SCHEDULES[PENDULUM]:
        where = {"world": PENDULUM, "training": training, "objective": objective, "steps": STEPS[PENDULUM]}
        values = ", ".join(f"{value:.3g}" for value in kept.numbers("nats", **where))
        returns = ", ".join(f"{value:.0f}" for value in kept.numbers("return", **where))
        if returns:
            parts.append(f"{training}, {objective}, returns {returns} and rewards of at most {values} nats")
    return [f"Pendulum, seed by seed, returns and largest intrinsic rewards: {'; '.join(parts)}."]


def main() -> int:
    """Run what is missing and print the table."""
    given = command_line(__doc__, RESULTS, "fewer steps of one seed", seeds=5).parse_args()
    torch.set_num_threads(1)
    steps, seeds = (QUICK, 1) if given.quick else (STEPS, given.seeds)
    announce({"seeds": seeds}, {world: COMMON[world] | {"steps": steps[world]} for world in STEPS})
    kept = Kept(given.results, KEYS)
    wanted = [
        (world, training, objective, seed, steps[world])
        for worlds in (FINITE, (PENDULUM,))
        for seed in range(seeds)
        for world in worlds
        for training, objective in SCHEDULES[world]
    ]
    for key in wanted:
        if key not in kept:
            row = learned(*key)
            kept.add([row])
            print(", ".join(f"{name} {value}" for name, value in row.items() if value != ""), flush=True)
    print("\n".join(["", *table(kept), "", *largest(kept)]))
    return 0


if __name__ == "__main__":
    sys.exit(main())
