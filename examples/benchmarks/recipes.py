"""What every recipe does in the maze that all share: where it goes, when it finds the goal, what it costs.

    python examples/benchmarks/recipes.py --seeds 5            # what is missing of all rows; an hour of one core
    python examples/benchmarks/recipes.py --only lexa          # one recipe
    python examples/benchmarks/recipes.py --write              # docs/recipes.md and its picture, from the rows

`gio/SparseMaze-v0`, 5,000 environment steps, the settings of the recipe and no others; recipes that need vectors see
row and column. A row counts how often each cell was entered, when the goal was first reached, how often, and the CPU
seconds. Nothing is tuned to the maze, and 5,000 steps are few: the rows show that a recipe runs and what it costs, not
which is best.

Rows already in the CSV file are not run again.
"""

import textwrap
import time
import warnings
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import torch
from kept import Kept, command_line
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

import gio_pyro as gio
import gio_pyro.envs
from gio_pyro.cli.recipes import flags
from gio_pyro.errors import GioWarning
from gio_pyro.recipes import RECIPES, SHARED_WORLD, Recipe

assert gio_pyro.envs  # registers the maze
RESULTS = Path(__file__).parent / "results" / "recipes.csv"
DOCS = Path(__file__).parents[2] / "docs"
PAGE, PICTURE = DOCS / "recipes.md", DOCS / "assets" / "recipes.png"
KEYS = ("recipe", "seed")
STEPS = 5_000
COLUMNS = 5
"""Maps beside each other in the picture."""


class Visits(gym.Wrapper[Any, Any, Any, Any]):
    """Counts how often each state was entered, and when an episode first terminated."""

    def __init__(self, env: gym.Env[Any, Any]) -> None:
        super().__init__(env)
        self.count = np.zeros(len(env.unwrapped.P), int)  # type: ignore[attr-defined]
        self.steps = self.first = self.goals = 0

    def step(self, action: Any) -> Any:
        """Take a step and count it."""
        found = self.env.step(action)
        self.steps += 1
        self.count[self.env.unwrapped.state] += 1  # type: ignore[attr-defined]
        self.goals += found[2]
        if self.goals and not self.first:
            self.first = self.steps
        return found


def run(recipe: Recipe, seed: int) -> dict[str, object]:
    """Return the row of one run."""
    view = "coordinates" if "coordinates" in recipe.flags else "state"
    env = Visits(gym.make(SHARED_WORLD, observations=view))
    start = time.process_time()
    gio.GIO(env, recipe=recipe.name, seed=seed, compile=False).learn(STEPS)
    seconds = time.process_time() - start
    visits = " ".join(map(str, env.count))
    figures = {"first": env.first, "goals": env.goals, "seconds": round(seconds, 1)}
    return {"recipe": recipe.name, "seed": seed, **figures, "visits": visits}


def visits(kept: Kept, name: str) -> list[np.ndarray]:
    """Return the counts of every seed."""
    return [np.array(row["visits"].split(), int) for row in kept.rows.values() if row["recipe"] == name]


def marks() -> np.ndarray:
    """Return the marks of the maze."""
    return np.asarray(gym.make(SHARED_WORLD).unwrapped.desc)  # type: ignore[attr-defined]


def floor() -> np.ndarray:
    """Return which cells of the maze are no walls."""
    return np.asarray(marks() != "#")


def summary(kept: Kept, name: str) -> str:
    """Return what the rows of a recipe say, in a sentence."""
    counts = visits(kept, name)
    if not counts:
        return ""
    first, goals = (kept.numbers(column, recipe=name) for column in ("first", "goals"))
    seen = [f"{100 * (count[floor().ravel()] > 0).mean():.0f}" for count in counts]
    found = [f"{steps:,.0f}" if steps else "never" for steps in first]
    times = [f"{number:.0f}" for number in goals]
    cost = float(np.median(kept.numbers("seconds", recipe=name))) / (STEPS / 1_000)
    return (
        f"In the maze, {STEPS:,} steps, seeds 0 to {len(counts) - 1}: goal first reached after {', '.join(found)} "
        f"steps, and {', '.join(times)} times in all; cells entered {', '.join(seen)} %. {cost:.1f} CPU seconds for "
        "1,000 steps, not compiled."
    )


def draw(kept: Kept, path: Path) -> None:
    """Draw a map of each recipe: how often each cell was entered, seed 0, on a logarithmic scale."""
    names, ground = [name for name in RECIPES if visits(kept, name)], floor()
    lines = -(-len(names) // COLUMNS)
    figure = Figure(figsize=(2.0 * COLUMNS, 2.35 * lines), layout="constrained", dpi=120)
    figure.get_layout_engine().set(h_pad=0.1)  # type: ignore[union-attr, call-arg]
    start, goal = (np.argwhere(marks() == mark)[0] for mark in "SG")
    for axes, name in zip(figure.subplots(lines, COLUMNS, squeeze=False).flat, [*names, *[""] * COLUMNS], strict=False):
        axes.set_axis_off()
        if not name:
            continue
        count = np.where(ground, visits(kept, name)[0].reshape(ground.shape), np.nan)
        axes.set_facecolor("0.3")
        axes.imshow(np.where(ground, np.nan, 1.0), cmap="gray", vmin=0, vmax=3)
        axes.imshow(np.log10(count + 1), cmap="viridis", vmin=0, vmax=3.5)
        for mark, (row, column) in (("S", start), ("G", goal)):
            axes.text(column, row, mark, ha="center", va="center", fontsize=8, color="white")
        axes.set_title(name, fontsize=9)
    FigureCanvasAgg(figure).print_png(str(path))


def page(kept: Kept) -> str:
    """Return docs/recipes.md."""
    head = f"""# Recipes

A recipe is a published system as a table of settings over the parts of this library. Whatever is set beside it takes
the place of its own: `gio train Pendulum-v1 --recipe vime --signal-weight 0.1`. In Python it is
`gio.GIO(env, recipe="vime")`; `gio recipes` lists all of them.

<!-- Written by examples/benchmarks/recipes.py --write, from gio_pyro.recipes and the rows that are kept. -->

The picture shows where each went in 5,000 steps of `{SHARED_WORLD}` (seed 0, brighter is more often; start at the
upper left, goal at the lower right). It is no ranking: nothing was tuned to the maze, and most of these systems were
published for larger worlds. CPU seconds of `empowerment` and `goal_directed_empowerment` are of a day on which the
machine was about half as fast as for the others.

![Maps of the maze, one for each recipe](assets/recipes.png)
"""
    return "\n".join([head, *(entry(kept, recipe) for recipe in RECIPES.values())])


def entry(kept: Kept, recipe: Recipe) -> str:
    """Return the section of one recipe."""
    networks, tables = (flags(recipe.arguments(finite=finite)) for finite in (False, True))
    rows = [
        f"- **As published.** {recipe.same}",
        f"- **Left out.** {recipe.left_out}",
        f"- **Needs** {recipe.needs}." if recipe.needs else "",
        f"- **Settings.** `{networks}`" + ("" if networks == tables else f"; in finite worlds `{tables}`"),
        f"- **Here.** {found}" if (found := summary(kept, recipe.name)) else "",
    ]
    lines = "\n".join(
        textwrap.fill(row, 120, subsequent_indent="  ", break_long_words=False, break_on_hyphens=False)
        for row in rows
        if row
    )
    return f"## {recipe.title}\n\n{recipe.paper}.\n\n```sh\n{recipe.command}\n```\n\n{lines}\n"


def main() -> None:
    """Run what is missing; with --write, write the page and its picture."""
    parser = command_line(__doc__, RESULTS, seeds=1)
    parser.add_argument("--only", default="", help="recipes whose name contains this")
    parser.add_argument("--write", action="store_true", help="write the page from the rows, and run nothing")
    options = parser.parse_args()
    kept = Kept(options.results, KEYS)
    if options.write:
        PAGE.write_text(page(kept), "utf-8")
        draw(kept, PICTURE)
        return
    torch.set_num_threads(1)
    warnings.simplefilter("ignore", GioWarning)
    for seed in range(options.seeds):
        for recipe in RECIPES.values():
            if options.only in recipe.name and (recipe.name, seed) not in kept:
                kept.add([run(recipe, seed)])
                print(recipe.name, seed, summary(kept, recipe.name), flush=True)


if __name__ == "__main__":
    main()
