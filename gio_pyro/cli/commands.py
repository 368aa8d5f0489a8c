"""The commands, as typed functions: their arguments are the flags, their docstrings the help."""

import sys
from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Any, Literal

import tyro
from tyro.conf import Positional

from gio_pyro import diagnostics, tabular
from gio_pyro.agent import GIO
from gio_pyro.checkpointing import file_format
from gio_pyro.cli import report
from gio_pyro.cli.completion import completion_script
from gio_pyro.cli.environment_flags import other_environment, parse_arguments, vector_arguments
from gio_pyro.cli.flag_types import EnvironmentArguments, Int, OptionalInt, OptionalPath, OptionalText, RunPath
from gio_pyro.cli.learned_empowerment import learned_empowerment
from gio_pyro.cli.option_groups import flag, given_settings, group, shared
from gio_pyro.cli.options import (
    AgentOptions,
    CollectionOptions,
    DreamOptions,
    ExplorerOptions,
    NetworkOptions,
    OtherEnvironment,
    OwnParts,
    RunOptions,
    SignalOptions,
)
from gio_pyro.cli.run_folder import RunFolder
from gio_pyro.cli.training import (
    CHECKPOINT_EVERY,
    DEFAULT_ENVIRONMENT,
    Place,
    Plan,
    default_steps,
    open_run,
    plan_resumed,
    run_training,
)
from gio_pyro.collection import Env, make_env
from gio_pyro.collection.make import Vector
from gio_pyro.diagnostics import compare_with_exact, exact_world
from gio_pyro.diagnostics.html_report import page
from gio_pyro.errors import InputError
from gio_pyro.plotting.grid import grid_of
from gio_pyro.plotting.plots import empowerment_map, text_map
from gio_pyro.utils.text import table

EnvironmentId = Annotated[str, tyro.conf.arg(metavar="ENV")]
SavedParts = Annotated[OwnParts, *shared("Own environment and program", OwnParts)]
Elsewhere = Annotated[OtherEnvironment, *shared("Other environment", OtherEnvironment)]


def train(
    env: Positional[Annotated[OptionalText, tyro.conf.arg(metavar="ENV", help_behavior_hint="")]] = None,
    *,
    agent: Annotated[AgentOptions, *group("Agent")],
    networks: Annotated[NetworkOptions, *group("Networks")],
    collection: Annotated[CollectionOptions, *group("Collection")],
    signals: Annotated[SignalOptions, *group("Signal")],
    explorers: Annotated[ExplorerOptions, *group("Explorer")],
    dreams: Annotated[DreamOptions, *group("Dreams")],
    run: Annotated[RunOptions, *group("Run")],
) -> int:
    """Train an agent and write a run folder. Without arguments: Pendulum-v1, in about 3 minutes.

    Some defaults differ by kind of agent: tables where observations and actions are finite, networks over finitely many
    actions, and networks over continuous actions.

    Args:
        env: Gymnasium environment id, or module:id where a module registers it; Pendulum-v1 by default.
    """
    for name, value, least in (("steps", run.steps, 0), ("checkpoint_every", run.checkpoint_every, 1)):
        if value is not None and value < least:
            raise InputError(f"Expected {flag(name)} to be at least {least}, but got {value}.")
    settings = given_settings(agent, networks, collection, signals, explorers, dreams, run)
    start = _new_run if run.resume is None else _resumed_run
    learner, folder, plan = start(env, agent, collection, run, settings)
    try:
        return run_training(learner, folder, plan, quiet=run.quiet)
    except (Exception, KeyboardInterrupt) as error:
        saved = isinstance(error, KeyboardInterrupt) and (folder.path / file_format.NAME).exists()
        if run.resume is None and not learner.steps and not saved:
            folder.remove()
        raise
    finally:
        folder.close()


def _new_run(
    env: str | None, agent: AgentOptions, collection: CollectionOptions, run: RunOptions, settings: dict[str, Any]
) -> tuple[GIO, RunFolder, Plan]:
    """Build an agent and its run folder."""
    place = Place(
        DEFAULT_ENVIRONMENT if env is None else env,
        parse_arguments(collection.env_arg),
        collection.wrapper,
        vector_arguments(collection.envs),
    )
    programs = {"model": agent.model, "guide": agent.guide}
    learner, folder = open_run(
        place, run.out, programs=programs, future=agent.future, device=run.device, settings=settings
    )
    steps = default_steps(learner) if run.steps is None else run.steps
    return learner, folder, Plan(steps, run.checkpoint_every or CHECKPOINT_EVERY)


def _resumed_run(
    env: str | None, agent: AgentOptions, collection: CollectionOptions, run: RunOptions, settings: dict[str, Any]
) -> tuple[GIO, RunFolder, Plan]:
    """Load the agent of a run folder, whose settings cannot be changed; programs of the user's own are named again."""
    again = {name: settings.pop(name, None) for name in ("signal", "explorer", "objective", "optim")}
    others = {"out": run.out, "env_arg": collection.env_arg or None, "envs": collection.envs}
    refused = settings | {name: value for name, value in others.items() if value is not None}
    if refused:
        flags = ", ".join(map(flag, refused))
        raise InputError(f"Expected --resume to keep the run's own settings, but got {flags} as well.")
    assert run.resume is not None
    programs = {"model": agent.model, "guide": agent.guide, "future": agent.future}
    learner, folder = report.load_run(
        run.resume, env=env, wrappers=collection.wrapper, device=run.device, **programs, **again
    )
    folder.claim()
    plan = plan_resumed(learner, folder, run.steps, run.checkpoint_every)
    folder.rewind(learner.steps)
    return learner, folder, plan


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
    agent, _, other = _open(run, parts, elsewhere)
    played = agent.evaluate(episodes, deterministic=deterministic, seed=seed, environment=other)
    rows = [
        ("return, played", report.mean_of(played)),
        ("episode length", f"{sum(played.lengths) / len(played.lengths):.4g} steps"),
    ]
    if other is None and exact_world(agent) is not None:
        exact = compare_with_exact(agent)
        rows += [
            ("return, exact, sampled actions", f"{exact.return_learned:.4g}"),
            ("return, exact, optimal policy", f"{exact.return_optimal:.4g}"),
        ]
    print(table(rows))
    return 0


def diagnose(run: Positional[RunPath], *, parts: SavedParts, elsewhere: Elsewhere) -> int:
    """Judge whether the numbers of a run can be believed. Exit status 0: believe, 1: do not, 2: could not judge.

    The verdicts are written into the run folder with pictures, as the page diagnosis.html.

    Args:
        run: Run folder to judge.
    """
    agent, folder, other = _open(run, parts, elsewhere)
    found = diagnostics.diagnose(agent, environment=other)
    print(table([(verdict.question, str(verdict)) for verdict in found.verdicts]))
    if found.latent is not None:
        print(f"\n{found.latent}")
    title = f"Diagnosis of {folder.path.name}" + ("" if other is None else f", judged in {other}")
    path = folder.write_text("diagnosis.html", page(agent, found, title))
    print(f"\nVerdict: {found.conclusion} of {run}. {found.remark}".rstrip())
    print(f"page: {path}")
    return 0 if found.believed else 1


def _open(run: Path, parts: OwnParts, elsewhere: OtherEnvironment) -> tuple[GIO, RunFolder, Env | Vector | None]:
    """Load a run, and make the other environment to play in, if any."""
    named = asdict(parts)
    agent, folder = report.load_run(run, env=named.pop("env"), wrappers=named.pop("wrapper"), **named)
    arguments = parse_arguments(elsewhere.env_arg)
    return agent, folder, other_environment(agent.env, elsewhere.environment, arguments, parts.wrapper)


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
    arguments = parse_arguments(env_arg)
    environment = make_env(env, **arguments)
    grid = grid_of(environment)
    path = Path(f"{env.replace('/', '-')}-empowerment-{horizon}.png") if out is None else out
    if grid is not None or out is not None:
        report.require_new(path)
    if variational:
        nats = learned_empowerment(environment, env, arguments, horizon, steps=steps, updates=updates, seed=seed)
    else:
        nats = tabular.empowerment(tabular.TabularMDP.from_env(environment), horizon)
    print(table(report.nats_rows(nats[~nats.isnan()])))
    if grid is None:
        print(f"{env} is not a grid with one state per cell: no map is drawn.", file=sys.stderr)
        return 0
    print(f"\n{text_map(grid, nats.tolist())}\n")
    empowerment_map(path, grid, nats.numpy(), horizon)
    print(f"map: {path}")
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
        "evaluate": evaluate,
        "diagnose": diagnose,
        "empowerment": empowerment,
        "completion": completion,
    }
)
