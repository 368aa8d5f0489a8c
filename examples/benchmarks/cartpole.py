"""Dreams and MIRL where states are vectors: CartPole-v1, five seeds of each, everything else the defaults.

    python examples/benchmarks/cartpole.py                       # about 20 minutes on one core
    python examples/benchmarks/cartpole.py --only dreams

Two layers of 64. The return is the mean of 20 episodes with the most probable action, at most 500; uniform ones balance
for 22 steps. Nothing was tuned. Dreams: rollouts of three steps in the model make up half of each batch. MIRL: the
published method in full, `loss` the critic's, whose temperature the last line cuts at 0.2; its control is maximum
entropy with the same greediness. Rows already in the CSV file are not run again.
"""

import statistics
import sys
import time
from pathlib import Path
from types import MappingProxyType
from typing import Any

import torch
from kept import Kept, announce, command_line

import gio_pyro as gio

RESULTS = Path(__file__).parent / "results" / "cartpole.csv"
ENVIRONMENT, EPISODES, EVALUATION_SEED = "CartPole-v1", 20, 1_000_003
COMMON = MappingProxyType({"hidden": (64, 64)})
MIRL = MappingProxyType({"guide": "MovingMarginalGuide", "greedy": True, "uniform_share": 0.2})
METHODS: MappingProxyType[str, dict[str, Any]] = MappingProxyType(
    {
        "without dreams": {},
        "dreams": {"dream_horizon": 3, "dream_share": 0.5},
        "mirl": {**MIRL, "temperature": "loss:0.5:0.01"},
        "mirl, cut at 0.2": {**MIRL, "temperature": "loss:0.05:0.01:0.005:0.2"},
        "maximum entropy, greedy": {"guide": "UniformGuide", "greedy": True, "uniform_share": 0.2},
    }
)
STEPS = MappingProxyType({"without dreams": 3_000, "dreams": 3_000})
"""Environment steps; `OTHERS` of the other methods."""
OTHERS = 10_000
KEYS = ("method", "steps", "seed")


def main() -> int:
    """Run what is missing and print all returns; returns 0."""
    parser = command_line(__doc__, RESULTS, seeds=5)
    parser.add_argument("--only", default="", help="run methods whose name contains this")
    parser.add_argument("--steps", type=int, help="environment steps of every run")
    options = parser.parse_args()
    torch.set_num_threads(1)
    announce(COMMON, METHODS)
    kept = Kept(options.results, KEYS)
    for method in METHODS:
        if options.only in method:
            steps = options.steps or STEPS.get(method, OTHERS)
            for seed in range(options.seeds):
                if (method, steps, seed) not in kept:
                    kept.add([run(method, steps, seed)])
            print(line(kept, method, steps), flush=True)
    return 0


def run(method: str, steps: int, seed: int) -> dict[str, object]:
    """Learn once and return the row."""
    start = time.process_time()
    agent = gio.GIO(ENVIRONMENT, seed=seed, **{**COMMON, **METHODS[method]}).learn(steps)
    played = agent.evaluate(EPISODES, deterministic=True, seed=EVALUATION_SEED + 100 * seed)
    row: dict[str, object] = {"method": method, "steps": steps, "seed": seed, "return": played.mean}
    return row | {"temperature": float(agent.temperature.at(steps)), "seconds": time.process_time() - start}


def line(kept: Kept, method: str, steps: int) -> str:
    """Return the returns of a method, seed by seed, as Markdown."""
    found = kept.numbers("return", method=method, steps=steps)
    hot = kept.numbers("temperature", method=method, steps=steps)
    each = ", ".join(f"{value:.0f}" for value in found)
    return f"| {method} | {steps:,} | {each} | {statistics.median(found):.0f} | {min(hot):.2f} to {max(hot):.2f} |"


if __name__ == "__main__":
    sys.exit(main())
