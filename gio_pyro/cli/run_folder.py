"""The folder of a run: config, metrics, checkpoint, posterior samples, figures.

config.json      every setting and program as text, the step at which the run is complete, and whether it is
metrics.csv      one row per report; the same values as TensorBoard scalars in tensorboard/. A file that cannot be read
                 is renamed to metrics.damaged.csv when the run is resumed
checkpoint.pt    tensors and plain types (see gio_pyro.checkpointing.file_format)
summary.json     the table printed at the end
posterior.nc     an arviz InferenceData
*.png            learning curve; maps of grid worlds
diagnosis.html   the page of `gio diagnose`
episode.gif      an episode of the trained policy, where the environment renders
"""

from __future__ import annotations

import csv
import io
import json
import math
import shutil
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import asdict
from importlib import metadata
from itertools import zip_longest
from pathlib import Path
from typing import TYPE_CHECKING, Any

from gio_pyro.checkpointing import specs
from gio_pyro.errors import InputError
from gio_pyro.sweep.runs import METRICS, STEPS
from gio_pyro.utils import files

if TYPE_CHECKING:
    from gio_pyro.agent import GIO


DAMAGED = "metrics.damaged.csv"


class RunFolder:
    """A run's folder, open for writing.

    Args:
        path: the folder.

    Attributes:
        recipe: name of the recipe that the run was begun with; one that was resumed keeps what its config says.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.recipe: str | None = None
        self._writer: Any = None
        self._claim: int | None = None
        self._full: list[OSError] = []

    @classmethod
    def create(cls, path: Path | None, environment: str) -> RunFolder:
        """Make a new folder: `path`, or the first free `runs/<environment>-<n>`.

        Raises:
            InputError: the folder exists already (it is never overwritten) or cannot be made.
        """
        try:
            if path is not None:
                path.mkdir(parents=True)
                return cls(path)
            return cls(_first_free(Path("runs"), environment.replace("/", "-").replace(":", "-")))
        except FileExistsError as error:
            raise InputError(
                f"Expected a new folder, but {path} exists; name another with --out, or continue it with --resume."
            ) from error
        except OSError as error:
            raise InputError(f"Expected to make the folder {path or 'runs'}, but: {error}.") from error

    def claim(self) -> None:
        """Lock the folder against other training processes; raises `InputError` where it is locked."""
        self._claim = files.claim(self.path)
        files.remove_unfinished(self.path)

    def remove(self) -> None:
        """Delete the folder and its contents."""
        self.close()
        shutil.rmtree(self.path, ignore_errors=True)

    def write_config(
        self, agent: GIO, *, steps: int | None = None, checkpoint_every: int | None = None, reported: bool = False
    ) -> None:
        """Write `config.json`, which holds what a resumed run needs besides its checkpoint.

        Args:
            agent: the agent whose settings and programs are written.
            steps: the environment step at which the run is complete.
            checkpoint_every: smallest number of environment steps between checkpoints.
            reported: whether the final report is written.
        """
        environment = specs.environment_record(agent.env)
        config = {
            "steps": steps,
            "checkpoint_every": checkpoint_every,
            "reported": reported,
            "environment": environment,
            "registered": specs.registered_arguments(environment),
            "programs": {k: specs.program_record(p, k) for k, p in agent.programs.items()},
            "future": specs.future_record(agent.future),
            "recipe": self.recipe or self.read_json("config.json").get("recipe"),
            "device": str(agent.device),
            "settings": asdict(agent.settings),
            "versions": {name: metadata.version(name) for name in ("gio-pyro", "torch", "pyro-ppl", "gymnasium")},
        }
        self.write_json("config.json", config)

    def write_json(self, name: str, content: dict[str, Any]) -> None:
        """Write plain values as readable text, atomically; NaN is written as null."""
        files.write_file(self.path / name, json.dumps(_without_nan(content), indent=2, allow_nan=False) + "\n")

    def write_text(self, name: str, content: str) -> Path:
        """Write a text file, atomically, and return its path.

        Raises:
            InputError: the folder cannot be written.
        """
        path = self.path / name
        files.write_file(path, content)
        return path

    def read_json(self, name: str) -> dict[str, Any]:
        """Return what `write_json` wrote; an empty dictionary where the file is missing or damaged."""
        return files.read_json(self.path / name)

    def log(self, metrics: dict[str, float]) -> None:
        """Append the metrics of one report to `metrics.csv` and TensorBoard.

        Raises:
            InputError: the folder cannot be written, as on a full disk.
        """
        columns = self._columns_for(metrics)
        try:
            with (self.path / METRICS).open("a", newline="") as file:
                csv.DictWriter(file, columns, restval=math.nan, lineterminator="\n").writerow(metrics)
            self._write_scalars(metrics, int(metrics[STEPS]))
        except OSError as error:
            raise InputError(f"Expected to write into {self.path}, but: {error}; make room.") from error

    def _write_scalars(self, metrics: dict[str, float], step: int) -> None:
        """Write the metrics of one report as TensorBoard scalars."""
        if self._writer is None:
            from torch.utils.tensorboard import SummaryWriter

            self._writer = SummaryWriter(str(self.path / "tensorboard"), purge_step=step)
            self._full = _guarded(self._writer)
        if self._full:
            raise self._full[0]
        for name, value in metrics.items():
            if value == value:  # TensorBoard would warn about NaN
                self._writer.add_scalar(name, value, step)

    def _columns_for(self, metrics: dict[str, float]) -> list[str]:
        """Return the columns of the file, after adding those that are new, with NaN in earlier rows."""
        have, _ = self._read_metrics()
        new = [name for name in metrics if name not in have]
        if new:
            self._write_columns({**self.metrics(), **{name: [] for name in new}})
        return have + new

    def _write_columns(self, columns: dict[str, list[float]]) -> None:
        """Replace `metrics.csv`; shorter columns are filled with NaN."""
        text = io.StringIO(newline="")
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(columns)
        writer.writerows(zip_longest(*columns.values(), fillvalue=math.nan))
        files.write_file(self.path / METRICS, text.getvalue())

    def rewind(self, steps: int) -> None:
        """Drop rows of `metrics.csv` after the checkpoint at `steps`, which a killed run left, and incomplete ones."""
        columns = self.metrics()
        path = self.path / METRICS
        if not columns:
            if path.exists():
                path.replace(self.path / DAMAGED)
            return
        kept = [row for row, step in enumerate(columns[STEPS]) if step <= steps]
        self._write_columns({name: [column[row] for row in kept] for name, column in columns.items()})

    def metrics(self) -> dict[str, list[float]]:
        """Return the columns of `metrics.csv`, without damaged rows; an empty dictionary before the first report."""
        header, lines = self._read_metrics()
        rows = [row for row in map(_numbers, lines) if row is not None and len(row) == len(header)]
        if STEPS not in header or not rows:
            return {}
        return {name: [row[i] for row in rows] for i, name in enumerate(header)}

    def _read_metrics(self) -> tuple[list[str], list[list[str]]]:
        """Return the column names and the cells of each line of `metrics.csv`; nothing where the file is missing."""
        path = self.path / METRICS
        if not path.is_file():
            return [], []
        header, *lines = list(_cells(path.read_bytes().decode(errors="replace"))) or [[]]
        return header, lines

    def close(self) -> None:
        """Close TensorBoard's file and unlock the folder."""
        files.release(self._claim)
        self._claim = None
        if self._writer is not None:
            with suppress(OSError):  # a full disk is reported by the files that must be written
                self._writer.close()
            self._writer = None


def _cells(text: str) -> Iterator[list[str]]:
    """Yield the cells of each line; a line that is not CSV, such as one with a NUL, has no cells."""
    for line in text.splitlines():
        try:
            yield next(csv.reader([line]), [])
        except csv.Error:
            yield []


class _Guarded:
    """TensorBoard's record writer, with errors of its thread kept in a list instead of printed."""

    def __init__(self, inner: Any) -> None:
        self.inner = inner
        self.errors: list[OSError] = []

    def write(self, record: bytes) -> None:
        self._try(self.inner.write, record)

    def flush(self) -> None:
        self._try(self.inner.flush)

    def close(self) -> None:
        self._try(self.inner.close)

    def _try(self, write: Callable[..., Any], *arguments: Any) -> None:
        try:
            if not self.errors:
                write(*arguments)
        except OSError as error:
            self.errors.append(error)


def _guarded(writer: Any) -> list[OSError]:
    """Return the list that collects the errors of TensorBoard's writer thread."""
    try:
        worker = writer._get_file_writer().event_writer._async_writer._worker
        worker._record_writer = guard = _Guarded(worker._record_writer)
    except AttributeError:  # another version of TensorBoard
        return []
    return guard.errors


def _numbers(line: list[str]) -> list[float] | None:
    try:
        return [float(cell) for cell in line]
    except ValueError:
        return None


def _first_free(parent: Path, name: str) -> Path:
    parent.mkdir(parents=True, exist_ok=True)
    for number in range(1, 100_000):
        path = parent / f"{name}-{number:03d}"
        try:
            path.mkdir()
        except FileExistsError:
            continue
        return path
    raise InputError(f"Expected a free run number below 100,000 in {parent}, but all are taken; clear it.")


def _without_nan(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_nan(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_without_nan(item) for item in value]
    if isinstance(value, float) and not abs(value) < float("inf"):
        return None
    return value
