"""The runs of a sweep: their command-line arguments, names, and what their folders say about them."""

import json
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

from gio_pyro.utils.files import read_json, write_file

CONFIG, SUMMARY, METRICS, CHECKPOINT = "config.json", "summary.json", "metrics.csv", "checkpoint.pt"
STEPS = "time/total_timesteps"
STEPS_FLAG = "--steps="
LOGS = "logs"
"""Folder beside those of runs, for what they print."""
LAST_BYTES = 8192
"""End of a file of metrics that has its last line."""
LONGEST_NAME = 80
SCORES = ("return_after", "return_learned")
"""Entries of the summary of a run that are its return: played after training, or exact where it can be computed."""


@dataclass(frozen=True)
class Run:
    """One run of a sweep, in plain values, so that another machine can carry it out."""

    folder: str
    """The run folder, absolute."""
    environment: str
    variant: str
    """Settings in which the run differs from others of the sweep, as text."""
    seed: int
    arguments: tuple[str, ...]
    """Arguments of the command that begins the run, without the folder."""
    again: tuple[str, ...]
    """Those of the command that resumes it: parts of the user's own, which a checkpoint only names."""

    @property
    def path(self) -> Path:
        """The run folder."""
        return Path(self.folder)

    @property
    def log(self) -> str:
        """The file that what the run prints is appended to."""
        return str(self.path.parent / LOGS / f"{self.name}.log")

    @property
    def name(self) -> str:
        """The name of the run folder."""
        return self.path.name

    @property
    def steps(self) -> int | None:
        """Environment steps that it is to take; None where they are the default of its environment."""
        found = [word.removeprefix(STEPS_FLAG) for word in self.arguments if word.startswith(STEPS_FLAG)]
        return int(found[-1]) if found else None

    @property
    def otherwise(self) -> tuple[str, ...]:
        """Its arguments but for the number of steps."""
        return tuple(word for word in self.arguments if not word.startswith(STEPS_FLAG))

    @property
    def score(self) -> float:
        """The return that its summary says; NaN where there is none."""
        return score_of(read_json(self.path / SUMMARY))

    def command(self) -> list[str]:
        """Return the arguments of the command that begins the run, or resumes it where it has a checkpoint."""
        if (Path(self.folder) / CHECKPOINT).exists():
            return ["train", *self.again, f"--resume={self.folder}"]
        return ["train", *self.arguments, f"--out={self.folder}"]


def run_name(environment: str, variant: str, seed: int) -> str:
    """Return a name for the folder of a run: readable, and different for different runs."""
    parts = [part for part in (environment.rpartition(":")[2], variant.replace(" ", "-"), f"seed-{seed}") if part]
    whole = "-".join(parts)
    readable = re.sub(r"[^\w.,=+-]+", "_", whole)
    if readable == whole and len(whole) <= LONGEST_NAME and environment == parts[0]:
        return whole
    digest = sha256("\0".join((environment, variant, str(seed))).encode()).hexdigest()[:8]
    return f"{readable[: LONGEST_NAME - 9]}-{digest}"


def is_complete(run: Run) -> bool:
    """Return whether a run has taken all its steps and written its report."""
    config = read_json(run.path / CONFIG)
    return config.get("reported") is True and not _ends_early(run, config)


def extend(run: Run) -> None:
    """Let a run that began with fewer steps, or whose folder no longer says with how many, go on to its own."""
    config = read_json(run.path / CONFIG)
    if (run.path / CHECKPOINT).exists() and _ends_early(run, config):
        longer = config | {"steps": run.steps, "reported": False}
        write_file(run.path / CONFIG, json.dumps(longer, indent=2) + "\n")


def end_of(folder: str | Path) -> int | None:
    """Return the environment step at which a run is complete, as its folder says; None where it says nothing."""
    return _end(read_json(Path(folder) / CONFIG))


def _end(config: Mapping[str, Any]) -> int | None:
    end = config.get("steps")
    return end if isinstance(end, int) and end >= 0 else None


def _ends_early(run: Run, config: Mapping[str, Any]) -> bool:
    end = _end(config)
    return run.steps is not None and (end is None or end < run.steps)


def share_done(folder: str | Path, steps: int | None = None) -> float:
    """Return the share of its steps that a run has taken, from 0 to 1, as its last report says.

    Args:
        folder: the run folder.
        steps: how many it is to take, where that may be more than its folder says.
    """
    end = max(end_of(folder) or 0, steps or 0)
    if not end:
        return 0.0
    return min(max(steps_taken(folder) / end, 0.0), 1.0)


def steps_taken(folder: str | Path) -> int:
    """Return the environment step of a run's last report; 0 before the first."""
    try:
        with (Path(folder) / METRICS).open("rb") as file:
            place = file.readline().decode(errors="replace").strip().split(",").index(STEPS)
            file.seek(max(file.seek(0, os.SEEK_END) - LAST_BYTES, 0))
            last = file.read().rpartition(b"\n")[0].rpartition(b"\n")[2]
        return int(float(last.split(b",")[place]))
    except (OSError, ValueError, IndexError):
        return 0


def score_of(summary: Mapping[str, Any]) -> float:
    """Return the return of a finished run from its summary; NaN where there is none."""
    found = next((summary[name] for name in SCORES if isinstance(summary.get(name), int | float)), None)
    return float("nan") if found is None else float(found)
