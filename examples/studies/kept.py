"""Shared helpers of the studies: rows that are saved as they are computed, and colours for all readers."""

import argparse
import csv
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
"""Of Okabe and Ito: blue, vermilion, green, purple, orange, sky."""

Row = dict[str, str]


class Kept:
    """A table in a CSV file; rows that it has are not computed again.

    Args:
        path: the file; need not be there yet.
        keys: the columns that identify a run.
    """

    def __init__(self, path: Path, keys: Sequence[str]) -> None:
        self.path, self.keys = path, tuple(keys)
        self.rows: dict[tuple[str, ...], Row] = {}
        if path.exists():
            with path.open(newline="") as file:
                self.rows = {tuple(row[k] for k in self.keys): row for row in csv.DictReader(file)}

    def __contains__(self, key: Sequence[object]) -> bool:
        return tuple(map(text, key)) in self.rows

    def __getitem__(self, key: Sequence[object]) -> Row:
        return self.rows[tuple(map(text, key))]

    def add(self, rows: Iterable[dict[str, object]]) -> None:
        """Add rows and write the table atomically."""
        for row in rows:
            written = {name: text(value) for name, value in row.items()}
            self.rows[tuple(written[k] for k in self.keys)] = written
        self.path.parent.mkdir(parents=True, exist_ok=True)
        temporary = self.path.with_suffix(".part")
        with temporary.open("w", newline="") as file:
            writer = csv.DictWriter(file, fieldnames=list(next(iter(self.rows.values()))), lineterminator="\n")
            writer.writeheader()
            writer.writerows(self.rows.values())
        temporary.replace(self.path)

    def numbers(self, column: str, **where: object) -> list[float]:
        """Return a column of the rows whose other columns have the given values."""
        wanted = {name: text(value) for name, value in where.items()}
        return [float(row[column]) for row in self.rows.values() if all(row[k] == v for k, v in wanted.items())]


def command_line(
    about: str | None, results: Path, quick: str | None = None, *, seeds: int | None = None
) -> argparse.ArgumentParser:
    """Return a parser of the common options: --results and, if given, --quick and --seeds."""
    parser = argparse.ArgumentParser(description=about, formatter_class=argparse.RawDescriptionHelpFormatter)
    if seeds is not None:
        parser.add_argument("--seeds", type=int, default=seeds)
    if quick is not None:
        parser.add_argument("--quick", action="store_true", help=quick)
    parser.add_argument("--results", type=Path, default=results)
    return parser


def announce(common: Mapping[str, object], methods: Mapping[str, Mapping[str, object]]) -> None:
    """Print the settings common to all runs, and those of each method."""
    for name, settings in {"settings of all": common, **methods}.items():
        print(f"{name}:", ", ".join(f"{key}={value}" for key, value in settings.items()), flush=True)


def text(value: object) -> str:
    """Return a value as text, a float with six digits."""
    return f"{value:.6g}" if isinstance(value, float) else str(value)
