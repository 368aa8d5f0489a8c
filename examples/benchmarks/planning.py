"""Plan in the learned model: environment steps to solve with and without, against the exact plan, and as a habit.

    python examples/benchmarks/planning.py --part finite --seeds 5       # sampled against exact plans
    python examples/benchmarks/planning.py --part solve --seeds 5        # CartPole and Pendulum
    python examples/benchmarks/planning.py --part habit --seeds 5        # plans distilled into a habit

`finite`: one agent with `BackwardInduction` learns from 20,000 steps; then the policies of all planners in its fitted
model, each planning anew in every state, are evaluated exactly in the true one. `solve`: the same loop with and without
a planner; every 500 environment steps, of the pendulum every 250, the mean return of 20 evaluation episodes with the
likeliest actions. CartPole-v1 is solved at 475, Pendulum-v1 at −200; a run stops where it is solved. `habit`: an agent
with the guide `HabitGuide` and a planner learns for as many steps as are given, its plans being distilled into the
guide; then the return of 20 episodes and the milliseconds of an action are taken with the planner, and with the habit
alone. The settings were chosen on seed 0 (CartPole, `solve`) and seed 100 (the others). Rows already in the CSV file
are not run again.

Solved is the first evaluation that reaches the bound; it is not always kept. On CartPole, seed 0, a run that goes on
returns 500, 91, 95 and 500 at 500, 1,000, 1,500 and 2,000 steps: the critic, whose value follows after the horizon, is
wrong about large angles at first (without it, at 1,000 steps: 500, 343, 371 and 500 in four episodes).
"""

import statistics
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
KEYS = ("environment", "method", "seed")
EPISODES = 20
EVALUATION_SEED = 1_000_003


@dataclass(frozen=True)
class Task:
    """An environment, what counts as solved, and the settings of the loop."""

    environment: str
    solved: float
    longest: int
    every: int
    """Environment steps between evaluations."""
    planner: str
    settings: dict[str, Any]


TASKS = (
    Task(
        "CartPole-v1",
        475,
        30_000,
        500,
        "PathIntegral(horizon=12, draws=64, temperature=0.3)",
        {"temperature": 0.01, "gradient_steps": 10, "improvements": 4, "learning_starts": 500},
    ),
    Task(
        "Pendulum-v1",
        -200,
        8_000,
        250,
        "PathIntegral(horizon=12, draws=128)",
        {"temperature": 0.2, "gradient_steps": 4, "learning_starts": 200},
    ),
)
HABITS = {
    "CartPole-v1": (4_000, "PathIntegral(horizon=12, draws=64, temperature=5)"),
    "Pendulum-v1": (4_000, "PathIntegral(horizon=12, draws=128)"),
}
"""Environment steps after which habits are compared with their planners, and these."""
FINITE = {"FrozenLake-v1": 0.002, "CliffWalking-v1": 0.1}
"""Finite worlds and their temperatures."""
PARTS = ("finite", "solve", "habit")
PLANNERS = (
    "BackwardInduction()",
    "BackwardInduction(horizon=12, value=True)",
    "PathIntegral(horizon=12, draws=512)",
    "CrossEntropy(horizon=12, draws=512)",
    "OneStep(draws=512)",
)


def returns_while_learning(agent: gio.GIO, task: Task, seed: int) -> Iterator[tuple[int, float, float]]:
    """Yield the environment steps, the return of likeliest actions and the seconds so far, until it is solved."""
    start = time.perf_counter()
    while agent.steps < task.longest:
        agent.learn(task.every)
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


def habit(task: Task, seed: int) -> list[dict[str, object]]:
    """Return the rows of a planner and of the habit that was distilled from it."""
    steps, planner = HABITS[task.environment]
    agent = gio.GIO(task.environment, planner=planner, guide="HabitGuide", seed=seed, **task.settings).learn(steps)
    rows: list[dict[str, object]] = []
    for method in ("planner", "habit"):
        if method == "habit":
            agent.planner = None
        played = agent.evaluate(EPISODES, deterministic=True, seed=EVALUATION_SEED + 100 * seed)
        rows.append(
            {"method": method, "steps": agent.steps, "return": played.mean, "milliseconds": milliseconds(agent)}
        )
        print(task.environment, seed, rows[-1], flush=True)
    return rows


def milliseconds(agent: gio.GIO, actions: int = 200) -> float:
    """Return the time of one action for one observation, after as many that are not counted."""
    observation = agent.env.observation_space.sample()
    for _ in range(actions):
        agent.predict(observation, deterministic=True)
    start = time.perf_counter()
    for _ in range(actions):
        agent.predict(observation, deterministic=True)
    return 1e3 * (time.perf_counter() - start) / actions


def finite(name: str, seed: int) -> list[dict[str, object]]:
    """Return a row for each planner in the model that one agent has fitted."""
    agent = gio.GIO(name, planner="BackwardInduction()", temperature=FINITE[name], seed=seed).learn(20_000)
    mdp = gio.tabular.TabularMDP.from_env(agent.env, discount=0.99)
    states = torch.arange(mdp.states)
    rows: list[dict[str, object]] = []
    for planner in PLANNERS:
        agent.planner = planner
        with agent.playing.use(), torch.no_grad():
            policy = agent.planning.planned(states)[:, 0].double().softmax(-1)
        value = float(gio.tabular.expected_return(mdp, policy, 100))
        rows.append({"method": planner, "steps": agent.steps, "return": value, "milliseconds": milliseconds(agent, 5)})
        print(name, seed, rows[-1], flush=True)
    return rows


def table(part: str, kept: Kept) -> list[str]:
    """Return every seed of a part as Markdown."""
    return {"finite": _finite_table, "solve": _solve_table, "habit": _habit_table}[part](kept)


def _finite_table(kept: Kept) -> list[str]:
    lines = [
        "| finite world | planner in the fitted model | return in 100 steps, exact, seed by seed |",
        "|---" * 3 + "|",
    ]
    for name in FINITE:
        for planner in PLANNERS:
            found = kept.numbers("return", environment=name, method=planner)
            if found:
                lines.append(f"| {name} | `{planner}` | {', '.join(f'{value:.4g}' for value in found)} |")
    return lines


def _solve_table(kept: Kept) -> list[str]:
    lines = ["| environment | acts by | steps until solved, seed by seed | median |", "|---" * 4 + "|"]
    for task in TASKS:
        for method in ("planner", "policy"):
            found = kept.numbers("steps", environment=task.environment, method=method)
            if found:
                steps = ", ".join(f"{value:,.0f}" if value else "never" for value in found)
                median = statistics.median(value or float("inf") for value in found)
                lines.append(f"| {task.environment} | {method} | {steps} | {median:,.0f} |")
    return lines


def _habit_table(kept: Kept) -> list[str]:
    lines = ["| environment | distilled for | acts by | return, seed by seed | ms for an action |", "|---" * 5 + "|"]
    for name, (steps, _) in HABITS.items():
        for method in ("planner", "habit"):
            found, times = (kept.numbers(c, environment=name, method=method) for c in ("return", "milliseconds"))
            if found:
                returns = ", ".join(f"{value:.0f}" for value in found)
                lines.append(f"| {name} | {steps:,} steps | {method} | {returns} | {statistics.median(times):.2f} |")
    return lines


def main() -> None:
    """Run what is missing, and print the table of the part."""
    parser = command_line(__doc__, RESULTS, seeds=1)
    parser.add_argument("--part", default="solve", choices=PARTS)
    parser.add_argument("--only", default="", help="environments whose id contains this")
    parser.add_argument("--method", default="", help="planner or policy, of the part solve")
    options = parser.parse_args()
    torch.set_num_threads(1)
    warnings.simplefilter("ignore", GioWarning)
    kept = Kept(options.results.with_stem(f"{options.results.stem}-{options.part}"), KEYS)
    for seed in range(options.seeds):
        for name in FINITE if options.part == "finite" else [task.environment for task in TASKS]:
            if options.only in name:
                run(options.part, name, seed, options.method, kept)
    print("\n".join(["", *table(options.part, kept)]))


def run(part: str, name: str, seed: int, method: str, kept: Kept) -> None:
    """Run one environment and seed of a part, and keep its rows."""
    if part == "finite":
        if (name, PLANNERS[-1], seed) not in kept:
            kept.add([{"environment": name, "seed": seed} | row for row in finite(name, seed)])
        return
    task = next(task for task in TASKS if task.environment == name)
    if part == "habit":
        if (name, "habit", seed) not in kept:
            kept.add([{"environment": name, "seed": seed} | row for row in habit(task, seed)])
        return
    for each in ("planner", "policy"):
        if method in each and (name, each, seed) not in kept:
            kept.add([{"environment": name, "method": each, "seed": seed} | solve(task, each, seed)])


if __name__ == "__main__":
    main()
