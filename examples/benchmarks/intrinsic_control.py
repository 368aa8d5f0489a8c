"""Intrinsic control by itself: CartPole-v1 without its reward, five seeds, everything else the defaults.

    python examples/benchmarks/intrinsic_control.py                      # about an hour on one core
    python examples/benchmarks/intrinsic_control.py --seeds 1 --film cartpole.gif

With `reward_weight=0` the reward is not counted, and the agent maximises the information that the next state holds
about the action, and nothing else. The steps survived are the mean of 20 episodes with the most probable action, at
most 500. The control is `UniformGuide`, which makes the same loop maximise entropy instead. Rows already in the CSV
file are not run again. The command line trains the same agent: gio train CartPole-v1 --reward-weight 0 --temperature 1
--steps 22500.
"""

import statistics
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any

import torch
from kept import Kept, announce, command_line

import gio_pyro as gio
from gio_pyro.cli.film import film

RESULTS = Path(__file__).parent / "results" / "intrinsic_control.csv"
ENVIRONMENT, EPISODES, EVALUATION_SEED = "CartPole-v1", 20, 1_000_003
COMMON = MappingProxyType({"reward_weight": 0.0, "temperature": 1.0})
METHODS: MappingProxyType[str, dict[str, Any]] = MappingProxyType(
    {"information": {}, "entropy (UniformGuide)": {"guide": "UniformGuide"}}
)
STEPS = (7_500, 15_000, 22_500)
"""Environment steps after which one agent is evaluated."""
KEYS = ("method", "steps", "seed")


def main() -> int:
    """Run what is missing and print all results; returns 0."""
    parser = command_line(__doc__, RESULTS, seeds=5)
    parser.add_argument("--only", default="", help="run methods whose name contains this")
    parser.add_argument("--steps", type=int, nargs="+", default=STEPS, help="evaluate after so many steps, rising")
    parser.add_argument("--film", type=Path, help="write an episode of seed 0, trained on information, as a GIF")
    options = parser.parse_args()
    torch.set_num_threads(1)
    announce(COMMON, METHODS)
    kept = Kept(options.results, KEYS)
    for method in METHODS:
        if options.only in method:
            for seed in range(options.seeds):
                wanted = options.film if method == "information" and seed == 0 else None
                if wanted or any((method, steps, seed) not in kept for steps in options.steps):
                    run(kept, method, seed, options.steps, wanted)
    print("\n".join(table(kept, options.steps)))
    return 0


def run(kept: Kept, method: str, seed: int, evaluated: Sequence[int], picture: Path | None) -> None:
    """Learn once, and keep a row each time that the agent is evaluated."""
    agent = gio.GIO(ENVIRONMENT, seed=seed, **COMMON, **METHODS[method])
    start = time.process_time()
    for steps in evaluated:
        agent.learn(steps - agent.steps)
        played = agent.evaluate(EPISODES, deterministic=True, seed=EVALUATION_SEED + 100 * seed)
        row: dict[str, object] = {"method": method, "steps": steps, "seed": seed, "survived": played.mean}
        kept.add([row | {"nats": agent.metrics()["intrinsic/nats"], "seconds": time.process_time() - start}])
    if picture is not None:
        film(agent, picture)


def table(kept: Kept, after: Sequence[int] = STEPS) -> list[str]:
    """Return the steps survived by each method that has rows, seed by seed, as Markdown."""
    lines = ["| reward | environment steps | steps survived, seed by seed | median |", "|---|---|---|---|"]
    for method, steps in ((method, steps) for method in METHODS for steps in after):
        found = kept.numbers("survived", method=method, steps=steps)
        if found:
            each = ", ".join(f"{value:.0f}" for value in found)
            lines.append(f"| {method} | {steps:,} | {each} | {statistics.median(found):.0f} |")
    return lines


if __name__ == "__main__":
    sys.exit(main())
