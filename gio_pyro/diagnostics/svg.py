"""Draw small figures as SVG inside an HTML page, in the page's own colours and fonts."""

from __future__ import annotations

import hashlib
import io
import re
from collections.abc import Iterator
from contextlib import contextmanager
from types import MappingProxyType
from typing import Any

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure

INK, MUTED, ACCENT, SECOND, LIMIT, PAGE = "#010101", "#020202", "#030303", "#040404", "#050505", "#060606"
"""Stand-ins for the colours of the page, which `svg` puts in their place."""
VARIABLES = MappingProxyType(
    {INK: "ink", MUTED: "muted", ACCENT: "accent", SECOND: "second", LIMIT: "limit", PAGE: "page"}
)
PIXELS = 110
"""Most pixels of the page for an inch of a figure; in a narrow page there are fewer."""
STYLE = MappingProxyType(
    {
        "axes.edgecolor": MUTED,
        "axes.facecolor": "none",
        "axes.labelcolor": INK,
        "axes.linewidth": 0.8,
        "axes.spines.right": False,
        "axes.spines.top": False,
        "axes.titlesize": 10,
        "font.size": 9,
        "svg.fonttype": "none",
        "svg.hashsalt": "gio_pyro",
        "text.color": INK,
        "xtick.color": MUTED,
        "xtick.labelcolor": INK,
        "ytick.color": MUTED,
        "ytick.labelcolor": INK,
    }
)


@contextmanager
def drawing(width: float, height: float) -> Iterator[Axes]:
    """Yield axes of a new figure, inches, with matplotlib's settings for pages while the block lasts."""
    settings: Any = dict(STYLE)
    with mpl.rc_context(settings):
        figure = Figure(figsize=(width, height), layout="constrained")
        FigureCanvasSVG(figure)
        yield figure.subplots()


def svg(axes: Axes) -> str:
    """Return the figure of axes as an `<svg>` element that shrinks with the page; call it inside `drawing`."""
    file = io.StringIO()
    figure = axes.get_figure()
    assert isinstance(figure, Figure)
    figure.savefig(file, format="svg", transparent=True, metadata={"Date": None})
    text = file.getvalue()
    text = text[text.index("<svg") :]
    text = re.sub(r"<metadata>.*?</metadata>", "", text, flags=re.DOTALL)
    text = re.sub(r' (xmlns|xmlns:xlink|width|height|version)="[^"]*"', "", text, count=5)
    text = re.sub(r' id="\w+_\d+"', "", text)
    digest = hashlib.sha256(text.encode()).hexdigest()[:8]
    text = re.sub(r'(?<=id=")|(?<="#)|(?<=url\(#)', f"{digest}-", text)  # figures of one page share no identifier
    text = re.sub(r"font: ([\d.]+px)[^;\"]*", r"font-size: \1", text)
    text = text.replace("<svg", f'<svg style="max-width: {figure.get_figwidth() * PIXELS:.0f}px"', 1)
    for colour, name in VARIABLES.items():
        text = text.replace(colour, f"var(--{name})")
    return text.strip()
