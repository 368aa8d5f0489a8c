"""Questions to whole methods, answered by `gio sweep` and `gio report` with every seed that was run.

    python examples/benchmarks/evidence.py                            # the questions, and what is missing
    python examples/benchmarks/evidence.py mountain_car --jobs 2      # the runs that are missing; their rows are kept
    python examples/benchmarks/evidence.py mountain_car --table       # its table

Each method is one `gio sweep`, printed before it begins, in a folder of its own below --folder; an interrupted one goes
on where it was. When all runs of a method are complete, a row for each is added to the CSV file, with the commit.
Methods of a question differ only in what their flags say: the control is the same loop. Flags were chosen on seeds from
100 on, the rows are of seeds from 0 on. Statistics are those of `gio report`.
"""

import argparse
import shlex
import subprocess
from dataclasses import dataclass, replace
from pathlib import Path

from kept import Kept
from swept import sweep_options, swept

from gio_pyro.sweep.comparison import Comparison, Method, compare
from gio_pyro.sweep.results import Result
from gio_pyro.sweep.tables import interval_text, number
from gio_pyro.sweep.variants import parse_seeds

RESULTS = Path(__file__).parent / "results" / "evidence.csv"
KEYS = ("question", "environment", "method", "seed")


@dataclass(frozen=True)
class Question:
    """What is asked, and the sweeps that answer it."""

    asks: str
    environments: tuple[str, ...]
    steps: int
    methods: dict[str, str]
    """Flags of `gio sweep` by the name of the method; the last is the control."""
    seeds: str = "0-9"
    common: str = ""
    """Flags of all methods."""

    def words(self, method: str) -> list[str]:
        """Return the arguments of `gio sweep` but for folder and jobs."""
        flags = f"--steps {self.steps} --seeds {self.seeds} {self.common} {self.methods[method]}"
        return [*self.environments, *shlex.split(flags)]


NOVELTY = {"explorer that seeks novelty (RND)": "--signal RandomNetworkDistillation --explorer Signal", "no signal": ""}
UNPAID = {
    "information, next state": "--temperature 1",
    "novelty (RND)": "--guide UniformGuide --signal RandomNetworkDistillation",
    "entropy": "--guide UniformGuide --temperature 1",
}
"""What agents without reward are paid for instead."""
SPARSE = "--guide UniformGuide --temperature auto --train-freq 4"
"""Flags of all questions to sparse rewards where actions are continuous."""
QUESTIONS = {
    "mountain_car": Question(
        "Does a signal find a goal that noise does not? Without it, actions only cost.",
        ("MountainCarContinuous-v0",),
        50_000,
        NOVELTY,
        common=SPARSE,
    ),
    "swing_up": Question(
        "Does a signal find that a pole can stand? Steps of 500 that it does; uniform actions never get there.",
        ("gio/CartPoleSwingUp-v0",),
        50_000,
        NOVELTY,
        common=SPARSE,
    ),
    "point_maze": Question(
        "Does a signal find goals in a maze? Steps of 600 at the goal.",
        ("gymnasium_robotics:PointMaze_Medium-v3",),
        50_000,
        NOVELTY,
        seeds="0-4",
        common=SPARSE,
    ),
    "reward_free_cartpole": Question(
        "What is control without reward worth? Steps that the pole stays up, at most 500.",
        ("CartPole-v1",),
        22_500,
        {"information, state after 3 actions": '--temperature 1 --future "StateAfter(3)"', **UNPAID},
        common="--reward-weight 0",
    ),
    "reward_free_pendulum": Question(
        "Does a pendulum stand without reward? Steps of 100 that it does; exact optima: pendulum_without_reward.py.",
        ("gio/NoisyPendulum-v0",),
        40_000,
        {
            "empowerment of 1 action": '--guide UniformGuide --signal "Empowerment(1)"',
            "empowerment of 2 actions": '--guide UniformGuide --signal "Empowerment(2)"',
            **UNPAID,
        },
        seeds="0-4",
        common="--reward-weight 0",
    ),
    "reward_free_pendulum_seen": Question(
        "The same where angle and speed are seen, and learned by networks.",
        ("gio/NoisyPendulum-v0",),
        40_000,
        {"empowerment of 1 action": '--guide UniformGuide --signal "Empowerment(1)"', **UNPAID},
        common="--reward-weight 0 --env.observations coordinates",
    ),
    "reward_free_acrobot": Question(
        "Does the acrobot swing up without reward? Share of the second half of an episode that its tip is up.",
        ("Acrobot-v1",),
        20_000,
        {"information, state after 3 actions": '--temperature 1 --future "StateAfter(3)"', **UNPAID},
        common="--reward-weight 0 --wrapper upright:Upright",
    ),
    "dreams": Question(
        "Do rollouts in a learned model save steps where states are vectors? Returns after few steps.",
        ("CartPole-v1",),
        3_000,
        {"half of each batch dreamed": "--dream-horizon 3 --dream-share 0.5", "no dreams": ""},
        common="--hidden 64 64",
    ),
    "mirl": Question(
        "MIRL as published, its temperature following the critic's loss, and entropy with the same greediness.",
        ("CartPole-v1",),
        10_000,
        {
            "MIRL": "--guide MovingMarginalGuide --temperature loss:0.5:0.01",
            "MIRL, temperature at most 0.2": "--guide MovingMarginalGuide --temperature loss:0.05:0.01:0.005:0.2",
            "entropy": "--guide UniformGuide",
        },
        seeds="0-4",
        common="--hidden 64 64 --greedy --uniform-share 0.2",
    ),
    "control": Question(
        "Does it control as well as what people use? Beside Stable-Baselines3: peers.py.",
        ("LunarLander-v3", "LunarLanderContinuous-v3", "Hopper-v5", "Walker2d-v5", "HalfCheetah-v5"),
        100_000,
        {"information, next state": "", "entropy": "--guide UniformGuide"},
        seeds="0-4",
        common="--temperature auto:0.2:0.001:0.2",
    ),
    "bounds": Question(
        "One step or the trajectory, and which future?",
        ("Pendulum-v1",),
        6_000,
        {
            "one step, next state": "",
            "one step, next state, by the ELBO": "--objective elbo",
            "trajectory bound, by the ELBO": "--objective trajectory_elbo",
            "one step, state after 3 actions": '--future "StateAfter(3)"',
            "one step, return of 10 steps": '--future "Return(10, 0.99)"',
            "entropy": "--guide UniformGuide",
        },
    ),
}


def missing(kept: Kept, name: str, question: Question, method: str) -> list[tuple[str, int]]:
    """Return environments and seeds of a method that have no row.

    A row names wrappers and arguments behind the environment, and not the module that registers it.
    """
    rows = [row for row in kept.rows.values() if (row["question"], row["method"]) == (name, method)]
    done = {(row["environment"].split()[0], int(row["seed"])) for row in rows}
    wanted = [(environment, seed) for environment in question.environments for seed in parse_seeds(question.seeds)]
    return [(environment, seed) for environment, seed in wanted if (environment.rpartition(":")[2], seed) not in done]


def carry_out(kept: Kept, name: str, question: Question, method: str, folder: Path, jobs: int) -> None:
    """Run one sweep and keep its rows."""
    out = folder / name / "".join(letter if letter.isalnum() else "_" for letter in method)
    version = ["git", "-C", str(RESULTS.parent), "describe", "--always", "--dirty", "--exclude", "*"]
    commit = subprocess.run(version, capture_output=True, text=True, check=False).stdout.strip()
    for result in swept(question.words(method), out, jobs):
        row = {"environment": result.environment, "method": method, "seed": result.seed, "return": result.score}
        kept.add([{"question": name, **row, "steps": question.steps, "commit": commit}])


def comparisons(kept: Kept, name: str) -> list[Comparison]:
    """Return what the rows of a question say, each method against the control."""
    rows = [row for row in kept.rows.values() if row["question"] == name]
    if not rows:
        return []
    results = [
        Result(row["environment"], row["method"], int(row["seed"]), float(row["return"]), "", {}) for row in rows
    ]
    control = [*QUESTIONS[name].methods][-1]
    return compare(results, against=control if any(row["method"] == control for row in rows) else None)


def scores(method: Method) -> list[str]:
    """Return seeds, interquartile mean, its interval and the range of a method as texts."""
    span = f"{number(method.all.min())} to {number(method.all.max())}"
    return [str(len(method.all)), number(method.iqm), interval_text(method.low, method.high), span]


def table(kept: Kept, name: str) -> list[str]:
    """Return a table of each environment of a question in Markdown, a line for each method, the best one first."""
    parts, steps = [], max((int(row["steps"]) for row in kept.rows.values() if row["question"] == name), default=0)
    for comparison in comparisons(kept, name):
        head = f"| {comparison.environment}, {steps:,} steps | seeds | IQM | 95 % interval |"
        lines = [f"{head} lowest to highest | P(better than the control) |", "|" + "---|" * 6]
        for method in comparison.methods:
            pair = comparison.pair(method.name)
            better = "" if pair is None else f"{pair.probability:.2f} {interval_text(pair.low, pair.high, '.2f')}"
            lines.append(f"| {' | '.join([method.name, *scores(method), better])} |")
        parts.append("\n".join(lines))
    return "\n\n".join(parts).splitlines()


def main() -> None:
    """Say what is missing, carry it out, or print tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("questions", nargs="*", choices=[*QUESTIONS, []])
    sweep_options(parser, "evidence")
    parser.add_argument("--results", type=Path, default=RESULTS)
    parser.add_argument("--table", action="store_true", help="print the tables, run nothing")
    parser.add_argument("--seeds", help="instead of those of the question, such as 0-1; for a trial")
    parser.add_argument("--steps", type=int, help="instead of those of the question; for a trial")
    options = parser.parse_args()
    other = {name: value for name in ("seeds", "steps") if (value := getattr(options, name)) is not None}
    kept = Kept(options.results, KEYS)
    for name in options.questions or QUESTIONS:
        question = replace(QUESTIONS[name], **other)
        print(f"{name}: {question.asks}")
        for method in question.methods if not options.table else ():
            left = missing(kept, name, question, method)
            print(f"  {method}: {len(left)} runs are missing", flush=True)
            if left and options.questions:
                carry_out(kept, name, question, method, options.folder, options.jobs)
        if options.table or options.questions:
            print("\n".join(table(kept, name)))


if __name__ == "__main__":
    main()
