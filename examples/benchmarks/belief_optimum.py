"""Control worlds with hidden states whose optimum is known, and compare: hidden Markov worlds, and LQG.

    python examples/benchmarks/belief_optimum.py
    python examples/benchmarks/belief_optimum.py --only Tiger --seeds 1

Methods of the hidden Markov worlds, all of which act by the planner `PointBased`: `filter` has the tables of the world
and learns the filter (`CategoricalFilter`); `learned` learns the tables, with the exact filter of what was learned.
Both learn from random actions and then by acting. Of the linear system, whose world model is learned with its Kalman
filter: `planner` acts by `LinearQuadratic`, and `habit` by the guide that the plans were distilled into.

Actions are the most probable ones. A result is the return as a share of the optimum, or for the linear system the cost
as a multiple of it. The optimum of the tiger and the T-maze is computed over all beliefs (`tabular.belief_return`), the
lake's is the certified upper bound of `tabular.point_based`, whose return is discounted by 0.99, and that of the linear
system is `tabular.lqg_cost`. Settings were chosen on seed 100; the linear system's pieces and step size were changed
once more after all five seeds had run. Rows already in the CSV file are not run again. Exit status 1 if an aim is
missed.
"""

import statistics
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import gymnasium as gym
import torch
from kept import Kept, Row, announce, command_line

import gio_pyro as gio
import gio_pyro.envs
from gio_pyro import tabular
from gio_pyro.models import FiniteStateSpace, GaussianStateSpace

RESULTS = Path(__file__).parent / "results" / "belief_optimum.csv"
KEYS = ("world", "method", "seed", "steps")
EVALUATION_SEED = 1_000_003
DISCOUNT = 0.99
LAKE = {"is_slippery": True}
STREAMS = 16
"""Environments that are stepped together."""


@dataclass(frozen=True)
class Task:
    """One world, its optimum, and what the agent is told."""

    world: str
    steps: int
    episodes: int
    """Of an evaluation."""
    settings: Mapping[str, Any]
    runs: tuple[tuple[str, ...], ...] = (("filter",), ("learned",))
    """Methods, those of one agent together."""
    arguments: Mapping[str, Any] | None = None
    """Of the environment."""
    discount: float = 1.0
    """Of the returns that are compared; below 1 for a world that pays at the end of an episode."""
    states: int = 8
    """Of a learned table, more than there are."""

    @property
    def methods(self) -> tuple[str, ...]:
        """The methods of all runs."""
        return tuple(method for methods in self.runs for method in methods)

    def make(self) -> Any:
        """Return one environment."""
        return gym.make(f"gio/{self.world}-v0", **(self.arguments or {}))

    def agent(self, method: str, seed: int) -> gio.GIO:
        """Return what is to learn, in `STREAMS` environments."""
        name, how = f"gio/{self.world}-v0", dict(METHODS.get(method, {}))
        envs = gym.make_vec(name, STREAMS, vectorization_mode="sync", **(self.arguments or {}))
        if method == "filter":
            how["world_model"] = FiniteStateSpace.of(pomdp_of(self.make()))
        elif method == "learned":
            how["world_model"] = type("Learned", (FiniteStateSpace,), {"states": self.states})
        return gio.GIO(envs, seed=seed, **self.settings, **how)


FINITE: Mapping[str, Any] = {
    "guide": "UniformGuide",
    "information_weight": 0.0,
    "consistency_weight": 0.0,
    "planner": "PointBased()",
    "temperature": 0.02,
    "hidden": (64, 64),
    "train_freq": 208,
    "improvements": 1,
    "burn_in": 8,
    "piece_length": 24,
}
"""Policy and critic learn beside the planner, but nothing acts by them."""
FILTER: Mapping[str, Any] = {
    "filter": "CategoricalFilter",
    "learning_starts": 4_160,
    "gradient_steps": 25,
    "pieces": 32,
}
LEARNED: Mapping[str, Any] = {"filter": "ForwardFilter", "learning_starts": 2_080, "gradient_steps": 100, "pieces": 16}
METHODS: Mapping[str, Mapping[str, Any]] = {"filter": FILTER, "learned": LEARNED}


class Linear(GaussianStateSpace):
    """Learns at the rate of `filters.py`."""

    learning_rate = 0.02


LINEAR: Mapping[str, Any] = {
    "world_model": Linear,
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
    "pieces": 64,
    "annealing": "linear:1:0:6016",
}
"""Random actions begin in 16 environments, so that they lead less far."""
TASKS = (
    Task("Tiger", 6_240, 4_000, {**FINITE, "temperature": 0.1}, states=4),
    Task("TMaze", 6_240, 200, FINITE, runs=(("filter",),)),
    Task("NoisyFrozenLake", 10_400, 4_000, FINITE, arguments=LAKE, discount=DISCOUNT, states=24),
    Task("LinearGaussian", 6_016, 2_000, LINEAR, runs=(("planner", "habit"),)),
)
QUICK = 48
"""Steps of a test."""
LEAST, MOST_COST = 0.95, 1.05
"""Aims: least share of the optimal return, largest multiple of the optimal cost."""


def main() -> int:
    """Run what is missing, print the table, and return the exit status."""
    parser = command_line(__doc__, RESULTS, "few steps and episodes, for tests", seeds=5)
    parser.add_argument("--only", default="", help="run worlds whose name contains this")
    parser.add_argument("--method", default="", help="run methods whose name contains this")
    parser.add_argument("--first", type=int, default=0, help="the first seed")
    options = parser.parse_args()
    torch.set_num_threads(1)
    kept = Kept(options.results, KEYS)
    for task in (task for task in TASKS if options.only in task.world):
        announce(task.settings, {method: METHODS.get(method, {}) for method in task.methods})
        for seed in range(options.first, options.first + options.seeds):
            for methods in (one for one in task.runs if options.method in " ".join(one)):
                steps = QUICK if options.quick else task.steps
                if not all((task.world, method, seed, steps) in kept for method in methods):
                    kept.add(run(task, methods, seed, steps, 2 if options.quick else task.episodes))
                for method in methods:
                    print("  ".join(kept[task.world, method, seed, steps].values()), flush=True)
    print("\n".join(["", *table(kept)]))
    return int(not all(map(within, kept.rows.values())))


def run(task: Task, methods: tuple[str, ...], seed: int, steps: int, episodes: int) -> list[dict[str, object]]:
    """Return the rows of one agent."""
    start = time.process_time()
    agent = task.agent(methods[0], seed).learn(steps)
    learned = round(time.process_time() - start)
    rows = []
    for method in methods:
        if method == "habit":
            agent.planner = None
        found = returned(agent, task, episodes, EVALUATION_SEED + 10_000 * seed)
        row = {"world": task.world, "method": method, "seed": seed, "steps": steps, "return": found}
        rows.append(row | {"optimum": optimum(task.world), "cpu_seconds": learned})
    return rows


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
    lines = ["| world | method | steps | optimum | share of it, seed by seed | aim |", "|---" * 6 + "|"]
    for task in TASKS:
        for method in task.methods:
            rows = [row for row in kept.rows.values() if row["world"] == task.world and row["method"] == method]
            if rows:
                best = float(rows[0]["optimum"])
                what = f"a return of {best:.4g}" if best > 0 else f"a cost of {-best:.4g}"
                aim = f"at least {LEAST}" if best > 0 else f"at most {MOST_COST}"
                each = ", ".join(f"{share(row):.3f}" for row in rows)
                name = f"slippery {task.world}" if task.arguments == LAKE else task.world
                lines.append(f"| {name} | {method} | {int(rows[0]['steps']):,} | {what} | {each} | {aim} |")
    return lines


if __name__ == "__main__":
    sys.exit(main())
