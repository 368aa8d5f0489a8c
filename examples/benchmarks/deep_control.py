"""Learn six Gymnasium environments without transition tables, several seeds each, beside the same loop without control.

    pip install -c constraints.txt -e ".[benchmarks]"
    python examples/benchmarks/deep_control.py                                  # everything: many hours on one core
    python examples/benchmarks/deep_control.py --only Pendulum --seeds 5        # about two minutes a seed and method
    python examples/benchmarks/deep_control.py --only HalfCheetah --method sac  # Stable-Baselines3's SAC, its defaults

Methods: `gio` is the default agent; `soft` is the same loop with `UniformGuide`, a soft actor-critic; `sac` is
Stable-Baselines3's SAC with its own defaults and networks of the same size. One settings table for each kind of action
(`gio_pyro.settings.NETWORK` and `CONTINUOUS`); an environment only names its temperature and its budget. MiniGrid's
temperature follows from its reward: at 0.01, wandering on for ever (1.3 nats a step, so 1.3 reward units at discount
0.99) is worth more than the goal (0.95). CartPole's was chosen on seeds 100 and 101.

A result is the mean return of 20 evaluation episodes after the last step, with the most probable action (`return`) and
with drawn actions (`return_drawn`); in MiniGrid, the share of these episodes that reach the goal. Rows already in the
CSV file are not run again; the others are runs of `gio sweep`, and one that was cut short goes on from its last
checkpoint. The seconds are those of a machine that was busy with other things. (The `sac` rows of the file are from a
first version of this script, which drew other seeds for the evaluation and did not draw actions.) Exit status 1 if a
bound is missed.
"""

import argparse
import statistics
import sys
import time
import warnings
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from judged import EPISODES, mean_return
from kept import Kept, Row
from swept import agents, sweep_options

import gio_pyro as gio
from gio_pyro.errors import GioWarning
from gio_pyro.settings import CONTINUOUS, NETWORK

RESULTS = Path(__file__).parent / "results" / "deep_control.csv"
EVALUATION_SEED = 1_000_003
KEYS = ("environment", "method", "steps", "seed")


@dataclass(frozen=True)
class Task:
    """One line of the table."""

    environment: str
    steps: int
    temperature: float | str
    methods: tuple[str, ...] = ("gio",)
    seeds: int = 5
    bound: float | None = None
    """Least mean return of a seed that counts as solved; with `success`, least share of successful episodes."""
    needed: int = 0
    """How many of the seeds must keep the bound."""
    success: bool = False
    rival: str = ""
    """A method whose mean return over the seeds may be higher by at most a tenth."""


TASKS = (
    Task("Pendulum-v1", 4_000, 0.2, seeds=20, bound=-200, needed=19),
    Task("Pendulum-v1", 6_000, 0.2, methods=("gio", "soft"), seeds=20, bound=-200, needed=19),
    Task("CartPole-v1", 50_000, 0.01, bound=475, needed=5),
    Task("Acrobot-v1", 50_000, 0.05, bound=-100, needed=4),
    Task("minigrid:MiniGrid-Empty-8x8-v0", 50_000, 0.002, bound=0.95, needed=4, success=True),
    Task("HalfCheetah-v5", 100_000, "auto:0.2", methods=("gio", "sac"), rival="sac"),
    Task("MountainCarContinuous-v0", 50_000, 0.2, methods=("gio", "soft"), seeds=1),
)


def main() -> int:
    """Run what is missing, print the table, and return the exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", default="", help="run environments whose id contains this")
    parser.add_argument("--method", default="", help="gio, soft or sac; those of the table by default")
    parser.add_argument("--first", type=int, default=0, help="the first seed")
    parser.add_argument("--seeds", type=int, help="how many seeds; those of the table by default")
    parser.add_argument("--steps", type=int, help="environment steps of every run, instead of the table's")
    parser.add_argument("--results", type=Path, default=RESULTS)
    sweep_options(parser, "runs/deep_control")
    parser.add_argument("--no-compile", action="store_true", help="run the update as it stands")
    options = parser.parse_args()
    torch.set_num_threads(1)
    warnings.simplefilter("ignore", GioWarning)  # MiniGrid's mission is text and left out
    for name, settings in (("finite actions", NETWORK), ("continuous actions", CONTINUOUS)):
        print(f"{name}:", ", ".join(f"{key}={value}" for key, value in settings.items()), flush=True)
    missed, kept = 0, Kept(options.results, KEYS)
    for task in TASKS:
        if options.only in task.environment:
            missed += run_task(task, kept, options)
    print("\n".join(["", *table(kept.rows.values())]))
    return 1 if missed else 0


def table(rows: Iterable[Row]) -> list[str]:
    """Return every seed of every task that was run as Markdown."""
    lines = ["| environment | steps | result, seed by seed, or median and range | aim |", "|---" * 4 + "|"]
    for task in TASKS:
        text = []
        for method in task.methods:
            key = {"environment": task.environment, "method": method, "steps": str(task.steps)}
            found = sorted((row for row in rows if row.items() >= key.items()), key=lambda row: int(row["seed"]))
            values = [float(row["success" if task.success else "return"]) for row in found]
            if values:
                label = "" if len(task.methods) == 1 else f"`{method}`: "
                text.append(label + listed(values, 2 if task.success else 0))
        if text:
            name = task.environment.rpartition(":")[2]
            lines.append(f"| {name} | {task.steps:,} | {'; '.join(text)} | {aim(task)} |")
    return lines


def listed(values: list[float], digits: int) -> str:
    """Return up to five results seed by seed; of more the median and the range."""
    if len(values) <= 5:
        return ", ".join(f"{round(value, digits) + 0.0:.{digits}f}" for value in values)
    low, middle, high = (f"{value:.{digits}f}" for value in (min(values), statistics.median(values), max(values)))
    return f"median {middle} ({low} to {high}) of {len(values)}"


def aim(task: Task) -> str:
    """Return the bound of a task in words."""
    if task.bound is None:
        return f"within 10 % of `{task.rival}`" if task.rival else "reported"
    least = f"success in {100 * task.bound:.0f} %" if task.success else f"at least {task.bound:g}"
    return f"{least} in {task.needed} of {task.seeds}"


def run_task(task: Task, kept: Kept, options: argparse.Namespace) -> bool:
    """Run what is missing of one task, print its rows, and return whether its bound was missed."""
    steps, missed = options.steps or task.steps, False
    means: dict[str, float] = {}
    for method in (options.method,) if options.method else task.methods:
        seeds = range(options.first, options.first + (options.seeds or task.seeds))
        run_missing(task, method, steps, seeds, kept, options)
        keys = [(task.environment, method, steps, seed) for seed in seeds]
        rows = [kept[key] for key in keys if key in kept]  # a run that failed has none
        for row in rows:
            print("  ".join(f"{name} {value}" for name, value in row.items()), flush=True)
        solved = sum(keeps(task, row) for row in rows)
        if task.bound is not None and method == "gio":
            print(f"{task.environment}: {solved} of {len(seeds)} seeds at {task.bound} or better, {task.needed} needed")
            missed |= solved < min(task.needed, len(seeds))
        if rows:
            means[method] = statistics.mean(float(row["return"]) for row in rows)
    if task.rival in means and "gio" in means:
        least = means[task.rival] - 0.1 * abs(means[task.rival])
        print(f"{task.environment}: mean return gio {means['gio']:.0f}, {task.rival} {means[task.rival]:.0f}")
        missed |= means["gio"] < least
    return missed


def run_missing(
    task: Task, method: str, steps: int, seeds: Sequence[int], kept: Kept, options: argparse.Namespace
) -> None:
    """Add the rows of the runs of a method that are missing."""
    missing = [seed for seed in seeds if (task.environment, method, steps, seed) not in kept]
    if method == "sac":
        for seed in missing:
            start = time.perf_counter()
            figures = sac(task, steps, seed)
            add(kept, task, method, steps, seed, figures | {"seconds": f"{time.perf_counter() - start:.0f}"})
        return
    flags = ["--temperature", str(task.temperature)]
    flags += ["--guide", "UniformGuide"] if method == "soft" else []
    flags += ["--compile", "False"] if options.no_compile else []
    folder = options.folder / f"{task.environment.rpartition(':')[2]}-{method}-{steps}"
    for result, agent, seconds in agents(task.environment, steps, missing, flags, folder, options.jobs):
        add(kept, task, method, steps, result.seed, judged(agent) | {"seconds": seconds})


def add(kept: Kept, task: Task, method: str, steps: int, seed: int, figures: dict[str, str]) -> None:
    """Add the row of a run."""
    temperature = "auto" if method == "sac" else str(task.temperature)
    key: dict[str, object] = dict(zip(KEYS, (task.environment, method, steps, seed), strict=True))
    kept.add([key | {"temperature": temperature} | figures])


def judged(agent: gio.GIO) -> dict[str, str]:
    """Return what the policy earns."""
    nats, first = agent.metrics()["intrinsic/nats"], EVALUATION_SEED + 100 * agent.settings.seed
    best, drawn = (agent.evaluate(EPISODES, deterministic=d, seed=first) for d in (True, False))
    return {
        "return": f"{best.mean:.6g}",
        "return_drawn": f"{drawn.mean:.6g}",
        "success": f"{sum(r > 0 for r in best.returns) / EPISODES:.3g}",
        "success_drawn": f"{sum(r > 0 for r in drawn.returns) / EPISODES:.3g}",
        "nats": f"{nats:.4g}",
        "hidden": str(agent.settings.hidden[0]),
    }


def sac(task: Task, steps: int, seed: int) -> dict[str, str]:
    """Learn with Stable-Baselines3's SAC, its own defaults and our network sizes, and return the same."""
    from stable_baselines3 import SAC

    hidden = gio.Settings().hidden
    agent = SAC("MlpPolicy", task.environment, policy_kwargs={"net_arch": list(hidden)}, seed=seed, device="cpu")
    agent.learn(steps)
    first = EVALUATION_SEED + 100 * seed
    means = [mean_return(agent, task.environment, first, deterministic=d) for d in (True, False)]
    blank = {"success": "", "success_drawn": "", "nats": ""}
    return {"return": f"{means[0]:.6g}", "return_drawn": f"{means[1]:.6g}", **blank, "hidden": str(hidden[0])}


def keeps(task: Task, row: Row) -> bool:
    """Whether a row keeps the task's bound."""
    return task.bound is not None and float(row["success" if task.success else "return"]) >= task.bound


if __name__ == "__main__":
    sys.exit(main())
