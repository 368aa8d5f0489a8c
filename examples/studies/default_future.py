"""Which future should be the default: s', or the paper's (s', r)? Every environment of the README, both futures.

    python examples/studies/default_future.py                    # about 25 minutes on one core
    python examples/studies/default_future.py --only FrozenLake

The settings are those of the README's commands (`WORLDS`), everything else the defaults; the steps are fewer than there
to keep the cost down. Two runs of one seed differ in the future alone. A row has

    score    mean return of 20 episodes with the most probable actions; of finite worlds the exact return of the policy
    nats     the agent's own mean intrinsic reward over visited states; of finite worlds weighted by exact visits
    exact    the exact mutual information of the same future and policy; finite worlds only
    seconds  CPU time of learning

and the tables have the medians, all seeds, and the mean of the paired differences, (s', r) less s', with a 95 %
interval by bootstrap over the seeds (percentiles; with five seeds it is rather too narrow). Rows already in the CSV
file are not run again. Nothing was tuned.
"""

import statistics
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any

import gymnasium as gym
import numpy as np
import torch
from kept import Kept, command_line

import gio_pyro as gio
import gio_pyro.envs
from gio_pyro.diagnostics import compare_with_exact, exact_world
from gio_pyro.sweep.statistics import interval

RESULTS = Path(__file__).parent / "results" / "default_future.csv"
KEYS = ("world", "steps", "seed", "future")
FUTURES = ("NextState", "NextStateAndReward")
EPISODES, EVALUATION_SEED = 20, 1_000_003


@dataclass(frozen=True)
class World:
    """A command of the README, and how much of it is run here."""

    environment: str
    steps: tuple[int, ...]
    """Environment steps after which the agent is evaluated, increasing."""
    settings: Mapping[str, Any] = field(default_factory=dict)
    arguments: Mapping[str, Any] = field(default_factory=dict)
    """Arguments of the environment."""


WITHOUT_REWARD = MappingProxyType({"reward_weight": 0.0, "temperature": 1.0})
EXPLORED = MappingProxyType(
    {"signal": "InformationGain", "model": "DirichletModel", "explorer": "Signal", "temperature": 0.002}
)
EMPOWERED = MappingProxyType({"signal": "Empowerment(2)", "guide": "UniformGuide"})
WORLDS: MappingProxyType[str, World] = MappingProxyType(
    {
        "FrozenLake": World("FrozenLake-v1", (5_000,)),
        "FrozenLake, not slippery, no reward": World("FrozenLake-v1", (5_000,), WITHOUT_REWARD, {"is_slippery": False}),
        "SparseMaze, information gain": World("gio/SparseMaze-v0", (5_000,), EXPLORED),
        "KlyubinMaze, empowerment": World("gio/KlyubinMaze-v0", (1_500,), EMPOWERED),
        "CartPole": World("CartPole-v1", (1_500, 3_000)),
        "Pendulum": World("Pendulum-v1", (2_000,)),
        "CartPole, no reward": World("CartPole-v1", (2_500, 5_000), WITHOUT_REWARD),
    }
)


def main() -> int:
    """Run what is missing and print the table; returns 0."""
    parser = command_line(__doc__, RESULTS, "one seed, 1,000 steps", seeds=5)
    parser.add_argument("--only", default="", help="run worlds whose name contains this")
    options = parser.parse_args()
    torch.set_num_threads(1)
    kept = Kept(options.results, KEYS)
    for name, world in WORLDS.items():
        print(f"{name}: {world.environment} {world.arguments or ''} {world.settings or ''}", flush=True)
        steps = (1_000,) if options.quick else world.steps
        for seed in range((1 if options.quick else options.seeds) if options.only in name else 0):
            for future in FUTURES:
                if any((name, after, seed, future) not in kept for after in steps):
                    run(kept, name, world, steps, seed, future)
                print("  ".join(kept[name, steps[-1], seed, future].values()), flush=True)
    print("\n".join(table(kept)))
    return 0


def run(kept: Kept, name: str, world: World, steps: tuple[int, ...], seed: int, future: str) -> None:
    """Learn once, and keep a row each time that the agent is evaluated."""
    env = gym.make(world.environment, **world.arguments)
    agent = gio.GIO(env, future=future, seed=seed, device="cpu", **world.settings)
    seconds, rows = 0.0, []
    for after in steps:
        start = time.process_time()
        agent.learn(after - agent.steps)
        seconds += time.process_time() - start
        row = {"world": name, "steps": after, "seed": seed, "future": future, **judged(agent, seed)}
        rows.append(row | {"seconds": seconds})
    kept.add(rows)


def judged(agent: gio.GIO, seed: int) -> dict[str, object]:
    """Return score, nats, and exact nats where the world is finite."""
    if exact_world(agent) is None:
        played = agent.evaluate(EPISODES, deterministic=True, seed=EVALUATION_SEED + 100 * seed)
        return {"score": played.mean, "nats": agent.metrics()["intrinsic/nats"], "exact": ""}
    found = compare_with_exact(agent)
    exact = found.information_exact if found.guide_sees_future else ""
    return {"score": found.return_learned, "nats": found.information_learned, "exact": exact}


def table(kept: Kept) -> list[str]:
    """Return the medians and all seeds of each world, and the paired differences, as two tables in Markdown."""
    lines = [
        "| world | future | steps | score, seed by seed | median | nats | nats − exact | ms a step |",
        "|---" * 8 + "|",
    ]
    differences = ["| (s', r) less s' | steps | score | nats | CPU time |", "|---" * 5 + "|"]
    for name, steps in sorted({(row["world"], int(row["steps"])) for row in kept.rows.values()}, key=place):
        scores, nats, seconds = (paired(kept, name, steps, column) for column in ("score", "nats", "seconds"))
        if not len(scores[0]):
            continue
        for number, future in enumerate(FUTURES):
            each = ", ".join(map(short, scores[number]))
            lines.append(
                f"| {name} | {future} | {steps:,} | {each} | {short(statistics.median(scores[number]))} | "
                f"{statistics.median(nats[number]):.3f} | {bias(kept, name, steps, future)} | "
                f"{1_000 * statistics.median(seconds[number]) / steps:.2f} |"
            )
        ratio = statistics.median(seconds[1] / seconds[0])
        differences.append(f"| {name} | {steps:,} | {change(scores)} | {change(nats)} | {ratio - 1:+.0%} |")
    return [*lines, "", *differences]


def short(score: float) -> str:
    """Return a score with three digits, or as a whole number where it has more."""
    return f"{score:.0f}" if abs(score) >= 100 else f"{score:.3g}"


def place(key: tuple[str, int]) -> tuple[int, int]:
    """Return where a world and its steps stand in the table."""
    return [*WORLDS].index(key[0]), key[1]


def bias(kept: Kept, name: str, steps: int, future: str) -> str:
    """Return the median of the learned less the exact information, nats, where the world is finite."""
    of = (name, str(steps), future)
    own = [row for row in kept.rows.values() if (row["world"], row["steps"], row["future"]) == of]
    if not all(row["exact"] for row in own):
        return ""
    return f"{statistics.median(float(row['nats']) - float(row['exact']) for row in own):+.4f}"


def change(pair: tuple[np.ndarray, np.ndarray]) -> str:
    """Return the mean of the paired differences and its interval, which is the difference itself for one pair."""
    differences = pair[1] - pair[0]
    many = len(differences) > 1
    low, high = interval(lambda strata: strata[0].mean(-1), [differences]) if many else np.repeat(differences, 2)
    return f"{differences.mean():+.3g} [{low:+.3g}, {high:+.3g}]"


def paired(kept: Kept, name: str, steps: int, column: str) -> tuple[np.ndarray, np.ndarray]:
    """Return a column of both futures, `[seeds]` each, of the seeds that have both."""
    rows = [row for row in kept.rows.values() if (row["world"], row["steps"]) == (name, str(steps))]
    of = {(int(row["seed"]), row["future"]): float(row[column]) for row in rows}
    seeds = [seed for seed in sorted({seed for seed, _ in of}) if all((seed, future) in of for future in FUTURES)]
    first, second = (np.array([of[seed, future] for seed in seeds]) for future in FUTURES)
    return first, second


if __name__ == "__main__":
    sys.exit(main())
