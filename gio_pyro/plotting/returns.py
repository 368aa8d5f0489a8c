"""Draw the returns of several methods with their intervals: means, learning curves, performance profiles."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.collections import PolyCollection
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator

from gio_pyro.plotting.plots import save

COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000", "#999999")
"""Of Okabe and Ito, told apart by most readers."""
MOST_LINES = len(COLOURS)
MOST_BARS = 40
DPI = 110
KEY_ROW = 0.18
"""Height of a row of the key, inches."""
LONGEST = 48
"""Characters of a method's name in a figure."""


@dataclass(frozen=True)
class Bar:
    """A number with its interval, and the numbers that it is made of."""

    name: str
    middle: float
    low: float
    high: float
    each: np.ndarray


@dataclass(frozen=True)
class Line:
    """A line with its interval, `[K]` each."""

    name: str
    x: np.ndarray
    y: np.ndarray
    low: np.ndarray
    high: np.ndarray


def mean_returns(path: Path, bars: Sequence[Bar], title: str, label: str) -> None:
    """Draw interquartile means with their intervals, a row for each method, the first on top; a dot is a run.

    Args:
        path: the PNG file.
        bars: the methods, of which the first `MOST_BARS` are drawn.
        title: of the figure.
        label: of the axis.
    """
    shown = bars[:MOST_BARS]
    height = 1 + 0.32 * len(shown)
    left = 0.03 + 0.0105 * max(len(_short(bar.name)) for bar in shown)
    figure = Figure(figsize=(7, height), dpi=DPI)
    axes: Axes = figure.add_axes((left, 0.5 / height, 0.97 - left, 1 - 0.8 / height))
    rows, colours = np.arange(len(shown)), [_colour(row) for row in range(len(shown))]
    of = np.repeat(rows, [len(bar.each) for bar in shown])  # the row of each run
    runs = np.concatenate([bar.each for bar in shown])
    axes.scatter(runs, of, 25, [colours[row] for row in of], alpha=0.25, linewidths=0)
    axes.hlines(rows, [bar.low for bar in shown], [bar.high for bar in shown], colours, linewidth=6, alpha=0.45)
    axes.scatter([bar.middle for bar in shown], rows, 196, colours, marker="|", linewidths=2.5)
    axes.set_yticks(rows, [_short(bar.name) for bar in shown], fontsize=8)
    axes.set(ylim=(len(shown) - 0.4, -0.6))
    _labels(axes, height - 0.8, label)
    _title(axes, title, len(bars), len(shown))
    _plain(axes)
    axes.grid(axis="x", color="0.92")
    save(figure, path)


def lines(path: Path, drawn: Sequence[Line], title: str, x_label: str, y_label: str, *, steps: bool = False) -> None:
    """Draw lines with their intervals as bands.

    Args:
        path: the PNG file.
        drawn: the methods, of which the first `MOST_LINES` are drawn.
        title: of the figure.
        x_label: of the horizontal axis.
        y_label: of the vertical axis.
        steps: whether the lines are steps.
    """
    shown = drawn[:MOST_LINES]
    rows = (len(shown) + 1) // 2
    key = KEY_ROW * (1 + rows)
    height = 3.4 + key
    figure = Figure(figsize=(7, height), dpi=DPI)
    axes: Axes = figure.add_axes((0.11, (0.5 + key) / height, 0.86, 1 - (0.8 + key) / height))
    style = "steps-post" if steps else "default"
    for row, line in enumerate(shown):
        axes.plot(line.x, line.y, color=_colour(row), linewidth=1.6, drawstyle=style)
    bounded = {row: _outline(line, steps) for row, line in enumerate(shown) if np.isfinite(line.low).all()}
    colours = [_colour(row) for row in bounded]
    axes.add_collection(PolyCollection([*bounded.values()], facecolors=colours, alpha=0.18, linewidths=0))
    _labels(axes, height - 0.8 - key, x_label, y_label)
    axes.xaxis.set_major_locator(MaxNLocator(6))
    axes.yaxis.set_major_locator(MaxNLocator(5))
    _title(axes, title, len(drawn), len(shown))
    _key(figure, [line.name for line in shown], rows, height)
    _plain(axes)
    axes.grid(color="0.92")
    save(figure, path)


def _outline(line: Line, steps: bool) -> np.ndarray:
    """Return the corners `[., 2]` of the band of a line."""
    x, low, high = line.x, line.low, line.high
    if steps:
        x, low, high = np.repeat(x, 2)[1:], np.repeat(low, 2)[:-1], np.repeat(high, 2)[:-1]
    return np.concatenate([np.stack([x, low], 1), np.stack([x, high], 1)[::-1]])


def _key(figure: Figure, names: Sequence[str], rows: int, height: float) -> None:
    """Write the names of lines in two columns at the bottom, each behind its colour; `legend` takes twice as long."""
    for number, name in enumerate(names):
        x, y = 0.05 + 0.48 * (number // rows), KEY_ROW * (rows - number % rows - 0.1) / height
        figure.add_artist(Line2D([x, x + 0.03], [y, y], color=_colour(number), linewidth=1.6))
        figure.text(x + 0.035, y, _short(name), fontsize=7, verticalalignment="center_baseline")


def _plain(axes: Axes) -> None:
    axes.spines[["top", "right"]].set_visible(False)
    axes.set_axisbelow(True)


def _colour(row: int) -> str:
    return COLOURS[row % len(COLOURS)]


def _short(name: str) -> str:
    return name if len(name) <= LONGEST else f"{name[: LONGEST - 3]}..."


def _title(axes: Axes, title: str, every: int, shown: int) -> None:
    """Set the title at a fixed height: to look for a free one, Matplotlib would lay out all ticks once more."""
    rest = "" if every == shown else f"; the first {shown} of {every} methods"
    axes.set_title(f"{title}{rest}", fontsize=9, y=1.0)


def _labels(axes: Axes, inside: float, x: str, y: str = "") -> None:
    """Set labels at fixed places, for the same reason; `inside` is the height of the axes, inches."""
    axes.set(xlabel=x, ylabel=y)
    axes.xaxis.set_label_coords(0.5, -0.27 / inside)
    axes.yaxis.set_label_coords(-0.085, 0.5)
