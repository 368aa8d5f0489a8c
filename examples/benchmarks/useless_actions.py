"""Does a learned action prior help where most actions are useless? MIRL, maximum entropy and Q-learning, one loop.

    python examples/benchmarks/useless_actions.py                 # 45 runs; about a minute on one idle core
    python examples/benchmarks/useless_actions.py --seeds 1

A maze of 15 cells with a goal at the far end, four moves and m further actions that do nothing. Each method is the
one loop with another guide and other settings:

    mirl                      MovingMarginalGuide, temperature from the critic's loss, greedy, explores by its prior
    mirl, fixed               the same at a fixed temperature
    maximum entropy           UniformGuide, draws from its policy, explores uniformly
    maximum entropy, greedy   the same, but collects its most probable action, as MIRL does
    q-learning                UniformGuide at a temperature of almost 0, greedy, explores uniformly

All start from Q = 0 instead of the optimism that tables have by default, which would try every action of every state
and hide what exploration is worth. A row says how many steps went by before the most probable actions first reached the
goal by a shortest path (read off the transition table after every round; -1: never), how many episodes had then reached
the goal, and how much of the exploration is useless in the end. Temperatures were not tuned: 0.05 for entropy, which is
the library's default for networks, and the same start for MIRL.

Rows already in the CSV file are not run again; its seconds are of processor time.
"""

import time
from pathlib import Path
from types import MappingProxyType
from typing import Any

import gymnasium
import torch
from kept import Kept, announce, command_line

import gio_pyro as gio
from gio_pyro import tabular
from gio_pyro.diagnostics import policy_table

RESULTS = Path(__file__).parent / "results" / "useless_actions.csv"
MAP = ("S..#.", ".#...", "...#G")
SIZES = (0, 4, 16)
KEYS = ("useless", "method", "steps", "seed")
STEPS, ROUND, LIMIT = 2_000, 100, 60
COMMON = MappingProxyType(
    {
        "discount": 0.95,
        "uniform_share": 0.3,
        "initial_value": 0.0,
        "train_freq": ROUND,
        "log_interval": ROUND,
        "gradient_steps": 1,
        "improvements": 2,
        "sweeps": 20,
    }
)
METHODS = MappingProxyType(
    {
        "mirl": {"guide": "MovingMarginalGuide", "temperature": "loss:0.05:0.05:0.005:0.5", "greedy": True},
        "mirl, fixed": {"guide": "MovingMarginalGuide", "temperature": 0.05, "greedy": True},
        "maximum entropy": {"guide": "UniformGuide", "temperature": 0.05},
        "maximum entropy, greedy": {"guide": "UniformGuide", "temperature": 0.05, "greedy": True},
        "q-learning": {"guide": "UniformGuide", "temperature": 1e-6, "greedy": True},
    }
)
TITLES = MappingProxyType(
    {
        "mirl": "MIRL, temperature from the loss",
        "mirl, fixed": "MIRL, temperature 0.05",
        "maximum entropy, greedy": "maximum entropy, 0.05, greedy",
        "maximum entropy": "maximum entropy, 0.05, drawing from its policy",
        "q-learning": "Q-learning",
    }
)


def main() -> None:
    """Run what is missing and print the rows and their means."""
    parser = command_line(__doc__, RESULTS, seeds=3)
    parser.add_argument("--steps", type=int, default=STEPS, help="environment steps of every run")
    options = parser.parse_args()
    torch.set_num_threads(1)
    announce(COMMON, METHODS)
    kept = Kept(options.results, KEYS)
    for useless in SIZES:
        for method in METHODS:
            for seed in range(options.seeds):
                key = (useless, method, options.steps, seed)
                if key not in kept:
                    kept.add([run(*key)])
                print(line(kept[key]), flush=True)
    print("\n".join(["", *table(kept, options.steps)]))


def table(kept: Kept, steps: int = STEPS) -> list[str]:
    """Return how often the goal was reached, seed by seed, as Markdown."""
    lines = ["| | " + " | ".join(f"m = {useless}" for useless in SIZES) + " |", "|---" * (1 + len(SIZES)) + "|"]
    for method, title in TITLES.items():
        goals = [kept.numbers("goals", useless=useless, method=method, steps=steps) for useless in SIZES]
        lines.append(f"| {title} | " + " | ".join(", ".join(f"{n:.0f}" for n in found) for found in goals) + " |")
    return lines


def run(useless: int, method: str, steps: int, seed: int) -> dict[str, object]:
    """Learn once and return the row for the CSV file."""
    start = time.process_time()
    env = gymnasium.make("gio_pyro.envs:gio/Maze-v0", map=MAP, useless=useless, max_episode_steps=LIMIT)
    mdp = tabular.TabularMDP.from_env(env, discount=COMMON["discount"])
    agent = gio.GIO(env, seed=seed, **{**COMMON, **METHODS[method]})
    first, found = -1, -1

    def judge(agent: gio.GIO, metrics: dict[str, float]) -> bool:
        nonlocal first, found
        if first < 0 and solved(mdp, policy_table(agent)):
            first, found = agent.steps, goals(agent)
        return True

    agent.learn(steps, callback=judge)
    row: dict[str, Any] = {"useless": useless, "method": method, "steps": steps, "seed": seed}
    row |= {"steps_to_shortest_path": first, "goals_until_then": found, "goals": goals(agent)}
    row |= {"explores_uselessly": f"{exploring(agent)[4:].sum():.4f}", "temperature": f"{alpha(agent):.4g}"}
    row |= {"seconds": f"{time.process_time() - start:.1f}"}
    return row


def solved(mdp: tabular.TabularMDP, policy: torch.Tensor) -> bool:
    """Whether the most probable actions lead to the goal by a shortest path; ties go to the first action."""
    greedy = torch.nn.functional.one_hot(policy.argmax(-1), policy.shape[-1]).double()
    earned = tabular.expected_return(mdp, greedy, distance(mdp))
    return bool(earned > 0.5)


def distance(mdp: tabular.TabularMDP) -> int:
    """Return the number of steps to the goal."""
    return next(n for n in range(1, LIMIT) if tabular.optimal_return(mdp, n) > 0.5)


def goals(agent: gio.GIO) -> int:
    """Return how many episodes have reached the goal."""
    return int(agent.replay.all().terminated.sum())


def exploring(agent: gio.GIO) -> torch.Tensor:
    """Return what exploring draws from, `[A]`."""
    count = int(agent.spec.action_space.n)
    offered = agent.guide.explorer
    if offered is None:
        return torch.full((count,), 1 / count)
    return offered(torch.zeros(1, dtype=torch.long)).probs[0]


def alpha(agent: gio.GIO) -> float:
    """Return the temperature at the end."""
    return float(agent.temperature.at(agent.steps))


def line(row: dict[str, str]) -> str:
    """Return a row as text."""
    return (
        f"{row['useless']:>3} useless  {row['method']:<23} seed {row['seed']}  shortest path after "
        f"{row['steps_to_shortest_path']:>5} steps and {row['goals_until_then']:>3} goals; {row['goals']:>3} in all; "
        f"explores uselessly {row['explores_uselessly']}  temperature {row['temperature']}  {row['seconds']} s"
    )


if __name__ == "__main__":
    main()
