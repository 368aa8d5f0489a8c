"""`gio train`: build the agent and its run folder, learn with checkpoints, evaluate, and write the report."""

import math
import sys
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from gio_pyro import diagnostics, tabular
from gio_pyro.agent import GIO
from gio_pyro.cli import output
from gio_pyro.cli.environment_flags import make_environment
from gio_pyro.cli.film import can_film, render_gif
from gio_pyro.cli.run_folder import RunFolder
from gio_pyro.cli.stopping import Stopped, collect_signals, status_of
from gio_pyro.diagnostics.arviz_versions import netcdf
from gio_pyro.errors import GioError, InputError, TrainingError, describe_error
from gio_pyro.plotting.grid import grid_of
from gio_pyro.plotting.plots import ARROWS, BOUND, LATEST, bound_terms, learning_curve, policy_map
from gio_pyro.settings import finite_world
from gio_pyro.utils.files import write_file
from gio_pyro.utils.text import table

DEFAULT_ENVIRONMENT = "Pendulum-v1"
STEPS = {True: 40_000, False: 4_000}
"""Default number of training steps, with tables and with networks."""
BEFORE, AFTER = 5, 20
"""Evaluation episodes before and after learning where returns cannot be computed exactly."""
CHECKPOINT_EVERY = 5_000
"""Default of the smallest number of environment steps between checkpoints."""
LONGEST = 1_000
"""Largest length of these episodes where the environment has no limit of its own."""


@dataclass(frozen=True)
class Place:
    """Environment of a new run: the arguments of `gio_pyro.cli.environment_flags.make_environment`."""

    name: str
    arguments: Mapping[str, Any]
    wrappers: Sequence[str]
    vector: Mapping[str, Any] | None


def open_run(
    place: Place,
    out: Path | None,
    *,
    programs: dict[str, str | None],
    future: str | None,
    recipe: str | None,
    device: str,
    settings: dict[str, Any],
) -> tuple[GIO, RunFolder]:
    """Build the agent and then its run folder, so that a mistake leaves no folder behind; None is the default."""
    if out is not None and out.exists():
        raise InputError(f"Expected a new folder, but {out} exists; name another, or continue it with --resume.")
    given = {kind: name for kind, name in programs.items() if name is not None}
    env = make_environment(place.name, place.arguments, place.wrappers, place.vector)
    agent = GIO(env, **given, future=future, recipe=recipe, device=device, **settings)
    diagnostics.exact_world(agent)
    folder = RunFolder.create(out, place.name.rpartition(":")[2])
    folder.claim()
    folder.recipe = recipe
    return agent, folder


def default_steps(agent: GIO) -> int:
    """Return the default number of training steps."""
    return STEPS[finite_world(agent.spec.state_space, agent.spec.action_space)]


@dataclass(frozen=True)
class Plan:
    """Remaining training of a run."""

    end: int
    """Environment step at which the run is complete."""
    checkpoint_every: int
    """Smallest number of environment steps between checkpoints."""


def plan_resumed(agent: GIO, folder: RunFolder, further: int | None, checkpoint_every: int | None) -> Plan:
    """Return the remaining training of a resumed run, as its config says or the flags override.

    A run that took all its steps but was stopped before its final report still has the report to write.

    Raises:
        InputError: the run is complete, and no further steps are given.
    """
    config = folder.read_json("config.json")
    kept = config.get("checkpoint_every")
    every = checkpoint_every or (kept if isinstance(kept, int) and kept > 0 else CHECKPOINT_EVERY)
    end = config.get("steps")
    if further is not None:
        return Plan(agent.steps + further, every)
    if not isinstance(end, int) or (end <= agent.steps and config.get("reported")):
        raise InputError(
            f"Expected a run with steps left to take, but {folder.path} has taken its {agent.steps}; say with --steps "
            "how many more to take."
        )
    return Plan(max(end, agent.steps), every)


def run_training(agent: GIO, folder: RunFolder, plan: Plan, *, quiet: bool) -> int:
    """Learn up to the end of the plan, save, evaluate and report; returns the exit status.

    The plan is written into the folder before the first checkpoint, so that every run can be resumed.
    """
    folder.write_config(agent, steps=plan.end, checkpoint_every=plan.checkpoint_every)
    agent.save(folder.path)
    try:
        figures = {} if diagnostics.exact_world(agent) is not None else _before(agent, folder)
        signals = _learn(agent, folder, plan, quiet=quiet)
    except KeyboardInterrupt as stop:
        return _interrupted(folder, stop, "at once; the last checkpoint is kept")
    try:
        if signals:
            raise Stopped(signals[0])
        _finish(agent, folder, figures)
        folder.write_config(agent, steps=plan.end, checkpoint_every=plan.checkpoint_every, reported=True)
    except KeyboardInterrupt as stop:
        return _interrupted(folder, stop, f"after {agent.steps} steps, which are saved in {folder.path}")
    print(f"\nrun folder: {folder.path}")
    return 0


def _interrupted(folder: RunFolder, stop: KeyboardInterrupt, how: str) -> int:
    print(f"\nInterrupted {how}; go on with: gio train --resume {folder.path}", file=sys.stderr)
    return status_of(stop)


def _before(agent: GIO, folder: RunFolder) -> dict[str, Any]:
    """Evaluate the untrained policy and keep its mean return; a resumed run reads it from its folder.

    The random state is restored afterwards, so that a run killed here and resumed ends as one that was not killed.
    """
    kept = folder.read_json("summary.json")
    known = {name: kept.get(name) for name in ("return_before", "return_before_error")}
    if all(isinstance(value, float) for value in known.values()):
        return known
    if agent.steps:
        return {}
    stream = agent.playing.state
    try:
        played = agent.evaluate(BEFORE, max_steps=_longest(agent))
    finally:
        agent.playing.state = stream
    figures = {"return_before": played.mean, "return_before_error": played.standard_error}
    folder.write_json("summary.json", figures | {"steps": 0})
    return figures


def _longest(agent: GIO) -> int:
    limit = agent.env.spec.max_episode_steps if agent.env.spec is not None else None
    return limit or LONGEST


def _learn(agent: GIO, folder: RunFolder, plan: Plan, *, quiet: bool) -> list[int]:
    """Learn with checkpoints; returns the stop signals received. The last complete round is always saved."""
    saved = first = agent.steps
    ended = agent.collector.episodes
    table = diagnostics.exact_world(agent)
    start = time.perf_counter()
    terminal = sys.stderr.isatty()
    bar = terminal and not quiet

    with collect_signals() as signals:

        def report_round(agent: GIO, metrics: dict[str, float]) -> None:
            nonlocal saved, ended
            more = {
                "time/fps": (agent.steps - first) / (time.perf_counter() - start),
                "train/learning_rate": agent.settings.learning_rate,
                LATEST: _latest_return(agent, ended),
            }
            figures = metrics | more | _exact_return(agent, table)
            folder.log(figures)
            if not quiet and not terminal:
                print(output.progress_line(figures, plan.end), file=sys.stderr, flush=True)
            ended = agent.collector.episodes
            if agent.steps - saved >= plan.checkpoint_every:
                agent.save(folder.path)
                saved = agent.steps

        try:
            left = max(plan.end - agent.steps, 0)
            agent.learn(left, callback=report_round, progress_bar=bar, stop=lambda: bool(signals))
            if not bool(agent.sound):
                agent.metrics()  # raises what went wrong since the last report, which is not saved
            agent.save(folder.path)
        except (GioError, OSError) as error:
            what = str(error) if isinstance(error, GioError) else f"Expected files that can be written, but: {error}."
            kept = f"; step {saved} is saved in {folder.path}." if agent.steps else "."
            raise TrainingError(what.rstrip(".") + kept) from error
        finally:
            with suppress(OSError):  # the error that is already raised says more
                folder.close()
    return signals


def _latest_return(agent: GIO, ended: int) -> float:
    """Return the mean return of the episodes after the first `ended`, NaN where there are none."""
    new = min(agent.collector.episodes - ended, len(agent.collector.returns))
    return float(np.mean(list(agent.collector.returns)[-new:])) if new else float("nan")


def _exact_return(agent: GIO, mdp: tabular.TabularMDP | None) -> dict[str, float]:
    """Return the exact return of the current policy without exploration, where it can be computed."""
    if mdp is None or agent.env.spec is None or agent.env.spec.max_episode_steps is None:
        return {}
    policy = diagnostics.policy_table(agent, mdp)
    return {"exact/return": float(tabular.expected_return(mdp, policy, agent.env.spec.max_episode_steps))}


def _finish(agent: GIO, folder: RunFolder, before: dict[str, Any]) -> None:
    if not len(agent.replay):
        print("No step was taken, so nothing was learned.")
        return
    known = diagnostics.exact_world(agent) is not None
    references = _compare(agent, folder) if known else _play(agent, folder, before)
    write_file(folder.path / "posterior.nc", netcdf(diagnostics.to_arviz(agent)))
    nats = "MI bound" if _sees_future(agent) else "intrinsic reward"
    if metrics := folder.metrics():
        learning_curve(folder.path / "learning_curve.png", metrics, references, information=nats)
        if BOUND.keys() <= metrics.keys():
            bound_terms(folder.path / "bound.png", metrics)
    _draw_policy(agent, folder.path / "policy.png")
    if can_film(agent):
        _film(agent, folder.path / "episode.gif")


def _sees_future(agent: GIO) -> bool:
    return not agent.guide.ignores_future


def _film(agent: GIO, path: Path) -> None:
    """Write a film of an episode; a run does not fail where rendering lacks a package or a display."""
    try:
        content = render_gif(agent)
    except Exception as error:
        path.unlink(missing_ok=True)
        print(f"No {path.name}, because rendering raised {describe_error(error)}.", file=sys.stderr)
        return
    write_file(path, content)


def _play(agent: GIO, folder: RunFolder, before: dict[str, Any]) -> dict[str, float]:
    """Evaluate the trained agent, print and keep the table; returns reference returns for the learning curve."""
    after = agent.evaluate(AFTER, deterministic=True, max_steps=_longest(agent))
    figures = {name: column[-1] for name, column in folder.metrics().items()}
    if "intrinsic/nats" not in figures or "train/entropy" not in figures:  # the file was damaged
        figures |= agent.metrics()
    summary = before | {
        "return_after": after.mean,
        "return_after_error": after.standard_error,
        "episodes": len(after.returns),
        "intrinsic_nats": figures["intrinsic/nats"],
        "guide_sees_future": _sees_future(agent),
        "entropy": figures["train/entropy"],
        "steps_per_second": figures.get("time/fps", math.nan),
        "steps": agent.steps,
    }
    folder.write_json("summary.json", summary)
    print("\n" + table(output.played_rows(summary)))
    lines = {"untrained": before.get("return_before"), "after, most probable actions": after.mean}
    return {name: value for name, value in lines.items() if value is not None}


def _compare(agent: GIO, folder: RunFolder) -> dict[str, float]:
    """Compare with the exact solution, print and keep the table; returns reference returns for the learning curve."""
    try:
        exact = diagnostics.compare_with_exact(agent)
    except InputError as error:
        print(f"\nThere is no exact return to compare with: {error}")
        return {}
    folder.write_json("summary.json", {**asdict(exact), "share_of_gap": exact.share_of_gap, "steps": agent.steps})
    print("\n" + table(output.training_rows(exact)))
    return {"optimal": exact.return_optimal, "uniform": exact.return_uniform}


def _draw_policy(agent: GIO, path: Path) -> None:
    grid = grid_of(agent.env)
    if grid is None or agent.env.spec is None or not finite_world(agent.spec.state_space, agent.spec.action_space):
        return
    states = torch.arange(agent.collector.observations.count, device=agent.device)
    critic: Any = agent.actor_critic.critic
    with torch.no_grad():
        policy = agent.policy(states).probs
        value = (policy * critic(states)).sum(-1)
        value[~critic.tried.any(-1)] = torch.nan
    arrows = next((a for name, a in ARROWS.items() if agent.env.spec.id.startswith(name)), None)
    policy_map(path, grid, value.cpu().numpy(), policy.cpu().numpy(), arrows)
