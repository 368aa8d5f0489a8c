"""Learn environments that are seen in part: with a world model, from the same loop without one, and by RecurrentPPO.

    pip install -c constraints.txt -e ".[benchmarks]"
    python examples/benchmarks/hidden_control.py                              # everything: many hours on one core
    python examples/benchmarks/hidden_control.py --only CartPole --seeds 5    # about ten minutes a seed and method
    python examples/benchmarks/hidden_control.py --only Pendulum --method ppo

Methods: `world` is the agent with a world model; `memoryless` the same settings without one; `ppo` is RecurrentPPO of
sb3-contrib with an LSTM of 64 units and its other defaults. A result is the mean return of 20 episodes with the most
probable action, at each of the steps of the table (`return`); the last `--seeds` rows of each are all seeds that ran.
Rows already in the CSV file are not run again; the others are runs of `gio sweep`, which go on from one number of steps
to the next, and from their last checkpoint where they were cut short; RecurrentPPO begins again. `seconds` are those
from one number of steps to the next.
"""

import argparse
import shlex
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain, pairwise
from pathlib import Path
from typing import Any

import gymnasium as gym
import torch
from judged import EPISODES, mean_return
from kept import Kept, command_line
from long_memory import LongMemory
from swept import agents, sweep_options

import gio_pyro as gio

RESULTS = Path(__file__).parent / "results" / "hidden_control.csv"
KEYS = ("environment", "method", "step", "seed")
EVALUATION_SEED = 1_000_003
METHODS = ("world", "memoryless", "ppo")


@dataclass(frozen=True)
class Task:
    """One environment."""

    environment: str
    steps: tuple[int, ...]
    """Environment steps at which it is evaluated; the last one ends the run."""
    bound: float
    """Least mean return that an aim asks for."""
    flags: str
    """Of the agent, with and without the world model."""
    world: str
    """Those of the world model."""
    own: Mapping[str, Any] = field(default_factory=dict)
    """Its parts that are not of the library, as `GIO.load` takes them."""


COMMON = "--guide UniformGuide --hidden 64 64"
"""Flags of every environment."""
CONTINUOUS = f"{COMMON} --train-freq 2 --improvements 2"
FINITE = f"{COMMON} --critic layer_norm --target-rate 0.02 --temperature 1 --train-freq 4 --improvements 4"
"""Chosen on seeds 100 and 101 of CartPole: there a step's reward is 1, as an even choice of actions is worth 0.7."""
WORLD = "--world-model RecurrentStateSpace --information-weight 0 --consistency-weight 0"
SHORT = f"{WORLD} --burn-in 8 --piece-length 16"
"""Where the last few observations determine the state."""
LONG = f"{WORLD} --burn-in 24 --piece-length 26 --filter long_memory:LongMemory"
TASKS = (
    Task("gio/CartPolePositions-v0", (20_000, 40_000, 60_000), 475.0, f"{FINITE} --annealing linear:1:0:60000", SHORT),
    Task("gio/PendulumAngle-v0", (10_000, 20_000), -200.0, CONTINUOUS, SHORT),
    Task("gio/PendulumPixels-v0", (25_000, 50_000), -300.0, CONTINUOUS, SHORT),
    Task("gio/RepeatFirst-v0", (20_000,), 0.95, FINITE, LONG, {"filter": LongMemory}),
)


def main() -> int:
    """Run what is missing, print the table, and return 1 if an aim is missed."""
    parser = command_line(__doc__, RESULTS, seeds=5)
    parser.add_argument("--only", default="", help="run environments whose id contains this")
    parser.add_argument("--method", choices=METHODS, help="one method instead of all")
    parser.add_argument("--first", type=int, default=0, help="the first seed")
    parser.add_argument("--steps", type=int, help="end every run here, and evaluate it here alone")
    sweep_options(parser, "runs/hidden_control")
    options = parser.parse_args()
    torch.set_num_threads(1)
    kept = Kept(options.results, KEYS)
    for task in TASKS:
        if options.only in task.environment:
            for method in (options.method,) if options.method else METHODS:
                run(task, method, kept, options)
    print("\n".join(["", *table(kept)]))
    return int(any(missed(task, kept) for task in TASKS if options.only in task.environment))


def run(task: Task, method: str, kept: Kept, options: argparse.Namespace) -> None:
    """Add the rows of a method that are missing."""
    steps = task.steps if options.steps is None else (options.steps,)
    seeds = range(options.first, options.first + options.seeds)
    missing = {step: [seed for seed in seeds if (task.environment, method, step, seed) not in kept] for step in steps}
    if method == "ppo":
        found = (each for seed in sorted({*chain(*missing.values())}) for each in ppo(task, seed, steps))
    else:
        stretches = pairwise((0, *steps))
        found = (each for stretch in stretches for each in ours(task, method, stretch, missing[stretch[1]], options))
    for step, seed, figures in found:
        if (task.environment, method, step, seed) not in kept:
            row = {"environment": task.environment, "method": method, "step": step, "seed": seed}
            kept.add([row | figures])
            print("  ".join(map(str, kept[task.environment, method, step, seed].values())), flush=True)


Found = Iterator[tuple[int, int, dict[str, object]]]
"""Steps and seed of a run, what it returns with the most probable and with drawn actions, and the time that it took."""


def ours(task: Task, method: str, stretch: tuple[int, int], seeds: Sequence[int], options: argparse.Namespace) -> Found:
    """Yield the agents of this library, with or without a world model, at the end of a stretch of steps."""
    (first, last), world = stretch, method == "world"
    flags = shlex.split(f"{task.flags} {task.world}" if world else task.flags)
    folder = options.folder / f"{task.environment.rpartition('/')[2]}-{method}"
    own = task.own if world else {}
    for result, agent, seconds in agents(task.environment, last, seeds, flags, folder, options.jobs, **own):
        spent = f"{float(seconds) * (last - first) / last:.0f}" if seconds else ""
        yield last, result.seed, judged(agent) | {"seconds": spent}


def judged(agent: gio.GIO) -> dict[str, object]:
    """Return what an agent earns."""
    first = EVALUATION_SEED + 100 * agent.settings.seed
    best, drawn = (agent.evaluate(EPISODES, deterministic=d, seed=first).mean for d in (True, False))
    return {"return": best, "return_drawn": drawn}


def ppo(task: Task, seed: int, steps: Sequence[int]) -> Found:
    """Yield RecurrentPPO of sb3-contrib after each number of steps."""
    from sb3_contrib import RecurrentPPO

    policy = "CnnLstmPolicy" if "Pixels" in task.environment else "MlpLstmPolicy"
    agent = RecurrentPPO(policy, gym.make(task.environment), seed=seed, device="cpu")
    for step in steps:
        start = time.process_time()
        agent.learn(step - agent.num_timesteps, reset_num_timesteps=False)
        spent = f"{time.process_time() - start:.0f}"
        first = EVALUATION_SEED + 100 * seed
        best, drawn = (mean_return(agent, task.environment, first, deterministic=d) for d in (True, False))
        yield step, seed, {"return": best, "return_drawn": drawn, "seconds": spent}


def missed(task: Task, kept: Kept) -> bool:
    """Return whether a seed with a world model misses the bound at the last step."""
    found = kept.numbers("return", environment=task.environment, method="world", step=task.steps[-1])
    return any(value < task.bound for value in found)


def table(kept: Kept) -> list[str]:
    """Return every seed of every task that was run as Markdown."""
    lines = ["| environment | method | steps | return, seed by seed | aim |", "|---" * 5 + "|"]
    for task in TASKS:
        for method in METHODS:
            for step in task.steps:
                found = kept.numbers("return", environment=task.environment, method=method, step=step)
                if found:
                    name = task.environment.rpartition("/")[2]
                    aim = f"at least {task.bound:g}" if method == "world" else ""
                    lines.append(f"| {name} | {method} | {step:,} | {listed(found)} | {aim} |")
    return lines


def listed(values: Sequence[float]) -> str:
    """Return results with three digits."""
    return ", ".join(f"{float(f'{value:.3g}'):g}" for value in values)


if __name__ == "__main__":
    sys.exit(main())
