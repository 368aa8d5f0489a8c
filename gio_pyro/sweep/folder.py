"""The folder of a sweep.

sweep.json    the arguments of every run, and the values that a search has tried
runs.csv      a row for each run: its settings, seed, how it ended, its return
NAME/         the folder of a run, as `gio train` writes it
logs/         what each run printed
"""

import csv
import io
import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from gio_pyro.errors import InputError
from gio_pyro.sweep.attempts import COMPLETE, WAITING, Outcome
from gio_pyro.sweep.runs import Run, end_of, steps_taken
from gio_pyro.utils import files

PLAN, TABLE = "sweep.json", "runs.csv"
COLUMNS = ("run", "environment", "settings", "seed", "status", "steps", "return", "error")


class SweepFolder:
    """The folder of a sweep, locked against other sweeps.

    Args:
        path: the folder; made where it is not there.

    Raises:
        InputError: a folder of something else, or one in which another sweep is at work.
    """

    def __init__(self, path: Path) -> None:
        self.path = path.absolute()
        if self.path.exists() and (not self.path.is_dir() or (any(self.path.iterdir()) and not self.is_sweep(path))):
            raise InputError(f"Expected a new folder or that of a sweep, but {path} is another; name one with --out.")
        self.path.mkdir(parents=True, exist_ok=True)
        try:
            self._claim = files.claim(self.path)
        except InputError as error:
            raise InputError(
                f"Expected one sweep in {path}, but another is at work there; wait until it ends."
            ) from error
        files.remove_unfinished(self.path)

    @staticmethod
    def is_sweep(path: Path) -> bool:
        """Return whether a folder is that of a sweep."""
        return (path / PLAN).is_file()

    @classmethod
    def first_free(cls, name: str) -> "SweepFolder":
        """Make the first free folder `sweeps/NAME-001`, `-002`, ..."""
        number = 1
        while (path := Path("sweeps") / f"{name}-{number:03d}").exists():
            number += 1
        return cls(path)

    def runs(self) -> list[Run]:
        """Return the runs of the plan.

        Raises:
            InputError: a plan that is damaged.
        """
        try:
            return [self._run(name, entry) for name, entry in self._plan()["runs"].items()]
        except (KeyError, TypeError, AttributeError, ValueError) as error:
            raise InputError(f"Expected the plan of a sweep in {self.path / PLAN}, but it is damaged.") from error

    def search(self) -> dict[str, Any] | None:
        """Return what is searched for, as `add` was told; None for a sweep over all values."""
        found = self._plan().get("search")
        return found if isinstance(found, dict) else None

    def _plan(self) -> dict[str, Any]:
        return files.read_json(self.path / PLAN) if self.is_sweep(self.path) else {"runs": {}}

    def _run(self, name: str, entry: Mapping[str, Any]) -> Run:
        return Run(
            folder=str(self.path / name),
            environment=str(entry["environment"]),
            variant=str(entry["variant"]),
            seed=int(entry["seed"]),
            arguments=tuple(map(str, entry["arguments"])),
            again=tuple(map(str, entry["again"])),
        )

    def add(self, runs: Iterable[Run], search: Mapping[str, Any] | None = None) -> list[Run]:
        """Add runs to the plan and return all of it.

        Args:
            runs: the runs.
            search: what is searched for, in plain values; None leaves what the plan says.

        Raises:
            InputError: a run that is in the plan with other arguments than more steps.
        """
        plan = {run.name: run for run in self.runs()}
        for run in runs:
            if run.name in plan:
                self._check_same(plan[run.name], run)
            plan[run.name] = run
        entries = {name: _entry(run) for name, run in plan.items()}
        content = {"runs": entries, "search": self.search() if search is None else dict(search)}
        files.write_file(self.path / PLAN, json.dumps(content, indent=1) + "\n")
        return list(plan.values())

    def _check_same(self, planned: Run, run: Run) -> None:
        """Raise `InputError` unless a run is the one that is planned, or the same with more steps."""
        if run.otherwise != planned.otherwise:
            raise InputError(
                f"Expected {run.name} with the arguments {' '.join(planned.arguments)} that it has in "
                f"{self.path}, but got {' '.join(run.arguments)}; name another --out."
            )
        end = end_of(run.folder)
        if end is not None and run.steps != planned.steps and (run.steps or 0) < end:
            raise InputError(
                f"Expected at least the {end} steps that {run.name} has in {self.path}, but got "
                f"{'none' if run.steps is None else run.steps}; name another --out."
            )

    def write_table(self, outcomes: Mapping[str, Outcome]) -> None:
        """Write `runs.csv`.

        Args:
            outcomes: how runs ended, by name; the others have not.
        """
        text = io.StringIO(newline="")
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(COLUMNS)
        writer.writerows(self._row(run, outcomes.get(run.name, Outcome(WAITING))) for run in self.runs())
        files.write_file(self.path / TABLE, text.getvalue())

    def _row(self, run: Run, outcome: Outcome) -> tuple[Any, ...]:
        score = run.score if outcome.status == COMPLETE else float("nan")
        taken = steps_taken(run.folder)
        return run.name, run.environment, run.variant, run.seed, outcome.status, taken, score, outcome.error

    def close(self) -> None:
        """Unlock the folder."""
        files.release(self._claim)
        self._claim = None


def _entry(run: Run) -> dict[str, Any]:
    """Return what the plan keeps of a run, whose places follow from that of the sweep."""
    return {name: value for name, value in asdict(run).items() if name != "folder"}
