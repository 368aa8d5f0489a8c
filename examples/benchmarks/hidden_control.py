"""Learn environments that are seen in part: with a world model, from the same loop without one, and by RecurrentPPO.

    pip install -c constraints.txt -e ".[benchmarks]"
    python examples/benchmarks/hidden_control.py                              # everything: many hours on one core
    python examples/benchmarks/hidden_control.py --only CartPole --seeds 5    # about ten minutes a seed and method
    python examples/benchmarks/hidden_control.py --only Pendulum --method ppo

Methods: `world` is the agent with a world model; `memoryless` the same settings without one; `ppo` is RecurrentPPO of
sb3-contrib with an LSTM of 64 units and its other defaults. A result is the mean return of 20 episodes with the most
probable action, at each of the steps of the table (`return`); the last `--seeds` rows of each are all seeds that ran.
Rows already in the CSV file are not run again, and a run that was cut short goes on from its last checkpoint.
"""

import argparse
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import gymnasium as gym
import torch
from kept import Kept, announce, command_line

import gio_pyro as gio
import gio_pyro.envs
from gio_pyro.guides import RecurrentFilter

RESULTS = Path(__file__).parent / "results" / "hidden_control.csv"
KEYS = ("environment", "method", "step", "seed")
EPISODES = 20
EVALUATION_SEED = 1_000_003
METHODS = ("world", "memoryless", "ppo")
SAVED_EVERY = 5_000
"""Environment steps after which a running agent is saved."""


@dataclass(frozen=True)
class Task:
    """One environment."""

    environment: str
    steps: tuple[int, ...]
    """Environment steps at which it is evaluated; the last one ends the run."""
    bound: float
    """Least mean return that an aim asks for."""
    settings: Mapping[str, Any]
    """Of the agent, with and without the world model."""
    world: Mapping[str, Any] = field(default_factory=lambda: {"world_model": "RecurrentStateSpace"})


COMMON: Mapping[str, Any] = {
    "guide": "UniformGuide",
    "information_weight": 0.0,
    "consistency_weight": 0.0,
    "hidden": (64, 64),
    "train_freq": 2,
    "improvements": 2,
}
"""Settings of every environment."""
SHORT: Mapping[str, Any] = {"burn_in": 8, "piece_length": 16}
"""Where the last few observations determine the state."""
FINITE: Mapping[str, Any] = COMMON | {
    "critic": "layer_norm",
    "target_rate": 0.02,
    "temperature": 1.0,
    "train_freq": 4,
    "improvements": 4,
}
"""Chosen on seeds 100 and 101 of CartPole: there a step's reward is 1, as an even choice of actions is worth 0.7."""


class LongMemory(RecurrentFilter):
    """Begins with units that keep what they saw for up to 100 steps."""

    longest = 100.0


TASKS = (
    Task(
        "gio/CartPolePositions-v0", (20_000, 40_000, 60_000), 475.0, FINITE | SHORT | {"annealing": "linear:1:0:60000"}
    ),
    Task("gio/PendulumAngle-v0", (10_000, 20_000), -200.0, COMMON | SHORT),
    Task("gio/PendulumPixels-v0", (25_000, 50_000), -300.0, COMMON | SHORT),
    Task(
        "gio/RepeatFirst-v0",
        (20_000,),
        0.95,
        FINITE | {"burn_in": 24, "piece_length": 26},
        {"world_model": "RecurrentStateSpace", "filter": LongMemory},
    ),
)


def main() -> int:
    """Run what is missing, print the table, and return 1 if an aim is missed."""
    parser = command_line(__doc__, RESULTS, seeds=5)
    parser.add_argument("--only", default="", help="run environments whose id contains this")
    parser.add_argument("--method", choices=METHODS, help="one method instead of all")
    parser.add_argument("--first", type=int, default=0, help="the first seed")
    parser.add_argument("--steps", type=int, help="end every run here, and evaluate it here alone")
    parser.add_argument("--runs", type=Path, default=Path("runs/hidden_control"), help="where running agents are saved")
    options = parser.parse_args()
    torch.set_num_threads(1)
    kept = Kept(options.results, KEYS)
    for task in TASKS:
        if options.only not in task.environment:
            continue
        announce(task.settings, {"world": task.world})
        for seed in range(options.first, options.first + options.seeds):
            for method in (options.method,) if options.method else METHODS:
                run(task, method, seed, kept, options)
    print("\n".join(["", *table(kept)]))
    return int(any(missed(task, kept) for task in TASKS if options.only in task.environment))


def run(task: Task, method: str, seed: int, kept: Kept, options: argparse.Namespace) -> None:
    """Add the rows of one run that are missing."""
    steps = task.steps if options.steps is None else (options.steps,)
    if all((task.environment, method, step, seed) in kept for step in steps):
        return
    place = options.runs / f"{task.environment.rpartition('/')[2]}-{method}-{seed}"
    learner = PPO(task, seed, place) if method == "ppo" else Ours(task, method, seed, place)
    for step in steps:
        start = time.process_time()
        learner.learn(step)
        spent = time.process_time() - start
        if (task.environment, method, step, seed) not in kept:
            row = {"environment": task.environment, "method": method, "step": step, "seed": seed}
            kept.add([row | learner.played() | {"cpu_seconds": f"{spent:.0f}"}])
            print("  ".join(map(str, kept[task.environment, method, step, seed].values())), flush=True)


class Ours:
    """The agent of this library, with or without a world model.

    Args:
        task: what to learn.
        method: world or memoryless.
        seed: of the agent.
        place: where it is saved.
    """

    def __init__(self, task: Task, method: str, seed: int, place: Path) -> None:
        self.place, self.seed = place, seed
        world = task.world if method == "world" else {}
        left_out = () if world else ("information_weight", "consistency_weight", "burn_in", "piece_length")
        settings = {name: value for name, value in task.settings.items() if name not in left_out}
        if (place / "checkpoint.pt").exists():
            self.agent = gio.GIO.load(place, **world)
        else:
            self.agent = gio.GIO(task.environment, seed=seed, **world, **settings)

    def learn(self, step: int) -> None:
        """Learn up to a step, saving every `SAVED_EVERY`."""

        def save(agent: gio.GIO, metrics: Mapping[str, float]) -> None:
            if agent.steps % SAVED_EVERY == 0 or agent.steps >= step:
                agent.save(self.place)

        if self.agent.steps < step:
            self.agent.learn(step - self.agent.steps, callback=save)

    def played(self) -> dict[str, object]:
        """Return the mean return with the most probable and with drawn actions."""
        first = EVALUATION_SEED + 100 * self.seed
        best, drawn = (self.agent.evaluate(EPISODES, deterministic=d, seed=first).mean for d in (True, False))
        return {"return": best, "return_drawn": drawn}


class PPO:
    """RecurrentPPO of sb3-contrib; its arguments are those of `Ours`. It is not resumed."""

    def __init__(self, task: Task, seed: int, place: Path) -> None:
        from sb3_contrib import RecurrentPPO

        policy = "CnnLstmPolicy" if "Pixels" in task.environment else "MlpLstmPolicy"
        self.environment, self.seed = task.environment, seed
        self.agent = RecurrentPPO(policy, gym.make(task.environment), seed=seed, device="cpu")

    def learn(self, step: int) -> None:
        """Learn up to a step."""
        self.agent.learn(step - self.agent.num_timesteps, reset_num_timesteps=False)

    def played(self) -> dict[str, object]:
        """Return the mean return with the most probable and with drawn actions."""
        from stable_baselines3.common.evaluation import evaluate_policy

        env = gym.make(self.environment)
        env.reset(seed=EVALUATION_SEED + 100 * self.seed)
        best, drawn = (
            evaluate_policy(self.agent, env, n_eval_episodes=EPISODES, deterministic=d, warn=False)[0]
            for d in (True, False)
        )
        return {"return": float(best), "return_drawn": float(drawn)}


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
