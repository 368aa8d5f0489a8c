"""Whole agents before a television of noise: who is trapped by it? Five seeds each, judged by the world's own table.

    python examples/benchmarks/noisy_tv.py                       # about three minutes on one core

A room of 12 cells with a television whose 6 channels change when it is watched, and by nothing that one could control.
No reward. An agent is paid for surprise (the signal PredictionError), for information gain, or for control (GIO alone);
the model counts, the discount is 0.95, the temperature 0.05. A row has the share of the policy's discounted visits that
is spent at the television after 8,000 steps, and after 16,000, where what there is to be learned has been learned; and
the value of the policy, theory, equation 4, as a share of what the best policy has, where uniform actions have 0.

The exact tier says where each is bound to end: surprise, worth the entropy of what follows, at 0.735; control at 0.026;
an information gain that has run out at 0.008, which is where wandering ends. Rows already in the CSV file are not run
again.
"""

import statistics
import sys
import time
import warnings
from pathlib import Path
from types import MappingProxyType
from typing import Any

import gymnasium as gym
import torch
from kept import Kept, announce, command_line
from torch import Tensor

import gio_pyro as gio
import gio_pyro.envs
from gio_pyro import tabular
from gio_pyro.diagnostics import policy_table
from gio_pyro.errors import ConvergenceWarning

RESULTS = Path(__file__).parent / "results" / "noisy_tv.csv"
MAP = ("...#...", ".T.....", "...#..S")
TELEVISION, CHANNELS = 8, 6
"""The cell of the television, and how many channels it has."""
DISCOUNT, ALPHA, STEPS = 0.95, 0.05, (8_000, 16_000)
COMMON = MappingProxyType(
    {
        "model": "DirichletModel",
        "temperature": ALPHA,
        "discount": DISCOUNT,
        "gradient_steps": 10,
        "improvements": 1,
        "sweeps": 100,
        "train_freq": 200,
        "log_interval": 1_000,
    }
)
METHODS: MappingProxyType[str, dict[str, Any]] = MappingProxyType(
    {
        "surprise": {"guide": "UniformGuide", "signal": "PredictionError"},
        "information gain": {"guide": "UniformGuide", "signal": "InformationGain"},
        "control": {"guide": "CategoricalGuide"},
    }
)
KEYS = ("method", "steps", "seed")


def main() -> int:
    """Run what is missing and print the table; returns 0."""
    parser = command_line(__doc__, RESULTS, seeds=5)
    parser.add_argument("--steps", type=int, nargs="+", default=STEPS, help="environment steps at which it is judged")
    options = parser.parse_args()
    torch.set_num_threads(1)
    announce(COMMON, METHODS)
    kept = Kept(options.results, KEYS)
    for method in METHODS:
        for seed in range(options.seeds):
            if (method, max(options.steps), seed) not in kept:
                kept.add(run(method, seed, options.steps))
    print("\n".join(table(kept, options.steps)))
    return 0


def world() -> gym.Env[Any, Any]:
    """Return the room."""
    return gym.make("gio/NoisyTV-v0", map=MAP, channels=CHANNELS)


def exact() -> tabular.TabularMDP:
    """Return its table."""
    return tabular.TabularMDP.from_env(world(), discount=DISCOUNT)


def learned(method: str, seed: int, steps: int) -> gio.GIO:
    """Return an agent that has learned."""
    return gio.GIO(world(), seed=seed, **{**COMMON, **METHODS[method]}).learn(steps)


def run(method: str, seed: int, steps: tuple[int, ...]) -> list[dict[str, object]]:
    """Learn once and return a row for each number of steps."""
    start, rows = time.process_time(), []
    agent = learned(method, seed, 0)
    for count in steps:
        policy = policy_table(agent.learn(count - agent.steps))
        row: dict[str, object] = {"method": method, "steps": count, "seed": seed, "share": share(policy)}
        rows.append(row | {"control": control(policy), "seconds": time.process_time() - start})
    return rows


def share(policy: Tensor) -> float:
    """Return how much of its discounted time a policy `[S, A]` spends at the television."""
    visits = tabular.discounted_visits(exact(), policy)
    return float(visits.reshape(-1, CHANNELS)[TELEVISION].sum())


def control(policy: Tensor) -> float:
    """Return what control of next states is worth to a policy: 0 for uniform actions, 1 for the best policy."""
    best = tabular.policy_iteration(exact(), ALPHA)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # one round, whose first policy is what is asked about
        mine = tabular.policy_iteration(exact(), ALPHA, policy, max_iterations=1)
    uniform, top, own = (float(exact().start @ value) for value in (best.history[0], best.value, mine.history[0]))
    return (own - uniform) / (top - uniform)


def table(kept: Kept, steps: tuple[int, ...]) -> list[str]:
    """Return the shares as Markdown: the median, and in brackets every seed."""
    lines = [
        f"| paid for | {' | '.join(f'after {count:,} steps' for count in steps)} |",
        "|---" * (1 + len(steps)) + "|",
    ]
    for method in METHODS:
        cells = [updated(kept.numbers("share", method=method, steps=count)) for count in steps]
        lines.append(f"| {method} | {' | '.join(cells)} |")
    return lines


def updated(values: list[float]) -> str:
    """Return shares in percent: the median and, in brackets, all."""
    return f"{100 * statistics.median(values):.1f} ({', '.join(f'{100 * value:.1f}' for value in values)})"


if __name__ == "__main__":
    sys.exit(main())
