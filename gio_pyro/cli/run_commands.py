"""What the commands of `gio` do; `gio_pyro.cli.commands` describes them and their arguments."""

import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from gio_pyro import diagnostics, tabular
from gio_pyro.agent import GIO
from gio_pyro.checkpointing import file_format
from gio_pyro.cli import output
from gio_pyro.cli.environment_arguments import parse_arguments
from gio_pyro.cli.environment_flags import other_environment, vector_arguments
from gio_pyro.cli.learned_empowerment import learned_empowerment
from gio_pyro.cli.option_groups import flag, given_settings
from gio_pyro.cli.options import (
    AgentOptions,
    CollectionOptions,
    DreamOptions,
    ExplorerOptions,
    NetworkOptions,
    OtherEnvironment,
    OwnParts,
    PlannerOptions,
    RunOptions,
    SignalOptions,
    WorldOptions,
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


def train(
    env: str | None,
    *,
    agent: AgentOptions,
    networks: NetworkOptions,
    collection: CollectionOptions,
    worlds: WorldOptions,
    signals: SignalOptions,
    explorers: ExplorerOptions,
    planners: PlannerOptions,
    dreams: DreamOptions,
    run: RunOptions,
) -> int:
    """Train an agent in a new or a resumed run folder; returns the exit status."""
    for name, value, least in (("steps", run.steps, 0), ("checkpoint_every", run.checkpoint_every, 1)):
        if value is not None and value < least:
            raise InputError(f"Expected {flag(name)} to be at least {least}, but got {value}.")
    settings = given_settings(agent, networks, collection, worlds, signals, explorers, planners, dreams, run)
    programs = {"model": agent.model, "guide": agent.guide, "world_model": worlds.world_model, "filter": worlds.filter}
    start = _new_run if run.resume is None else _resumed_run
    learner, folder, plan = start(env, programs, agent, collection, run, settings)
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
    env: str | None,
    programs: dict[str, str | None],
    agent: AgentOptions,
    collection: CollectionOptions,
    run: RunOptions,
    settings: dict[str, Any],
) -> tuple[GIO, RunFolder, Plan]:
    """Build an agent and its run folder."""
    place = Place(
        DEFAULT_ENVIRONMENT if env is None else env,
        parse_arguments(collection.env_arg),
        collection.wrapper,
        vector_arguments(collection.envs),
    )
    parts: dict[str, Any] = {"programs": programs, "future": agent.future, "recipe": agent.recipe}
    learner, folder = open_run(place, run.out, **parts, device=run.device, settings=settings)
    steps = default_steps(learner) if run.steps is None else run.steps
    return learner, folder, Plan(steps, run.checkpoint_every or CHECKPOINT_EVERY)


def _resumed_run(
    env: str | None,
    programs: dict[str, str | None],
    agent: AgentOptions,
    collection: CollectionOptions,
    run: RunOptions,
    settings: dict[str, Any],
) -> tuple[GIO, RunFolder, Plan]:
    """Load the agent of a run folder, whose settings cannot be changed; programs of the user's own are named again."""
    again = {name: settings.pop(name, None) for name in ("signal", "explorer", "planner", "objective", "optim")}
    others = {"recipe": agent.recipe, "out": run.out, "env_arg": collection.env_arg or None, "envs": collection.envs}
    refused = settings | {name: value for name, value in others.items() if value is not None}
    if refused:
        flags = ", ".join(map(flag, refused))
        raise InputError(f"Expected --resume to keep the run's own settings, but got {flags} as well.")
    assert run.resume is not None
    learner, folder = output.load_run(
        run.resume, env=env, wrappers=collection.wrapper, device=run.device, future=agent.future, **programs, **again
    )
    folder.claim()
    plan = plan_resumed(learner, folder, run.steps, run.checkpoint_every)
    folder.rewind(learner.steps)
    return learner, folder, plan


def evaluate(
    run: Path, episodes: int, deterministic: bool, seed: int | None, parts: OwnParts, elsewhere: OtherEnvironment
) -> int:
    """Play episodes with a trained agent and print the table of returns; returns the exit status."""
    agent, _, other = _open(run, parts, elsewhere)
    played = agent.evaluate(episodes, deterministic=deterministic, seed=seed, environment=other)
    rows = [
        ("return, played", output.mean_of(played)),
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


def diagnose(run: Path, parts: OwnParts, elsewhere: OtherEnvironment) -> int:
    """Judge a run, print the verdicts and write the page; returns the exit status."""
    agent, folder, other = _open(run, parts, elsewhere)
    if agent.beliefs.learns and agent.guide.ignores_future:
        return _diagnose_filter(agent, run, other)
    found = diagnostics.diagnose(agent, environment=other)
    print(table([(verdict.question, str(verdict)) for verdict in found.verdicts]))
    if found.latent is not None:
        print(f"\n{found.latent}")
    title = f"Diagnosis of {folder.path.name}" + ("" if other is None else f", judged in {other}")
    path = folder.write_text("diagnosis.html", page(agent, found, title))
    print(f"\nVerdict: {found.conclusion} of {run}. {found.remark}".rstrip())
    print(f"page: {path}")
    return 0 if found.believed else 1


def _diagnose_filter(agent: GIO, run: Path, other: Env | Vector | None) -> int:
    """Judge the filter alone, where the guide ignores the future and pays no information; returns the exit status."""
    diagnostics.require_experience(agent)
    found = diagnostics.diagnose_filter(agent, environment=other)
    print(table([(verdict.question, str(verdict)) for verdict in found.verdicts]))
    believed = all(verdict.believed for verdict in found.verdicts)
    about = f"{agent.guide.name} ignores the future, so that there is no information to judge."
    print(f"\nVerdict: {'believe' if believed else 'do not believe'} the filter of {run}. {about}")
    return 0 if believed else 1


def _open(run: Path, parts: OwnParts, elsewhere: OtherEnvironment) -> tuple[GIO, RunFolder, Env | Vector | None]:
    """Load a run, and make the other environment to play in, if any."""
    named = asdict(parts)
    agent, folder = output.load_run(run, env=named.pop("env"), wrappers=named.pop("wrapper"), **named)
    arguments = parse_arguments(elsewhere.env_arg)
    return agent, folder, other_environment(agent.env, elsewhere.environment, arguments, parts.wrapper)


def empowerment(
    env: str,
    horizon: int,
    *,
    variational: bool,
    steps: int,
    updates: int,
    seed: int,
    out: Path | None,
    env_arg: Sequence[str],
) -> int:
    """Compute the empowerment of every state, print it and draw its map; returns the exit status."""
    arguments = parse_arguments(env_arg)
    environment = make_env(env, **arguments)
    grid = grid_of(environment)
    path = Path(f"{env.replace('/', '-')}-empowerment-{horizon}.png") if out is None else out
    if grid is not None or out is not None:
        output.require_new(path)
    if variational:
        nats = learned_empowerment(environment, env, arguments, horizon, steps=steps, updates=updates, seed=seed)
    else:
        nats = tabular.empowerment(tabular.TabularMDP.from_env(environment), horizon)
    print(table(output.nats_rows(nats[~nats.isnan()])))
    if grid is None:
        print(f"{env} is not a grid with one state per cell: no map is drawn.", file=sys.stderr)
        return 0
    print(f"\n{text_map(grid, nats.tolist())}\n")
    empowerment_map(path, grid, nats.numpy(), horizon)
    print(f"map: {path}")
    return 0
