"""`gio report`: read runs, compare their returns, print the tables and write the report."""

import sys
from collections.abc import Sequence
from pathlib import Path

from gio_pyro.cli.report_files import write_report
from gio_pyro.errors import InputError
from gio_pyro.sweep.comparison import compare
from gio_pyro.sweep.results import read_results, repeated
from gio_pyro.sweep.tables import text_tables

OWN = "report"
"""The folder of a report, inside that of the runs."""


def report(
    paths: Sequence[Path], by: Sequence[str], against: str | None, scales: Sequence[str], out: Path | None
) -> int:
    """Compare the returns of runs; returns the exit status."""
    if not paths:
        raise InputError("Expected FOLDER after gio report, but got none; give run folders, or those of sweeps.")
    for path in paths:
        if not path.exists():
            raise InputError(f"Expected a folder at {path}, but there is none; give one of gio train or gio sweep.")
    if out is None and (len(paths) > 1 or paths[0].is_file()):
        raise InputError("Expected --out beside several folders or tables, but got none; name a folder for the report.")
    target = paths[0] / OWN if out is None else out
    if target.exists() and not target.is_dir():
        raise InputError(f"Expected a folder for the report, but {target} is a file; name another with --out.")
    results = read_results(paths, [name.replace("-", "_") for name in by])
    comparisons = compare(results, against, dict(map(_scale, scales)))
    print(text_tables(comparisons))
    if same := repeated(results):
        print(
            f"Note: {same} runs have the environment, method and seed of another one, and count as well.",
            file=sys.stderr,
        )
    title = f"Returns of {', '.join(path.name for path in paths)}"
    print(f"\npage: {write_report(target, title, results, comparisons)}")
    return 0


def _scale(text: str) -> tuple[str, tuple[float, float]]:
    name, _, bounds = text.rpartition("=")
    low, _, high = bounds.partition(":")
    try:
        found = float(low), float(high)
    except ValueError:
        found = (0.0, 0.0)
    if not name or not abs(found[1] - found[0]) > 0:
        raise InputError(f"Expected --scale ENV=LOW:HIGH, but got {text!r}; give the returns that count as 0 and as 1.")
    return name, found
