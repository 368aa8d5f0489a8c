"""The files of `gio report`: tables as CSV, figures, and a page."""

import re
from collections.abc import Sequence
from hashlib import sha256
from pathlib import Path

from gio_pyro.plotting.returns import Bar, Line, lines, mean_returns
from gio_pyro.sweep.comparison import Band, Comparison, Method
from gio_pyro.sweep.page import page
from gio_pyro.sweep.results import Result
from gio_pyro.sweep.tables import methods_csv, pairs_csv, runs_csv
from gio_pyro.utils.files import write_file

PAGE = "report.html"
LONGEST_NAME = 60
LINES = {"curves": ("environment steps", "return"), "profiles": ("return", "share of runs above it")}
"""Kinds of figures with lines, and the labels of their axes."""


def write_report(folder: Path, title: str, results: Sequence[Result], comparisons: Sequence[Comparison]) -> Path:
    """Write `runs.csv`, `methods.csv`, `pairs.csv`, the figures and `report.html`; returns the path of the page.

    Args:
        folder: made where it is not there; files of an earlier report are replaced.
        title: of the page.
        results: the runs.
        comparisons: what is said about them.
    """
    folder.mkdir(parents=True, exist_ok=True)
    tables = {
        "runs.csv": runs_csv(results),
        "methods.csv": methods_csv(comparisons),
        "pairs.csv": pairs_csv(comparisons),
    }
    for name, text in tables.items():
        write_file(folder / name, text)
    names = _file_names([comparison.environment for comparison in comparisons])
    figures = {c.environment: _figures(folder, names[c.environment], c) for c in comparisons}
    write_file(folder / PAGE, page(title, results, comparisons, figures))
    return folder / PAGE


def _figures(folder: Path, name: str, comparison: Comparison) -> dict[str, Path]:
    """Draw the figures of an environment, whose names begin with `name`; returns their files by kind."""
    paths = {kind: folder / f"{name}-{kind}.png" for kind in ("means", *LINES)}
    bars = [Bar(m.name, m.iqm, m.low, m.high, m.all) for m in comparison.methods if len(m.all)]
    found: dict[str, Path] = {}
    if bars:
        mean_returns(paths["means"], bars, comparison.environment, "return")
        found["means"] = paths["means"]
    for kind, labels in LINES.items():
        drawn = [line for method in comparison.methods if (line := _line(method, kind))]
        if drawn:
            lines(paths[kind], drawn, comparison.environment, *labels, steps=kind == "profiles")
            found[kind] = paths[kind]
    return found


def _file_names(environments: Sequence[str]) -> dict[str, str]:
    """Return the beginning of the file names of each environment, with a digest where it would be long or taken."""
    names: dict[str, str] = {}
    for environment in environments:
        name = re.sub(r"[^\w.=-]+", "-", environment)
        if len(name) > LONGEST_NAME or name in names.values():
            name = f"{name[:LONGEST_NAME]}-{sha256(environment.encode()).hexdigest()[:8]}"
        names[environment] = name
    return names


def _line(method: Method, kind: str) -> Line | None:
    band: Band | None = method.curve if kind == "curves" else method.profile
    return None if band is None else Line(method.name, band.x, band.y, band.low, band.high)
