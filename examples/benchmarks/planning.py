"""Plan in the learned model: environment steps to solve with and without, against the exact plan, and as a habit.

    python examples/benchmarks/planning.py --part finite                 # sampled against exact plans, a minute
    python examples/benchmarks/planning.py --part solve --seeds 5        # CartPole and Pendulum
    python examples/benchmarks/planning.py --part habit --seeds 5        # the plan distilled into a habit

`solve`: the same loop with and without a planner; every 500 environment steps the mean return of 20 evaluation episodes
with likeliest actions. CartPole-v1 is solved at 475, Pendulum-v1 at −200; a run stops where it is solved. `habit`: an
agent with the guide `HabitGuide` and a planner learns until it is solved, the planner's plans being distilled into the
guide; then the return of 20 episodes and the milliseconds of an action are taken with the planner, and with the habit
alone. The settings were chosen on seed 0. Rows already in the CSV file are not run again.
"""

import time
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from kept import Kept, command_line

import gio_pyro as gio
from gio_pyro.errors import GioWarning

RESULTS = Path(__file__).parent / "results" / "planning.csv"
KEYS = ("part", "environment", "method", "seed")
EPISODES = 20
EVALUATION_SEED = 1_000_003
EVERY = 500
"""Environment steps between evaluations."""


@dataclass(frozen=True)
class Task:
    """An environment, what counts as solved, and the settings of the loop."""

    environment: str
    solved: float
    longest: int
    planner: str
    settings: dict[str, Any]


TASKS = (
    Task("CartPole-v1", 475, 30_000, "PathIntegral(horizon=12, draws=64)", {"temperature": 0.01}),
    Task("Pendulum-v1", -200, 8_000, "PathIntegral(horizon=12, draws=128)", {"temperature": 0.2}),
)


def returns_while_learning(agent: gio.GIO, task: Task, seed: int) -> Iterator[tuple[int, float, float]]:
    """Yield the environment steps, the return of likeliest actions and the seconds so far, until it is solved."""
    start = time.perf_counter()
    while agent.steps < task.longest:
        agent.learn(EVERY)
        played = agent.evaluate(EPISODES, deterministic=True, seed=EVALUATION_SEED + 100 * seed)
        yield agent.steps, played.mean, time.perf_counter() - start
        if played.mean >= task.solved:
            return


def solve(task: Task, method: str, seed: int) -> dict[str, object]:
    """Return the row of one run."""
    planner = task.planner if method == "planner" else None
    agent = gio.GIO(task.environment, planner=planner, seed=seed, **task.settings)
    curve = []
    for steps, mean, seconds in returns_while_learning(agent, task, seed):
        curve.append(f"{mean:.0f}")
        print(f"{task.environment} {method} seed {seed}: {mean:.1f} after {steps} steps, {seconds:.0f} s", flush=True)
    solved = steps if mean >= task.solved else 0
    return {"steps": solved, "return": mean, "curve": " ".join(curve), "seconds": round(seconds)}


def main() -> None:
    """Run what is missing and print the table."""
    parser = command_line(__doc__, RESULTS, seeds=1)
    parser.add_argument("--part", default="solve", choices=("finite", "solve", "habit"))
    parser.add_argument("--only", default="", help="environments whose id contains this")
    parser.add_argument("--method", default="", help="planner or policy")
    options = parser.parse_args()
    torch.set_num_threads(1)
    warnings.simplefilter("ignore", GioWarning)
    kept = Kept(options.results, KEYS)
    for task in TASKS:
        for method in ("planner", "policy"):
            for seed in range(options.seeds):
                key = (options.part, task.environment, method, seed)
                if options.only in task.environment and options.method in method and key not in kept:
                    kept.add([dict(zip(KEYS, key, strict=True)) | solve(task, method, seed)])


if __name__ == "__main__":
    main()
