"""The commands of `gio`: their signatures are the flags and their docstrings the help.

What they do is in `gio_pyro.cli.run_commands`, which is imported only by a command that runs: help, mistakes and
completion do without torch.
"""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Annotated, Literal

import tyro
from tyro.conf import Positional

from gio_pyro.cli.completion import completion_script
from gio_pyro.cli.flag_types import EnvironmentArguments, Int, OptionalInt, OptionalPath, OptionalText, RunPath
from gio_pyro.cli.option_groups import shared
from gio_pyro.cli.options import OtherEnvironment, OwnParts
from gio_pyro.cli.recipes import recipe_page, recipes_table
from gio_pyro.cli.sweep_commands import report, sweep
from gio_pyro.cli.train_command import train

EnvironmentId = Annotated[str, tyro.conf.arg(metavar="ENV")]
RecipeName = Annotated[OptionalText, tyro.conf.arg(metavar="NAME", help_behavior_hint="")]
SavedParts = Annotated[OwnParts, *shared("Own environment and program", OwnParts)]
Elsewhere = Annotated[OtherEnvironment, *shared("Other environment", OtherEnvironment)]


def evaluate(
    run: Positional[RunPath],
    episodes: Int = 100,
    deterministic: bool = False,
    seed: OptionalInt = None,
    *,
    parts: SavedParts,
    elsewhere: Elsewhere,
) -> int:
    """Play whole episodes with a trained agent and print their mean return, beside the exact value where it is known.

    Args:
        run: Run folder.
        episodes: Number of episodes to play.
        deterministic: Take the policy's most probable action instead of a sample.
        seed: Seed of the first episode; one that training did not use by default.
    """
    from gio_pyro.cli import run_commands

    return run_commands.evaluate(run, episodes, deterministic, seed, parts, elsewhere)


def diagnose(run: Positional[RunPath], *, parts: SavedParts, elsewhere: Elsewhere) -> int:
    """Judge whether the numbers of a run can be believed. Exit status 0: believe, 1: do not, 2: could not judge.

    The verdicts are written into the run folder with pictures, as the page diagnosis.html. Where the guide ignores the
    future and there is a world model, its filter alone is judged, without a page.

    Args:
        run: Run folder to judge.
    """
    from gio_pyro.cli import run_commands

    return run_commands.diagnose(run, parts, elsewhere)


def empowerment(
    env: Positional[EnvironmentId],
    horizon: Annotated[Int, tyro.conf.arg(aliases=["-n"])] = 3,
    variational: bool = False,
    steps: Int = 200_000,
    updates: Int = 4_000,
    seed: Int = 0,
    out: OptionalPath = None,
    env_arg: EnvironmentArguments = (),
) -> int:
    """Compute the n-step empowerment of every state, exactly from the transition table or learned from experience.

    Args:
        env: Gymnasium environment id; it needs a transition table (toy-text) unless --variational is given.
        horizon: Number n of open-loop actions.
        variational: Learn by variational information maximisation from experience alone: a minute or two, and a cost
            linear in n. Where there is a table, the exact value is printed as well.
        steps: Environment steps to learn from.
        updates: Gradient steps of learning.
        seed: Seed of learning.
        out: PNG file for the map of a grid world, never overwritten; ENV-empowerment-N.png here by default.
    """
    from gio_pyro.cli import run_commands

    return run_commands.empowerment(
        env, horizon, variational=variational, steps=steps, updates=updates, seed=seed, out=out, env_arg=env_arg
    )


def recipes(name: Positional[RecipeName] = None) -> int:
    """List the published systems that `gio train --recipe` knows, with a command for each, or describe one.

    Args:
        name: Recipe to describe: its paper, settings, what is as published and what is left out.
    """
    print(recipes_table() if name is None else recipe_page(name))
    return 0


def completion(
    shell: Positional[Annotated[Literal["bash", "zsh", "fish"], tyro.conf.arg(metavar="SHELL")]],
) -> int:
    """Print the script that completes commands and flags in a shell. In bash: source <(gio completion bash).

    Args:
        shell: bash, zsh or fish.
    """
    print(completion_script(COMMANDS, shell))
    return 0


COMMANDS: Mapping[str, Callable[..., int]] = MappingProxyType(
    {
        "train": train,
        "sweep": sweep,
        "report": report,
        "evaluate": evaluate,
        "diagnose": diagnose,
        "empowerment": empowerment,
        "recipes": recipes,
        "completion": completion,
    }
)

LIGHT = (completion, recipes, report, sweep)
"""Commands that run without torch."""
