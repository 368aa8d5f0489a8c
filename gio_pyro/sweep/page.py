"""A comparison as one HTML page without external files."""

import base64
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType

from gio_pyro.sweep.comparison import Comparison
from gio_pyro.sweep.results import Result
from gio_pyro.sweep.tables import HEADER, cells, reference_text
from gio_pyro.utils.pages import rendered

TEMPLATE = "report.html"
CAPTIONS = MappingProxyType(
    {
        "means": "Interquartile mean of the returns of the runs, with its 95 % interval; a dot is a run.",
        "curves": "Interquartile mean of the returns while training, with its 95 % interval at each step.",
        "profiles": "Performance profile: the share of runs with a return above the one on the axis, with its 95 % "
        "interval at each point.",
    }
)


def page(
    title: str,
    results: Sequence[Result],
    comparisons: Sequence[Comparison],
    figures: Mapping[str, Mapping[str, Path]],
) -> str:
    """Return the page as text.

    Args:
        title: of the page.
        results: the runs.
        comparisons: what is said about them.
        figures: PNG files by environment and kind, which are put into the page.
    """
    pictures = {
        environment: {kind: base64.b64encode(path.read_bytes()).decode() for kind, path in files.items()}
        for environment, files in figures.items()
    }
    return rendered(
        "gio_pyro.sweep",
        TEMPLATE,
        title=title,
        about=_about(results),
        header=HEADER,
        sections=[(c, [cells(method, c) for method in c.methods], reference_text(c)) for c in comparisons],
        pictures=pictures,
        captions=CAPTIONS,
    )


def _about(results: Sequence[Result]) -> list[tuple[str, str]]:
    without = sum(result.score != result.score for result in results)
    rows = [
        ("runs", str(len(results))),
        ("methods", str(len({result.method for result in results}))),
        ("environments", str(len({result.environment for result in results}))),
    ]
    return [*rows, ("runs without a return", str(without))] if without else rows
