"""Control worlds with hidden states whose optimum is known, and compare: hidden Markov worlds, and LQG.

    python examples/benchmarks/belief_optimum.py
    python examples/benchmarks/belief_optimum.py --only Tiger --seeds 1

Methods: `learned` is the actor-critic on the beliefs of a world model that is learned with it, `given` the same with
the tables of the world as its world model; `planner` acts by plans in a learned world model, and `habit` by the guide
that they were distilled into. Actions are the most probable ones. A result is the return as a share of the optimum, or
for LQG the cost as a multiple of it. The optimum of the tiger and the T-maze is computed over all beliefs
(`tabular.belief_return`), that of the lake is the certified upper bound of `tabular.point_based`, whose return is
discounted by 0.99, and that of the linear system is `tabular.lqg_cost`. Settings are first guesses: none has been run
for its full length yet. Rows already in the CSV file are not run again. Exit status 1 if an aim is missed.
"""

import statistics
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import gymnasium as gym
import torch
from kept import Kept, Row, command_line

import gio_pyro as gio
import gio_pyro.envs
from gio_pyro import tabular
from gio_pyro.models import FiniteStateSpace

RESULTS = Path(__file__).parent / "results" / "belief_optimum.csv"
KEYS = ("world", "method", "seed", "steps")
EVALUATION_SEED = 1_000_003
DISCOUNT = 0.99
LAKE = {"is_slippery": True}


@dataclass(frozen=True)
class Task:
    """One world, its optimum, and what the agent is told."""

    world: str
    steps: int
    episodes: int
    """Of an evaluation."""
    settings: Mapping[str, Any]
    methods: tuple[str, ...] = ("learned", "given")
    arguments: Mapping[str, Any] | None = None
    """Of the environment."""
    discount: float = 1.0
    """Of the returns that are compared; below 1 for a world that pays at the end of an episode."""
    streams: int = 1
    """Environments that are stepped together."""

    def make(self) -> Any:
        """Return one environment."""
        return gym.make(f"gio/{self.world}-v0", **(self.arguments or {}))

    def make_all(self) -> Any:
        """Return what the agent learns from."""
        if self.streams == 1:
            return self.make()
        return gym.make_vec(f"gio/{self.world}-v0", self.streams, vectorization_mode="sync", **(self.arguments or {}))


FINITE: Mapping[str, Any] = {
    "world_model": "FiniteStateSpace",
    "guide": "UniformGuide",
    "information_weight": 0.0,
    "consistency_weight": 0.0,
    "critic": "layer_norm",
    "hidden": (64, 64),
    "train_freq": 2,
    "improvements": 2,
    "burn_in": 24,
    "piece_length": 32,
}
LINEAR: Mapping[str, Any] = {
    "world_model": "GaussianStateSpace",
    "guide": "HabitGuide",
    "information_weight": 0.0,
    "consistency_weight": 0.0,
    "planner": "LinearQuadratic()",
    "temperature": 0.3,
    "hidden": (64, 64),
    "learning_starts": 512,
    "train_freq": 16,
    "gradient_steps": 4,
    "burn_in": 32,
    "piece_length": 48,
    "pieces": 16,
    "annealing": "linear:1:0:6016",
}
"""Chosen on seed 100, as all settings here. Random actions begin in 16 environments, so that they lead less far."""
TASKS = (
    Task("Tiger", 20_000, 1_000, {**FINITE, "temperature": 2.0, "discount": 0.95}),
    Task("TMaze", 20_000, 200, {**FINITE, "temperature": 0.02}),
    Task("NoisyFrozenLake", 40_000, 1_000, {**FINITE, "temperature": 0.002}, arguments=LAKE, discount=DISCOUNT),
    Task("LinearGaussian", 6_016, 400, LINEAR, methods=("planner", "habit"), streams=16),
)
LEAST, MOST_COST = 0.95, 1.05
"""Aims: least share of the optimal return, largest multiple of the optimal cost."""


def main() -> int:
    """Run what is missing, print the table, and return the exit status."""
    parser = command_line(__doc__, RESULTS, "few steps and episodes, for tests", seeds=5)
    parser.add_argument("--only", default="", help="run worlds whose name contains this")
    parser.add_argument("--first", type=int, default=0, help="the first seed")
    options = parser.parse_args()
    torch.set_num_threads(1)
    kept = Kept(options.results, KEYS)
    for task in (task for task in TASKS if options.only in task.world):
        print(f"{task.world}:", ", ".join(f"{key}={value}" for key, value in task.settings.items()), flush=True)
        steps = 40 if options.quick else task.steps
        for seed in range(options.first, options.first + options.seeds):
            for row in run(task, seed, steps, 2 if options.quick else task.episodes, kept):
                kept.add([row])
            for method in task.methods:
                print("  ".join(kept[task.world, method, seed, steps].values()), flush=True)
    print("\n".join(["", *table(kept)]))
    return int(not all(map(within, kept.rows.values())))


def run(task: Task, seed: int, steps: int, episodes: int, kept: Kept) -> Iterator[dict[str, object]]:
    """Yield the rows of one seed that are missing; planner and habit are one agent."""
    if all((task.world, method, seed, steps) in kept for method in task.methods):
        return
    agent, learned = None, 0.0
    for method in task.methods:
        if agent is None or method != "habit":
            start = time.process_time()
            model = {"world_model": FiniteStateSpace.of(pomdp_of(task.make()))} if method == "given" else {}
            agent = gio.GIO(task.make_all(), seed=seed, **{**task.settings, **model}).learn(steps)
            learned = time.process_time() - start
        if method == "habit":
            agent.planner = None
        found = returned(agent, task, episodes, EVALUATION_SEED + 10_000 * seed)
        row = {"world": task.world, "method": method, "seed": seed, "steps": steps, "return": found}
        yield row | {"optimum": optimum(task.world), "cpu_seconds": round(learned)}


def returned(agent: gio.GIO, task: Task, episodes: int, seed: int) -> float:
    """Return the mean return of most probable actions, discounted as the optimum is."""
    played = agent.evaluate(episodes, deterministic=True, seed=seed)
    each = zip(played.returns, played.lengths, strict=True)
    return statistics.fmean(value * task.discount ** (length - 1) for value, length in each)


@cache
def optimum(world: str) -> float:
    """Return the best expected return there is, reward units."""
    env = next(task for task in TASKS if task.world == world).make()
    if world == "LinearGaussian":
        own = env.unwrapped
        return -tabular.lqg_cost(own.system, own.state_cost, own.action_cost, env.spec.max_episode_steps)
    pomdp = pomdp_of(env)
    if world == "NoisyFrozenLake":
        return tabular.point_based(pomdp, tolerance=0.01).upper
    return tabular.belief_return(pomdp, env.spec.max_episode_steps, discount=1.0)


def pomdp_of(env: Any) -> tabular.POMDP:
    """Return the tables of a finite world."""
    return tabular.POMDP.from_env(env, discount=DISCOUNT)


def share(row: Row) -> float:
    """Return the return as a share of the optimum, of costs as a multiple."""
    return float(row["return"]) / float(row["optimum"])


def within(row: Row) -> bool:
    """Whether a row keeps its aim."""
    return share(row) <= MOST_COST if float(row["optimum"]) < 0 else share(row) >= LEAST


def table(kept: Kept) -> list[str]:
    """Return every seed as Markdown."""
    lines = ["| world | acts by | steps | optimum | share of it, seed by seed | aim |", "|---" * 6 + "|"]
    for task in TASKS:
        for method in task.methods:
            rows = [row for row in kept.rows.values() if row["world"] == task.world and row["method"] == method]
            if rows:
                best = float(rows[0]["optimum"])
                what = f"a return of {best:.4g}" if best > 0 else f"a cost of {-best:.4g}"
                aim = f"at least {LEAST}" if best > 0 else f"at most {MOST_COST}"
                each = ", ".join(f"{share(row):.3f}" for row in rows)
                lines.append(f"| {task.world} | {method} | {task.steps:,} | {what} | {each} | {aim} |")
    return lines


if __name__ == "__main__":
    sys.exit(main())
