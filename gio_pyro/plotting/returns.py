"""Draw the returns of several methods with their intervals: means, learning curves, performance profiles."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from gio_pyro.plotting.plots import save

COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000", "#999999")
"""Of Okabe and Ito, told apart by most readers."""
MOST_LINES = len(COLOURS)
MOST_BARS = 40
DPI = 110
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
    for row, bar in enumerate(shown):
        colour = _colour(row)
        axes.plot(bar.each, np.full(len(bar.each), row), "o", color=colour, alpha=0.25, markersize=4, linewidth=0)
        if np.isfinite([bar.low, bar.high]).all():
            axes.plot([bar.low, bar.high], [row, row], color=colour, linewidth=6, alpha=0.45, solid_capstyle="butt")
        axes.plot([bar.middle], [row], "|", color=colour, markersize=14, markeredgewidth=2.5)
    axes.set_yticks(range(len(shown)), [_short(bar.name) for bar in shown], fontsize=8)
    axes.set(ylim=(len(shown) - 0.4, -0.6), xlabel=label)
    axes.set_title(_rest(title, len(bars), len(shown)), fontsize=9)
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
    legend = 0.18 * (1 + (len(shown) + 1) // 2)
    height = 3.4 + legend
    figure = Figure(figsize=(7, height), dpi=DPI)
    axes: Axes = figure.add_axes((0.11, (0.5 + legend) / height, 0.86, 1 - (0.8 + legend) / height))
    for row, line in enumerate(shown):
        step = {"drawstyle": "steps-post"} if steps else {}
        axes.plot(line.x, line.y, color=_colour(row), label=_short(line.name), linewidth=1.6, **step)  # type: ignore[arg-type]
        filled = {"step": "post"} if steps else {}
        axes.fill_between(line.x, line.low, line.high, color=_colour(row), alpha=0.18, linewidth=0, **filled)  # type: ignore[arg-type]
    axes.set(xlabel=x_label, ylabel=y_label)
    axes.xaxis.set_major_locator(MaxNLocator(6))
    axes.set_title(_rest(title, len(drawn), len(shown)), fontsize=9)
    axes.legend(
        frameon=False, fontsize=7, loc="upper center", bbox_to_anchor=(0.5, -0.42 / (height - 0.8 - legend)), ncols=2
    )
    _plain(axes)
    axes.grid(color="0.92")
    save(figure, path)


def _plain(axes: Axes) -> None:
    axes.spines[["top", "right"]].set_visible(False)
    axes.set_axisbelow(True)


def _colour(row: int) -> str:
    return COLOURS[row % len(COLOURS)]


def _short(name: str) -> str:
    return name if len(name) <= LONGEST else f"{name[: LONGEST - 3]}..."


def _rest(title: str, every: int, shown: int) -> str:
    return title if every == shown else f"{title}; the first {shown} of {every} methods"
