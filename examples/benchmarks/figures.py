"""The tables of docs/results.md and of the pages beside it, from the rows that are kept: compare them, or put them in.

    python examples/benchmarks/figures.py                # which tables of the pages are not those of the rows
    python examples/benchmarks/figures.py --write        # put them in; the words around them are yours to read again

Each table is made by the script whose rows it shows, and is found in its page by the first two cells of its head.
Exit status 1 where a table differs.
"""

import argparse
import re
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType

import belief_optimum
import deep_control
import default_agent
import evidence
import filters
import finite_control
import first_steps
import hidden_control
import linear_guides
import mutual_information
import noisy_tv
import objectives
import peers
import planning
import pyro_elbo
import sparse_maze
import speed
import stacked_seeds
import throughput
import useless_actions
from kept import Kept

sys.path.append(str(Path(__file__).parents[1] / "studies"))
import assumptions
import critic_and_policy
import default_future
import dreaming
import empowerment_errors
import latent_variables
import pendulum_without_reward
import posterior_bias
import projection
import training_schedules
import variational_empowerment
import when_assumptions_fail

RESULTS = Path(__file__).parent / "results"
STUDIES = Path(__file__).parents[1] / "studies"
ROOT = Path(__file__).parents[2]
WORDS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten", "eleven", "twelve")
PAGE = ROOT / "docs" / "results.md"
PAGES_OF_THEIR_OWN = {
    "assumptions": "assumptions.md",
    "posterior_bias": "posterior_bias.md",
    "projection": "projection.md",
    "when_assumptions_fail": "assumptions.md",
}
"""In docs/, by the name of the script."""
README = ROOT / "README.md"


def rows(module: ModuleType) -> Kept:
    """Return the rows of a script that keeps them in `Kept`."""
    return Kept(RESULTS / f"{module.__name__}.csv", module.KEYS)


def study(module: ModuleType) -> Kept:
    """Return the rows of a study that keeps them in `Kept`."""
    return Kept(STUDIES / "results" / f"{module.__name__}.csv", module.KEYS)


def maze() -> list[str]:
    """Return two of the three tables of sparse_maze.py."""
    _, success, rest = sparse_maze.table(rows(sparse_maze)).strip().split("\n\n")
    return [*success.splitlines(), "", *rest.splitlines()]


def schedules() -> list[str]:
    """Return the table of training_schedules.py, and the returns of Pendulum, seed by seed."""
    kept = study(training_schedules)
    return [*training_schedules.table(kept), "", *training_schedules.largest(kept)]


def defaults() -> list[str]:
    """Return the medians of default_agent.py, as an indented block, and its table."""
    kept = rows(default_agent)
    medians = [f"    {line}" for line in default_agent.medians(kept, default_agent.STEPS)]
    return [*medians, "", *default_agent.table(kept, default_agent.STEPS)]


def plans() -> list[str]:
    """Return the tables of the parts of planning.py."""
    files = {part: RESULTS / f"planning-{part}.csv" for part in planning.PARTS}
    parts = [planning.table(part, Kept(file, planning.KEYS)) for part, file in files.items() if file.exists()]
    return "\n\n".join("\n".join(part) for part in parts).splitlines()


def without_reward() -> list[str]:
    """Return the tables of pendulum_without_reward.py."""
    learned = Kept(pendulum_without_reward.LEARNED, pendulum_without_reward.LEARNED_KEYS)
    return pendulum_without_reward.table(study(pendulum_without_reward), learned)


def questions() -> list[str]:
    """Return the tables of the questions of evidence.py that have rows."""
    kept = rows(evidence)
    parts = ["\n".join(evidence.table(kept, name)) for name in evidence.QUESTIONS]
    return "\n\n".join(part for part in parts if part).splitlines()


TABLES: dict[str, Callable[[], list[str]]] = {
    "assumptions": lambda: assumptions.table(study(assumptions)),
    "belief_optimum": lambda: belief_optimum.table(rows(belief_optimum)),
    "critic_and_policy": lambda: critic_and_policy.table(study(critic_and_policy)),
    "deep_control": lambda: deep_control.table(rows(deep_control).rows.values()),
    "default_agent": defaults,
    "default_future": lambda: default_future.table(study(default_future)),
    "empowerment_errors": lambda: empowerment_errors.table(study(empowerment_errors)),
    "evidence": questions,
    "filters": lambda: filters.table(rows(filters)),
    "hidden_control": lambda: hidden_control.table(rows(hidden_control)),
    "first_steps": lambda: first_steps.table(rows(first_steps)),
    "finite_control": lambda: finite_control.table(
        Kept(RESULTS / "finite_control.csv", finite_control.KEYS).rows.values()
    ),
    "objectives": lambda: objectives.table(RESULTS),
    "latent_variables": lambda: [*latent_variables.table(study(latent_variables))],
    "linear_guides": lambda: linear_guides.table(rows(linear_guides)),
    "mutual_information": lambda: mutual_information.table(rows(mutual_information)),
    "peers": lambda: peers.table(rows(peers)),
    "pendulum_without_reward": without_reward,
    "planning": plans,
    "posterior_bias": lambda: posterior_bias.table(study(posterior_bias)),
    "projection": lambda: projection.table(study(projection)),
    "pyro_elbo": lambda: pyro_elbo.table(rows(pyro_elbo)),
    "sparse_maze": maze,
    "speed": lambda: speed.table(rows(speed)),
    "stacked_seeds": lambda: stacked_seeds.table(rows(stacked_seeds)),
    "throughput": lambda: throughput.table(rows(throughput)),
    "training_schedules": schedules,
    "useless_actions": lambda: useless_actions.table(rows(useless_actions)),
    "when_assumptions_fail": lambda: when_assumptions_fail.table(study(when_assumptions_fail)),
}
"""By the name of its script: what it prints for its page, tables and sentences, with blank lines between them."""


def page_of(name: str) -> Path:
    """Return the page of a script."""
    return PAGE.with_name(PAGES_OF_THEIR_OWN.get(name, PAGE.name))


def dreams() -> Iterator[str]:
    """Yield what the study of dreaming says on the page: the steps after which each seed is good for good."""
    kept = Kept(STUDIES / "results" / "dreaming.csv", ("share", "seed", "steps"))
    with_dreams, without = (
        [dreaming.good_after(kept.numbers("return", share=share, seed=seed)) for seed in range(5)]
        for share in (dreaming.SHARE, 0.0)
    )
    *others, last = with_dreams
    yield f"after {', '.join(map(str, others))} and {last} steps, seeds 0 to 4"
    never, *others, last = without
    assert never is None
    yield f"without dreams not within {dreaming.STEPS}, and after {', '.join(map(str, others))} and {last}"


def empowerment() -> Iterator[str]:
    """Yield what the study of learned empowerment says on the page: its largest error."""
    rows = [row for row in study(variational_empowerment).rows.values() if row["maze"] != "cost"]
    seeds, horizons = len({row["seed"] for row in rows}), {int(row["horizon"]) for row in rows}
    most = max(float(row["error"]) for row in rows)
    yield f"the mean error is at most {most:.3f} nats for n up to {max(horizons)}, {WORDS[seeds]} seeds each"


def television() -> Iterator[str]:
    """Yield what noisy_tv.py says on the page: shares of time at the television, in percent."""
    kept, (early, late) = rows(noisy_tv), noisy_tv.STEPS

    def share(method: str, steps: int) -> list[float]:
        return [100 * value for value in sorted(kept.numbers("share", method=method, steps=steps))]

    trapped, gain, learned, control = (
        share(*of)
        for of in (("surprise", early), ("information gain", early), ("information gain", late), ("control", early))
    )
    assert len(gain) == 5
    yield f"spends {trapped[0]:.1f} % of its discounted time"
    yield f"{gain[0]:.0f} to {gain[-1]:.0f} % after {early:,} steps"
    yield f"{learned[0]:.1f} to {learned[-1]:.1f} % after {late:,}, five seeds"
    yield f"With control it is {control[-1]:.1f} % or less"


def readme() -> Iterator[str]:
    """Yield what the README says with numbers: of times, the default agent, and agents without reward."""
    yield from waited()
    yield from unpaid()
    kept = rows(default_agent)
    before, after, *_ = default_agent.medians(kept, default_agent.STEPS)
    first, last = (re.split(r"  +", line)[1] for line in (before, after))
    seeds = len(kept.numbers("return_after", guide="learned", steps=default_agent.STEPS))
    yield f"Over {seeds} seeds the median return rises from {first.split()[0]} to {last}"
    yield f"in {default_agent.STEPS:,} steps"


def waited() -> Iterator[str]:
    """Yield how long a new user waits, in tens of seconds and in minutes."""
    seconds = {row["command"]: float(row["seconds"]) for row in rows(first_steps).rows.values()}
    first, again = (round(seconds[name], -1) for name in ("gio train", "gio train, again"))
    yield f"learns Pendulum-v1; {first:.0f} s, later runs {again:.0f} s"
    yield f"the tests; {WORDS[round(seconds['pytest'] / 60)]} minutes"


def unpaid() -> Iterator[str]:
    """Yield what is reached without any reward, on CartPole and on the frozen lake."""
    kept = rows(evidence)
    of = {"question": "reward_free_cartpole"}
    information = kept.numbers("return", **of, method="information, next state")
    entropy = kept.numbers("return", **of, method="entropy")
    assert set(information) == {500.0}
    count = WORDS[len(information)]
    yield f"With {count} of {count} seeds the first keeps the pole up for 500 of 500 steps"
    yield f"(`--guide UniformGuide`) for {min(entropy):.0f} to {max(entropy):.0f} "
    lake = {"world": "FrozenLake, not slippery, no reward", "future": "NextState"}
    nats, exact = (study(default_future).numbers(column, **lake) for column in ("nats", "exact"))
    yield f"{sum(nats) / len(nats):.2f} of {sum(exact) / len(exact):.2f} nats a step"


def novelty() -> Iterator[str]:
    """Yield how often novelty alone does not keep the pole up."""
    survived = rows(evidence).numbers("return", question="reward_free_cartpole", method="novelty (RND)")
    fell = [steps for steps in survived if steps < 475]
    few, all_ = WORDS[len(fell)], WORDS[len(survived)]
    yield f"{few} of its {all_} seeds end between {min(fell):.0f} and {max(fell):.0f} steps"


PIECES: dict[str, Callable[[], Iterator[str]]] = {
    "dreaming": dreams,
    "evidence": novelty,
    "noisy_tv": television,
    "variational_empowerment": empowerment,
}
"""By the name of its script: parts of sentences of the page."""


def main() -> int:
    """Compare or write, and return the exit status."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--write", action="store_true", help="put the tables into the pages")
    options = parser.parse_args()
    differs = False
    for name in TABLES:
        page = page_of(name)
        before = page.read_text()
        after = updated(before, name)
        if after != before:
            differs = True
            print(f"{name}: {'written' if options.write else 'differs from its rows'}", flush=True)
            if options.write:
                page.write_text(after)
    text = " ".join(PAGE.read_text().split())
    missing = [piece for pieces in PIECES.values() for piece in pieces() if piece not in text]
    print(*(f"not on the page: {piece}" for piece in missing), sep="\n", end="")
    return int(bool(missing) or (differs and not options.write))


def updated(text: str, name: str) -> str:
    """Return a text with the tables of a script in the places of those that begin with the same cells."""
    for block in "\n".join(TABLES[name]()).split("\n\n"):
        head, *_ = block.splitlines()
        first = "|".join(head.split("|")[:3]) if head.startswith("|") else head[:40]
        start = text.find(f"\n{first}") + 1
        if text.count(f"\n{first}") > 1:
            raise SystemExit(f"Expected one {first!r} on the page, but got more; rename a column of one table.")
        if not start:
            raise SystemExit(f"Expected {first!r} on the page, but it is not there; put it where {name} is described.")
        end = text.find("\n\n", start)
        text = text[:start] + block + text[end:]
    return text


if __name__ == "__main__":
    sys.exit(main())
