"""`gio train`, step by step: open, learn with checkpoints, judge, leave everything in the run folder."""

import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch

from gio_pyro import diagnostics, tabular
from gio_pyro.agent import GIO, Metrics
from gio_pyro.cli import report
from gio_pyro.cli.main import INTERRUPTED
from gio_pyro.errors import InputError, TrainingError
from gio_pyro.grid import grid_of
from gio_pyro.plots import ARROWS, learning_curve, policy_map
from gio_pyro.run_folder import RunFolder

DEFAULT_ENVIRONMENT = "FrozenLake-v1"
CHECKPOINT_EVERY = 5_000
"""Environment steps between checkpoints."""


def open_run(
    env: str | None,
    out: Path | None,
    *,
    programs: dict[str, str | None],
    future: str | None,
    device: str,
    settings: dict[str, Any],
) -> tuple[GIO, RunFolder]:
    """Build the agent first, so that a mistake leaves no folder behind; None stands for the default."""
    env = DEFAULT_ENVIRONMENT if env is None else env
    if out is not None and out.exists():
        raise InputError(f"Expected a new folder, but {out} exists; name another, or continue it with --resume.")
    named = {kind: name for kind, name in programs.items() if name is not None}
    agent = GIO(env, **named, future=future, device=device, **settings)
    diagnostics.exact_world(agent)
    folder = RunFolder.create(out, env)
    folder.write_config(agent)
    return agent, folder


def run_training(agent: GIO, folder: RunFolder, steps: int, *, progress_bar: bool) -> int:
    """Learn, save, report; returns the exit status."""
    agent.save(folder.path)
    try:
        whole = _learn(agent, folder, steps, progress_bar=progress_bar)
    except KeyboardInterrupt:
        return _interrupted(folder, "at once; the last checkpoint is kept")
    try:
        if whole:
            _finish(agent, folder)
            print(f"\nrun folder: {folder.path}")
            return 0
    except KeyboardInterrupt:
        pass
    return _interrupted(folder, f"after {agent.steps} steps, which are saved in {folder.path}")


def _interrupted(folder: RunFolder, how: str) -> int:
    print(f"\nInterrupted {how}; go on with: gio train --resume {folder.path}", file=sys.stderr)
    return INTERRUPTED


def _learn(agent: GIO, folder: RunFolder, steps: int, *, progress_bar: bool) -> bool:
    """Learn with checkpoints; returns whether all steps were taken. The last whole round is always saved."""
    saved = agent.steps
    world = diagnostics.exact_world(agent)

    with _stop_on_interrupt() as interrupted:

        def after_round(agent: GIO, metrics: Metrics) -> bool:
            nonlocal saved
            folder.log(metrics | _exact_return(agent, world))
            if agent.steps - saved >= CHECKPOINT_EVERY:
                agent.save(folder.path)
                saved = agent.steps
            return not interrupted

        try:
            agent.learn(steps, callback=after_round, progress_bar=progress_bar)
        except TrainingError as error:
            raise TrainingError(f"{error} Stopped; step {saved} is saved in {folder.path}.") from error
        finally:
            folder.close()
        agent.save(folder.path)
    return not interrupted


def _exact_return(agent: GIO, world: tabular.TabularMDP | None) -> dict[str, float]:
    """Return what the policy of this moment earns without exploration, where that can be computed."""
    if world is None or agent.env.spec is None or agent.env.spec.max_episode_steps is None:
        return {}
    policy = diagnostics.policy_table(agent)
    return {"exact/return": float(tabular.expected_return(world, policy, agent.env.spec.max_episode_steps))}


@contextmanager
def _stop_on_interrupt() -> Iterator[list[int]]:
    """Turn the first Ctrl-C into a request to stop after the round, so that what is saved is whole."""
    asked: list[int] = []

    def ask(number: int, frame: Any) -> None:
        if asked:
            raise KeyboardInterrupt
        asked.append(number)

    before = signal.signal(signal.SIGINT, ask)
    try:
        yield asked
    finally:
        signal.signal(signal.SIGINT, before)


def _finish(agent: GIO, folder: RunFolder) -> None:
    references = _compare(agent, folder) if diagnostics.exact_world(agent) is not None else {}
    if len(agent.replay):
        diagnostics.to_arviz(agent).to_netcdf(str(folder.path / "posterior.nc"))
        learning_curve(folder.path / "learning_curve.png", folder.metrics(), references)
        _draw_policy(agent, folder.path / "policy.png")


def _compare(agent: GIO, folder: RunFolder) -> dict[str, float]:
    """Print and keep the table beside the exact tier; returns the returns to draw as lines."""
    try:
        exact = diagnostics.compare_with_exact(agent)
    except InputError as error:
        print(f"\nThis world has no exact return to compare with: {error}")
        return {}
    folder.write_json("summary.json", {**asdict(exact), "share_of_gap": exact.share_of_gap, "steps": agent.steps})
    print("\n" + report.table(report.training_rows(exact)))
    return {"optimal": exact.return_optimal, "uniform": exact.return_uniform}


def _draw_policy(agent: GIO, path: Path) -> None:
    grid = grid_of(agent.env)
    if grid is None or agent.env.spec is None:
        return
    states = torch.arange(agent.collector.states.count, device=agent.device)
    with torch.no_grad():
        policy = agent.policy(states).probs
        value = (policy * agent.critic(states)).sum(-1)
        value[~agent.critic.tried.any(-1)] = torch.nan
    arrows = next((a for name, a in ARROWS.items() if agent.env.spec.id.startswith(name)), None)
    policy_map(path, grid, value.cpu().numpy(), policy.cpu().numpy(), arrows)
