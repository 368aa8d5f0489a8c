"""How long the skills of DIAYN keep a pole up and make a pendulum stand, beside other agents without reward.

    python examples/benchmarks/skills.py                  # an hour of one core; rows in the file are not run again
    python examples/benchmarks/skills.py --table          # the table alone

The recipe `diayn` with its eight skills, for as many steps as the questions `reward_free_cartpole` and
`reward_free_pendulum` of evidence.py have, seeds 0 to 9. Each skill plays five episodes with its most probable actions.
The mean over skills is what a skill is worth that is drawn at random, the best one what a user may choose who can see
the return; agents that are paid for information have no such choice.
"""

from pathlib import Path
from typing import Any

import gymnasium as gym
import torch
from evidence import QUESTIONS, scores
from kept import Kept, command_line
from swept import agents, sweep_options
from torch.distributions import Categorical

import gio_pyro as gio
from gio_pyro.sweep.comparison import compare
from gio_pyro.sweep.results import Result

RESULTS = Path(__file__).parent / "results" / "skills.csv"
KEYS = ("environment", "seed", "skill")
ASKED = ("reward_free_cartpole", "reward_free_pendulum")
STEPS = {QUESTIONS[name].environments[0]: QUESTIONS[name].steps for name in ASKED}
SKILLS, EPISODES, EVALUATION_SEED = 8, 5, 1_000_003
FLAGS = ("--recipe", "diayn", "--reward-weight", "0")


def play(agent: gio.GIO, env: gym.Env[Any, Any], skill: int, seed: int) -> float:
    """Return the mean return of a skill's most probable actions."""
    policy, actions, earned = agent.explorer.explorer.policy(skill), agent.collector.actions, 0.0
    for episode in range(EPISODES):
        seen, _ = env.reset(seed=seed + episode)
        done = False
        while not done:
            pi: Any = policy(torch.as_tensor(seen)[None])
            best = pi.logits.argmax(-1) if isinstance(pi, Categorical) else pi.mean
            seen, reward, terminated, truncated, _ = env.step(actions.decode_one(best.numpy().reshape(-1)))
            earned, done = earned + float(reward), terminated or truncated
    return earned / EPISODES


def judged(agent: gio.GIO, environment: str, seed: int) -> list[dict[str, object]]:
    """Return a row for each skill of an agent."""
    env, rows = gym.make(environment), list[dict[str, object]]()
    with torch.no_grad():
        for skill in range(SKILLS):
            earned = play(agent, env, skill, EVALUATION_SEED + 100 * seed)
            row = {"environment": environment, "seed": seed, "skill": skill}
            rows.append(row | {"return": earned, "steps": agent.steps})
    return rows


def table(kept: Kept) -> list[str]:
    """Return the mean and the best of the skills of each seed in Markdown."""
    lines = ["| skills of DIAYN | of eight | seeds | IQM | 95 % interval | lowest to highest |", "|---" * 6 + "|"]
    results = []
    for environment in STEPS:
        for seed in sorted({int(row["seed"]) for row in kept.rows.values() if row["environment"] == environment}):
            skills = kept.numbers("return", environment=environment, seed=seed)
            for name, score in (("mean", sum(skills) / len(skills)), ("best", max(skills))):
                results.append(Result(environment, name, seed, score, "", {}))
    for comparison in compare(results):
        for method in sorted(comparison.methods, key=lambda method: method.name, reverse=True):
            steps = {row["steps"] for row in kept.rows.values() if row["environment"] == comparison.environment}
            what = f"{comparison.environment}, {int(steps.pop()):,} steps"
            lines.append(f"| {' | '.join([what, method.name, *scores(method)])} |")
    return lines


def main() -> None:
    """Run what is missing and print the table."""
    parser = command_line(__doc__, RESULTS, seeds=10)
    parser.add_argument("--table", action="store_true", help="print the table, run nothing")
    parser.add_argument("--only", default="", help="environments whose id contains this")
    parser.add_argument("--steps", type=int, help="instead of those of the questions; for a trial")
    sweep_options(parser, "runs/skills")
    options = parser.parse_args()
    torch.set_num_threads(1)
    kept = Kept(options.results, KEYS)
    for environment, steps in STEPS.items() if not options.table else ():
        asked = range(options.seeds if options.only in environment else 0)
        missing = [seed for seed in asked if (environment, seed, SKILLS - 1) not in kept]
        folder = options.folder / environment.rpartition("/")[2]
        for result, agent, _ in agents(environment, options.steps or steps, missing, FLAGS, folder, options.jobs):
            kept.add(judged(agent, environment, result.seed))
            found = kept.numbers("return", environment=environment, seed=result.seed)
            print(environment, result.seed, found, flush=True)
    print("\n".join(table(kept)))


if __name__ == "__main__":
    main()
