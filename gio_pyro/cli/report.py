"""What the commands print, and how they open what a run left."""

from collections.abc import Sequence
from pathlib import Path

from gio_pyro.agent import GIO
from gio_pyro.diagnostics import ExactReport
from gio_pyro.errors import InputError
from gio_pyro.run_folder import RunFolder


def table(rows: Sequence[tuple[str, str]]) -> str:
    """Return two aligned columns as text."""
    width = max(len(name) for name, _ in rows)
    return "\n".join(f"{name:<{width}}  {value}" for name, value in rows)


def training_rows(report: ExactReport) -> list[tuple[str, str]]:
    """Return the table printed after training in a world that is known exactly."""
    rows = [
        ("return before (uniform policy)", f"{report.return_uniform:.4f}"),
        ("return after", f"{report.return_learned:.4f}   {_way(report.share_of_gap)}".rstrip()),
        ("return of the optimal policy", f"{report.return_optimal:.4f}"),
    ]
    if report.guide_sees_future:
        rows.append(("mean MI, learned", f"{report.information_learned:.4f} nats"))
        rows.append(("mean MI, exact", f"{report.information_exact:.4f} nats"))
        rows.append(("amortisation gap", f"{report.amortisation_gap:.4f} nats"))
    else:
        rows.append(("mean intrinsic reward", f"{report.information_learned:.4f} nats, not MI: the guide ignores it"))
        rows.append(("mean MI, under the model", f"{report.information_model:.4f} nats"))
        rows.append(("mean MI, exact", f"{report.information_exact:.4f} nats"))
    return rows


def _way(share: float) -> str:
    return f"({share:.1%} of the way to the optimum)" if share == share else ""


def load_run(
    run: Path, *, env: str | None = None, model: str | None = None, guide: str | None = None, device: str = "auto"
) -> tuple[GIO, RunFolder]:
    """Return the agent and the folder of a finished or interrupted run."""
    agent = GIO.load(run, environment=env, model=model, guide=guide, device=device)
    return agent, RunFolder(run.parent if run.is_file() else run)


def require_new(path: Path) -> None:
    """Raise `InputError` if a PNG file to be written is there already, or its folder is not."""
    if path.suffix != ".png":
        raise InputError(f"Expected the name of a .png file, but got {path}.")
    if path.exists():
        raise InputError(f"Expected a new file, but {path} exists; name another with --out.")
    if not path.parent.is_dir():
        raise InputError(f"Expected a folder at {path.parent}, but there is none; make it or name another file.")
