"""The figures of the page of `gio diagnose`, each an `<svg>` element."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
from matplotlib.axes import Axes

from gio_pyro.diagnostics.bounds import Bounds
from gio_pyro.diagnostics.questions import K_HAT, Diagnosis
from gio_pyro.diagnostics.svg import ACCENT, INK, LIMIT, MUTED, SECOND, drawing, svg
from gio_pyro.diagnostics.uniformity import BINS, Uniformity

MOST_PANELS = 6
"""Dimensions that have a panel of their own: those that are farthest from uniform."""
PREDICTIVE_BINS = 24
LOWEST_K_HAT = -1.0


def rank_histograms(ranks: Uniformity, names: Sequence[str]) -> list[str]:
    """Return the histogram of the ranks of each dimension, at most `MOST_PANELS` of them.

    Args:
        ranks: quantiles `[N, D]`.
        names: of the D dimensions.
    """
    worst = np.argsort(-ranks.nats)[:MOST_PANELS]
    title = "{}" if len(names) == 1 else "{}: {:.2f} nats"
    return [_ranks(ranks.quantiles[:, i], title.format(names[i], ranks.nats[i])) for i in sorted(worst)]


def _ranks(quantiles: np.ndarray, title: str) -> str:
    chance = 2 * math.sqrt((BINS - 1) / len(quantiles))
    with drawing(3.0, 2.1) as axes:
        heights, edges = np.histogram(quantiles, BINS, range=(0, 1), density=True)
        axes.axhspan(max(1 - chance, 0), 1 + chance, color=MUTED, alpha=0.25, linewidth=0)
        axes.stairs(heights, edges, fill=True, color=ACCENT, alpha=0.75)
        axes.axhline(1, color=INK, linewidth=0.8)
        axes.set(xlim=(0, 1), ylim=(0, max(2.0, 1.05 * heights.max())), title=title)
        axes.set_xticks((0, 0.5, 1), ("0\nbelow all draws", "0.5", "1\nabove all draws"))
        first, _, last = axes.get_xticklabels()
        first.set_horizontalalignment("left")
        last.set_horizontalalignment("right")
        axes.set_ylabel("density")
        return svg(axes)


def predictive_checks(observed: np.ndarray, drawn: np.ndarray, names: Sequence[str]) -> list[str]:
    """Return for each dimension the histogram of observed futures over those of replications by the model.

    Args:
        observed: `[N, D]`.
        drawn: `[M, N, D]`, M replications.
        names: of the D dimensions.
    """
    shown = range(min(len(names), MOST_PANELS))
    return [_predictive(observed[:, i], drawn[..., i], names[i]) for i in shown]


def _predictive(observed: np.ndarray, drawn: np.ndarray, name: str) -> str:
    both = np.concatenate([observed, np.quantile(drawn, (0.001, 0.999))])
    low, high = float(both.min()), float(both.max())
    edges = np.linspace(low, high if high > low else low + 1, PREDICTIVE_BINS + 1)
    shares = np.stack([np.histogram(row, edges)[0] for row in drawn]) / len(observed)
    bottom, top = np.quantile(shares, (0.05, 0.95), axis=0)
    with drawing(3.0, 2.1) as axes:
        axes.stairs(top, edges, baseline=bottom, fill=True, color=SECOND, alpha=0.45, linewidth=0)
        axes.stairs(np.histogram(observed, edges)[0] / len(observed), edges, color=INK, linewidth=1.4)
        axes.set(xlim=(edges[0], edges[-1]), ylim=(0, None), title=name, ylabel="share of transitions")
        axes.locator_params(nbins=4)
        return svg(axes)


def k_hat_plot(k_hats: np.ndarray) -> str:
    """Return k-hat of every future `[N]`, in order, with its limit; `LOWEST_K_HAT` and below share a place."""
    order = np.sort(np.maximum(k_hats, LOWEST_K_HAT))
    with drawing(4.2, 2.3) as axes:
        above = ~(order <= K_HAT)
        rows = np.arange(1, len(order) + 1)
        axes.plot(rows[~above], order[~above], ".", color=ACCENT)
        axes.plot(rows[above], order[above], "x", color=LIMIT, markersize=5)
        axes.axhline(K_HAT, color=LIMIT, linewidth=1)
        axes.text(1, K_HAT, f"limit {K_HAT}", color=LIMIT, va="bottom")
        axes.set(xlabel="futures, sorted", ylabel="k-hat", ylim=(LOWEST_K_HAT - 0.1, None))
        axes.set_yticks((-1, -0.5, 0, 0.5, 1), ("≤ −1", "−0.5", "0", "0.5", "1"))
        return svg(axes)


def bounds_plot(diagnosis: Diagnosis) -> str:
    """Return the lower and the upper bound of the information, under the model and in the environment."""
    with drawing(4.2, 2.2) as axes:
        for row, (name, both) in enumerate((("environment", diagnosis.world), ("model's futures", diagnosis.imagined))):
            _interval(axes, row, name, both)
        axes.axvline(0, color=MUTED, linewidth=0.8)
        axes.set(yticks=(), ylim=(-0.5, 1.75), xlabel="mutual information (nats)")
        axes.spines["left"].set_visible(False)
        return svg(axes)


def _interval(axes: Axes, row: int, name: str, both: Bounds) -> None:
    ends = [float(both.lower.mean()), float(both.upper.mean())]
    errors = [2 * side.std() / math.sqrt(len(side)) for side in (both.lower, both.upper)]
    axes.plot(ends, (row, row), color=ACCENT, linewidth=7, alpha=0.35, solid_capstyle="butt")
    for end, error, marker, colour in zip(ends, errors, (">", "<"), (ACCENT, SECOND), strict=True):
        axes.errorbar(end, row, xerr=error, fmt=marker, color=colour, markersize=6, capsize=3)
    axes.annotate(
        f"{name}: lower {ends[0]:.2f}, upper {ends[1]:.2f}", (min(ends), row + 0.22), va="bottom", ha="left", fontsize=9
    )
