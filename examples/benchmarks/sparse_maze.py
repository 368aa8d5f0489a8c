"""How many steps until a distant goal is found, and reached reliably, where most actions are useless?

    python examples/benchmarks/sparse_maze.py                     # about an hour of one core, all rows
    python examples/benchmarks/sparse_maze.py --useless 10        # ten minutes
    python examples/benchmarks/sparse_maze.py --method soft --seeds 1

`gio/SparseMaze-v0`: a goal 14 steps away pays 1, nothing else does, and m of the actions do nothing. Every method is
the same loop with another guide, signal or way of collecting (`METHODS`); `COMMON` has the settings they share. A
run ends at 90 % success or after 40,000 environment steps. A row says

    first   environment steps until the goal was reached for the first time, while collecting
    solved  steps after which the most probable actions of the policy (ties broken evenly) reach the goal in 90 % of
            the episodes of 200 steps: the exact chance, by the world's transition table, asked after every round

and is empty where that did not happen. Policies are improved, and asked, every 200 steps. The tables have the
interquartile mean over seeds, of which a quarter is cut off at either end, with 95 % bootstrap intervals (Agarwal et
al., 2021, arXiv 2108.13264); a run without a figure counts as the steps it took, so a mean over one of them is at least
what is written, marked ">". The third table has what lies between the two, of the runs that found the goal.

Most of `solved` is `first`, the time of an accident: it measures exploration before there is anything to learn from.
`soft` and `epsilon-greedy q` have the same rows throughout. Both are run: until the first reward all actions of either
are worth the same, so both draw them evenly, from the same numbers, and find the goal at the same step; the improvement
after that one success gives both the way, and there a run ends. At m = 0 the same holds for `mirl`.

Nothing was tuned to a method, and the seeds, from 100, are not those used before. All methods initialise tables at the
neutral value: an untried pair has the value of its state. (By default tables are optimistic about
untried pairs; then every method tries each of them once, and all are alike.) The weight of a signal is 0.01 a unit, and
the temperature is 0.002 for every method that has one; that of MIRL starts there and follows the critic's loss. All
methods have `DirichletModel`, which disagreement and information gain require; of the others only GIO uses it.

Rows already in the CSV file are not run again.
"""

import sys
import time
from pathlib import Path
from types import MappingProxyType
from typing import Any

import gymnasium as gym
import numpy as np
import torch
from kept import COLOURS, Kept, announce, command_line
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

import gio_pyro as gio
import gio_pyro.envs
from gio_pyro import tabular
from gio_pyro.actor_critic.behaviour import mode
from gio_pyro.diagnostics import policy_table
from gio_pyro.sweep.statistics import interquartile_mean, interval, pooled_mean

RESULTS = Path(__file__).parent / "results" / "sparse_maze.csv"
SIZES = (0, 10, 40)
BUDGET, ROUND, LIMIT, SUCCESS = 40_000, 200, 200, 0.9
FIRST_SEED = 100
COMMON = MappingProxyType(
    {
        "model": "DirichletModel",
        "discount": 0.99,
        "temperature": 0.002,
        "uniform_share": 0.2,
        "initial_value": "neutral",
        "train_freq": ROUND,
        "log_interval": ROUND,
        "gradient_steps": 5,
        "improvements": 1,
        "sweeps": 100,
    }
)
PAID = MappingProxyType({"signal_weight": 0.01, "reward_weight": 1.0})
METHODS: MappingProxyType[str, dict[str, Any]] = MappingProxyType(
    {
        "gio": {"guide": "CategoricalGuide"},
        "gio + information gain": {"guide": "CategoricalGuide", "signal": "InformationGain", **PAID},
        "mirl": {"guide": "MovingMarginalGuide", "temperature": "loss:0.002:0.05", "greedy": True},
        "soft": {"guide": "UniformGuide"},
        "disagreement": {"guide": "UniformGuide", "signal": "Disagreement", **PAID},
        "random network distillation": {"guide": "UniformGuide", "signal": "RandomNetworkDistillation", **PAID},
        "epsilon-greedy q": {"guide": "UniformGuide", "temperature": 1e-6, "greedy": True},
    }
)
LABELS = MappingProxyType(
    {
        "gio": "GIO (mutual information)",
        "gio + information gain": "GIO + information gain",
        "mirl": "MIRL (moving marginal)",
        "soft": "maximum entropy",
        "disagreement": "maximum entropy + disagreement",
        "random network distillation": "maximum entropy +\nrandom network distillation",
        "epsilon-greedy q": "ε-greedy Q-learning",
    }
)
"""What the figure calls a method."""
KEYS = ("useless", "method", "seed")
FIGURES = ("first", "solved")
TITLES = ("first goal", "90 % success", "from the first goal to 90 %")


def main() -> int:
    """Run what is missing, print rows and table, draw the picture; returns 0."""
    parser = command_line(__doc__, RESULTS, "without useless actions, 300 steps", seeds=10)
    parser.add_argument("--useless", type=int, choices=SIZES, help="run only these rows")
    parser.add_argument("--method", choices=METHODS, help="run only these rows")
    options = parser.parse_args()
    torch.set_num_threads(1)
    announce(COMMON, METHODS)
    kept = Kept(options.results, KEYS)
    for useless in SIZES[:1] if options.quick else SIZES:
        for seed in range(FIRST_SEED, FIRST_SEED + options.seeds):
            for method in METHODS:
                if options.useless in (None, useless) and options.method in (None, method):
                    if (useless, method, seed) not in kept:
                        kept.add([run(useless, method, seed, 300 if options.quick else BUDGET)])
                    print(updated(kept[useless, method, seed]), flush=True)
    print(table(kept))
    draw(kept, options.results.with_suffix(".png"))
    return 0


def run(useless: int, method: str, seed: int, budget: int) -> dict[str, object]:
    """Learn once and return the row of the table."""
    start = time.process_time()
    env = gym.make("gio/SparseMaze-v0", useless=useless, max_episode_steps=LIMIT)
    mdp = tabular.TabularMDP.from_env(env, discount=COMMON["discount"])
    agent = gio.GIO(env, seed=seed, **{**COMMON, **METHODS[method]})
    found: dict[str, int | None] = dict.fromkeys(FIGURES)

    def judge(agent: gio.GIO, metrics: dict[str, float]) -> bool:
        if found["first"] is None:
            found["first"] = first_goal(agent)
        if found["first"] is not None and success(mdp, agent) >= SUCCESS:
            found["solved"] = agent.steps
        return found["solved"] is None

    agent.learn(budget, callback=judge)
    figures = {name: "" if steps is None else steps for name, steps in found.items()}
    seconds = time.process_time() - start
    return {"useless": useless, "method": method, "seed": seed, **figures, "steps": agent.steps, "seconds": seconds}


def first_goal(agent: gio.GIO) -> int | None:
    """Return after how many steps an episode first ended at the goal, or None."""
    (ended,) = torch.where(agent.replay.all().terminated)
    return int(ended[0]) + 1 if len(ended) else None


def success(mdp: tabular.TabularMDP, agent: gio.GIO) -> float:
    """Return the chance that the most probable actions reach the goal in time; it pays 1 and ends the episode."""
    return tabular.expected_return(mdp, mode(policy_table(agent)), LIMIT)


def updated(row: dict[str, str]) -> str:
    """Return a row as a line of text."""
    first, solved = (row[name] or "never" for name in FIGURES)
    return (
        f"{row['useless']:>2} useless  {row['method']:<28} seed {row['seed']}  first goal {first:>6}  "
        f"90 % {solved:>6}  of {row['steps']} steps  {float(row['seconds']):.0f} s"
    )


def steps_of(kept: Kept, useless: int, method: str, figure: str) -> tuple[np.ndarray, int]:
    """Return the figure of every seed, sorted, all steps taken where there is none, and for how many there is one."""
    rows = [row for row in kept.rows.values() if (row["useless"], row["method"]) == (str(useless), method)]
    found = sorted((not row[figure], float(row[figure] or row["steps"])) for row in rows)
    return np.array([steps for _, steps in found]), sum(not never for never, _ in found)


def between(kept: Kept, useless: int, method: str) -> np.ndarray:
    """Return the steps from the first goal to 90 % of every run that found it, sorted; to its end without 90 %."""
    rows = [row for row in kept.rows.values() if (row["useless"], row["method"]) == (str(useless), method)]
    return np.sort([float(row["solved"] or row["steps"]) - float(row["first"]) for row in rows if row["first"]])


def censored(steps: np.ndarray, got: int) -> bool:
    """Return whether a run without a figure is among those that the mean keeps."""
    return got < len(steps) - len(steps) // 4


def cell(kept: Kept, useless: int, method: str, figure: str) -> str:
    """Return an entry of the table: mean, interval, and how many runs got there."""
    steps, got = steps_of(kept, useless, method, figure)
    if not len(steps):
        return "-"
    if not got:
        return f"> {interquartile_mean(steps):,.0f} (0 of {len(steps)})"
    low, high = interval(pooled_mean, [steps])
    text = f"{'> ' if censored(steps, got) else ''}{interquartile_mean(steps):,.0f} [{low:,.0f}, {high:,.0f}]"
    return text if got == len(steps) else f"{text} ({got} of {len(steps)})"


def rest(kept: Kept, useless: int, method: str) -> str:
    """Return an entry of the last table: mean, range, and how many runs found the goal."""
    steps, of = between(kept, useless, method), len(steps_of(kept, useless, method, "first")[0])
    if not len(steps):
        return "-"
    found = "" if len(steps) == of else f" ({len(steps)} of {of})"
    return f"{interquartile_mean(steps):,.0f} ({steps[0]:,.0f} to {steps[-1]:,.0f}){found}"


def table(kept: Kept) -> str:
    """Return the three tables as Markdown."""
    lines = []
    for title, figure in zip(TITLES, (*FIGURES, None), strict=True):
        lines += [f"| {title} | " + " | ".join(f"m = {useless}" for useless in SIZES) + " |", "|---" * 4 + "|"]
        for method in METHODS:
            cells = (cell(kept, m, method, figure) if figure else rest(kept, m, method) for m in SIZES)
            lines.append(f"| {method} | " + " | ".join(cells) + " |")
        lines.append("")
    return "\n".join(lines)


def draw(kept: Kept, path: Path) -> None:
    """Draw every run as a tick and the means with their intervals, by method and number of useless actions."""
    figure = Figure(figsize=(12, 4.6), layout="constrained", dpi=120)
    for axes, useless in zip(figure.subplots(1, len(SIZES), sharey=True), SIZES, strict=True):
        for place, method in enumerate(METHODS):
            for offset, name, colour in zip((-0.16, 0.16), FIGURES, COLOURS, strict=False):
                steps, got = steps_of(kept, useless, method, name)
                if not len(steps):
                    continue
                y = len(METHODS) - place - offset
                axes.plot(steps, np.full(len(steps), y), "|", color=colour, alpha=0.5, markersize=6)
                axes.plot(interval(pooled_mean, [steps]), (y, y), color=colour, linewidth=2)
                axes.plot(
                    interquartile_mean(steps), y, ">" if censored(steps, got) else "o", color=colour, markersize=5
                )
        axes.axvline(BUDGET, color="0.7", linewidth=0.8, linestyle="--")
        axes.set(xscale="log", xlim=(100, BUDGET * 1.3), title=f"{useless} useless actions", xlabel="environment steps")
        axes.set_yticks(range(len(METHODS), 0, -1), [LABELS[method] for method in METHODS])
        axes.spines[["top", "right"]].set_visible(False)
    explain(axes)
    figure.legend(loc="outside lower center", ncols=3, frameon=False, fontsize=9)
    FigureCanvasAgg(figure).print_png(str(path))


def explain(axes: Axes) -> None:
    """Add empty lines for the legend: what the colours and the marks are."""
    for name, colour in zip(("steps until the first goal", "steps until 90 % success"), COLOURS, strict=False):
        axes.plot([], [], color=colour, linewidth=3, label=name)
    for mark, name in (
        ("|", "one seed of ten"),
        ("o-", "interquartile mean over seeds, with a 95 % bootstrap interval"),
        (">-", "the same where some seeds never arrived and count as 40,000: at least this"),
    ):
        axes.plot([], [], mark, color="0.35", linewidth=2, markersize=6, label=name)
    axes.plot([], [], "--", color="0.7", linewidth=0.8, label="end of a run, 40,000 steps")


if __name__ == "__main__":
    sys.exit(main())
