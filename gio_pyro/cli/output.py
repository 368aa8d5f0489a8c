"""Tables and lines that the commands print, and loading the run that they are about."""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from torch import Tensor

from gio_pyro.agent import GIO
from gio_pyro.checkpointing import file_format
from gio_pyro.checkpointing.agent_state import DAMAGE, restore
from gio_pyro.cli.environment_flags import remake_environment
from gio_pyro.cli.run_folder import RunFolder
from gio_pyro.collection.evaluate import Evaluation
from gio_pyro.diagnostics import ExactReport
from gio_pyro.errors import CheckpointError, GioError, InputError, describe_error


def training_rows(report: ExactReport) -> list[tuple[str, str]]:
    """Return the table printed after training in an environment whose transition table is known."""
    rows = [
        ("return before (uniform policy)", f"{report.return_uniform:.4f}"),
        ("return after", f"{report.return_learned:.4f}   {_share(report.share_of_gap)}".rstrip()),
        ("return of the optimal policy", f"{report.return_optimal:.4f}"),
    ]
    if report.guide_sees_future:
        rows.append(("mean MI, learned", f"{report.information_learned:.4f} nats"))
        rows.append(("mean MI, exact", f"{report.information_exact:.4f} nats"))
        rows.append(("amortisation gap", f"{report.amortisation_gap:.4f} nats"))
    else:
        rows.append(
            ("mean intrinsic reward", f"{report.information_learned:.4f} nats, not MI: the guide ignores the future")
        )
        rows.append(("mean MI, under the model", f"{report.information_model:.4f} nats"))
        rows.append(("mean MI, exact", f"{report.information_exact:.4f} nats"))
    return rows


def _share(share: float) -> str:
    return f"({share:.1%} of the way to the optimum)" if share == share else ""


def played_rows(summary: Mapping[str, Any]) -> list[tuple[str, str]]:
    """Return the table printed after training in any other environment, from `summary.json`."""
    rows = []
    if "return_before" in summary:
        before = f"{summary['return_before']:.4g} ± {summary['return_before_error']:.2g}"
        rows.append(("return before (untrained, sampled actions)", before))
    after = f"{summary['return_after']:.4g} ± {summary['return_after_error']:.2g}"
    rows.append(
        ("return after (most probable actions)", f"{after}   (standard error of {summary['episodes']} episodes)")
    )
    nats = f"{summary['intrinsic_nats']:.4f} nats"
    if summary["guide_sees_future"]:
        rows.append(("mean MI bound", nats))
    else:
        rows.append(("mean intrinsic reward", f"{nats}, not MI: the guide ignores the future"))
    rows.append(("entropy of the policy", f"{summary['entropy']:.4f} nats"))
    rows.append(("steps per second", f"{summary['steps_per_second']:.0f}"))
    return rows


def nats_rows(nats: Tensor) -> list[tuple[str, str]]:
    """Return the minimum, mean and maximum of some numbers in nats and bits."""
    rows = (("least", nats.min()), ("mean", nats.mean()), ("most", nats.max()))
    return [(name, f"{value:.4f} nats = {value / math.log(2):.4f} bits") for name, value in rows]


def mean_of(played: Evaluation) -> str:
    """Return the mean return of episodes as text, with its standard error where there are several."""
    if len(played.returns) == 1:
        return f"{played.mean:.4g} (1 episode)"
    return f"{played.mean:.4g} ± {played.standard_error:.2g} (standard error, {len(played.returns)} episodes)"


def progress_line(figures: Mapping[str, float], end: int) -> str:
    """Return one line about a report of training.

    Args:
        figures: the metrics of the report; the mean return is NaN before the first episode has ended.
        end: environment step at which training ends.
    """
    mean = figures["rollout/ep_rew_mean"]
    return (
        f"step {figures['time/total_timesteps']:,.0f} of {end:,}: "
        f"return {'not known yet' if mean != mean else f'{mean:.4g}'}, {figures['intrinsic/nats']:.4f} nats, "
        f"{figures['time/fps']:,.0f} steps per second"
    )


def load_run(
    run: Path,
    *,
    env: str | None = None,
    wrappers: Sequence[str] = (),
    model: str | None = None,
    guide: str | None = None,
    world_model: str | None = None,
    filter: str | None = None,
    future: str | None = None,
    signal: str | None = None,
    explorer: str | None = None,
    planner: str | None = None,
    objective: str | None = None,
    optim: str | None = None,
    device: str = "auto",
) -> tuple[GIO, RunFolder]:
    """Load the agent and open the folder of a finished or interrupted run.

    Raises:
        CheckpointError: no checkpoint, a damaged one, or one with parts of the user's own that are not given.
        InputError: an environment or wrappers other than those of the run.
    """
    if run.is_dir() and not (run / file_format.NAME).exists():
        raise CheckpointError(
            f"Expected a checkpoint in {run}, but there is none: it is not a run folder, or stopped before its first "
            "checkpoint; start it again with another --out."
        )
    state = file_format.read(run)
    try:
        environment = remake_environment(state["environment"], env, wrappers)
    except DAMAGE as error:
        if isinstance(error, GioError):
            raise
        raise CheckpointError(
            f"Expected an environment in {run}, but got {describe_error(error)}; it is damaged."
        ) from error
    again: dict[str, Any] = {
        "signal": signal,
        "explorer": explorer,
        "planner": planner,
        "objective": objective,
        "optim": optim,
    }
    worlds = {"world_model": world_model, "filter": filter}
    agent = restore(GIO, state, environment, model, guide, future, device, worlds, **again)
    return agent, RunFolder(run.parent if run.is_file() else run)


def require_new(path: Path) -> None:
    """Raise `InputError` if a PNG file to be written exists, or its folder does not."""
    if path.suffix != ".png":
        raise InputError(f"Expected the name of a .png file, but got {path}.")
    if path.exists():
        raise InputError(f"Expected a new file, but {path} exists; name another with --out.")
    if not path.parent.is_dir():
        raise InputError(f"Expected a folder at {path.parent}, but there is none; make it or name another file.")
