"""The section of the page of `gio diagnose` on the filter of a world model."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np

from gio_pyro.diagnostics.dimension_names import seen_names
from gio_pyro.diagnostics.filter_questions import CORRELATED
from gio_pyro.diagnostics.page_parts import Group
from gio_pyro.diagnostics.questions import Diagnosis
from gio_pyro.diagnostics.report_figures import MOST_PANELS, rank_histograms
from gio_pyro.diagnostics.svg import ACCENT, INK, LIMIT, MUTED, drawing, svg
from gio_pyro.diagnostics.whiteness import LAGS, Whiteness

if TYPE_CHECKING:
    from gio_pyro.agent import GIO


def of_the_filter(agent: GIO, diagnosis: Diagnosis) -> Iterator[Group]:
    """Yield the figures on the filter."""
    report = diagnosis.filter
    assert report is not None
    names = [seen_names(agent)[number] for number in report.numbers]
    if report.state is not None:
        count = report.state.quantiles.shape[1]
        yield Group(
            rank_histograms(report.state, ["state"] if count == 1 else [f"state[{i}]" for i in range(count)]),
            "Rank of the true hidden state among draws of the filter, on fresh episodes. A bowl means an overconfident "
            "filter, a hill an underconfident one, a slope a shifted one; the grey band is chance.",
        )
    yield Group(
        rank_histograms(report.seen, names),
        "Rank of each observation among one-step predictions of the world model from the belief before it. Flat is "
        "right, a hill means predictions that are too wide, a bowl ones that are too narrow.",
    )
    yield Group(
        correlations(report.innovations, names),
        f"Correlation of innovations by their distance in steps. Innovations of a correct filter are independent: bars "
        f"stay in the grey band of chance. The dotted lines are the limit {CORRELATED:g} of their root mean square.",
    )


def correlations(found: Whiteness, names: list[str]) -> list[str]:
    """Return the serial correlations of each dimension, those of the `MOST_PANELS` worst."""
    worst = sorted(np.argsort(-found.excess)[:MOST_PANELS])
    return [_correlations(found.correlations[:, i], 2 / math.sqrt(found.count), names[i]) for i in worst]


def _correlations(values: np.ndarray, chance: float, name: str) -> str:
    with drawing(3.0, 2.1) as axes:
        axes.axhspan(-chance, chance, color=MUTED, alpha=0.25, linewidth=0)
        axes.bar(np.arange(1, LAGS + 1), values, color=ACCENT, width=0.5)
        axes.axhline(0, color=INK, linewidth=0.8)
        for limit in (-CORRELATED, CORRELATED):
            axes.axhline(limit, color=LIMIT, linewidth=0.8, linestyle=":")
        most = max(0.2, 1.05 * float(np.abs(values).max()))
        axes.set(ylim=(-most, most), title=name, xlabel="steps apart", ylabel="correlation")
        return svg(axes)
