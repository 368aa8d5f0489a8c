"""The diagnosis of a run as one HTML page that needs nothing else: words, figures with their thresholds, pictures."""

from __future__ import annotations

import base64
import html
import io
import math
import warnings
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from gio_pyro.diagnostics import GUIDE, INFORMATION, K_HAT, MODEL, Diagnosis, Uniformity, Verdict, to_arviz, words
from gio_pyro.diagnostics.inference_data import arviz
from gio_pyro.diagnostics.uniformity import BINS

if TYPE_CHECKING:
    from gio_pyro.agent import GIO

SHOWN = 6
"""Numbers of a future that have a picture of their own."""
STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; color: #222; max-width: 60rem; margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.6rem; } h2 { font-size: 1.2rem; margin-top: 2.5rem; border-top: 1px solid #ddd; padding-top: 1.5rem; }
table { border-collapse: collapse; margin: 1rem 0; } td, th { text-align: left; padding: .25rem 1rem .25rem 0; }
td.number { text-align: right; font-variant-numeric: tabular-nums; }
.yes { color: #1a7f37; } .no { color: #b3261e; } .verdict { font-weight: 600; }
img { max-width: 100%; } figure { margin: 1rem 0; } figcaption { color: #555; font-size: .9rem; }
"""


def page(agent: GIO, diagnosis: Diagnosis, title: str) -> str:
    """Return the page as text."""
    body = [f"<h1>{html.escape(title)}</h1>", _summary(agent, diagnosis)]
    pictures = {MODEL: _of_the_model, GUIDE: _of_the_guide, INFORMATION: _of_the_information}
    for question, draw in pictures.items():
        body += [f"<h2>{question}</h2>", f"<p>{_answer(diagnosis, question)}</p>", _table(diagnosis.about(question))]
        body += [_picture(figure, caption) for figure, caption in draw(agent, diagnosis)]
    head = f"<meta charset='utf-8'><title>{html.escape(title)}</title><style>{STYLE}</style>"
    return f"<!doctype html><html lang='en'><head>{head}</head><body>{''.join(body)}</body></html>\n"


def _answer(diagnosis: Diagnosis, question: str) -> str:
    believed = all(verdict.believed for verdict in diagnosis.about(question))
    start = "<span class='verdict yes'>Yes.</span>" if believed else "<span class='verdict no'>No.</span>"
    return f"{start} {html.escape(words(diagnosis, question))}"


def _summary(agent: GIO, diagnosis: Diagnosis) -> str:
    kind = "yes" if diagnosis.believed else "no"
    env = agent.env.spec.id if agent.env.spec else str(agent.env)
    about = f"{env}, {agent.steps:,} steps; model {agent.model.name}, guide {agent.guide.name}, future {agent.future}"
    return (
        f"<p>{html.escape(about)}. Judged on {len(diagnosis.world.lower):,} transitions of its policy that it has not "
        f"learned from, and as many that its model imagines.</p><p class='verdict {kind}'>Verdict: "
        f"{diagnosis.conclusion} of this run. {diagnosis.remark}</p><p>"
        "Thresholds are sizes of effects: any model is wrong by a little, "
        "and given enough samples a test rejects it. A model or a guide that says less than it could pays less than "
        "there is: what is believed is a lower bound.</p>"
    )


def _table(verdicts: Sequence[Verdict]) -> str:
    rows = "".join(
        f"<tr><td class='{'yes' if v.believed else 'no'}'>{'yes' if v.believed else 'no'}</td>"
        f"<td>{html.escape(v.figure)}</td><td class='number'>{v.value:+.4f} {v.unit}</td>"
        f"<td class='number'>{'at most ' if v.one_sided else 'within ±'}{v.threshold:g}</td></tr>"
        for v in verdicts
    )
    return f"<table><tr><th></th><th>figure</th><th>found</th><th>threshold</th></tr>{rows}</table>"


def _picture(figure: Figure, caption: str) -> str:
    file = io.BytesIO()
    FigureCanvasAgg(figure).print_png(file)
    data = base64.b64encode(file.getvalue()).decode()
    alt = html.escape(caption)
    return f"<figure><img alt='{alt}' src='data:image/png;base64,{data}'><figcaption>{alt}</figcaption></figure>"


def _of_the_model(agent: GIO, diagnosis: Diagnosis) -> Iterator[tuple[Figure, str]]:
    names = [f"number {number} of F" for number in diagnosis.numbers]
    yield (
        _quantiles(diagnosis.model, names),
        "Quantiles of what happened in what the model says. They are leave-one-out: the transitions are fresh. Flat is "
        "right, a hill is too wide a model, a bowl too narrow a one; between the dotted lines is chance.",
    )
    if agent.spec.future_space.shape is not None and len(agent.spec.future_space.shape) == 1:
        yield (
            _predictive(agent),
            "Posterior predictive check of each number of F (arviz): observed in replay (black), drawn from the model "
            "at the guide's actions (blue), and the mean of the draws (orange).",
        )


def _of_the_guide(agent: GIO, diagnosis: Diagnosis) -> Iterator[tuple[Figure, str]]:
    names = [f"number {number} of the action" for number in range(diagnosis.guide.quantiles.shape[1])]
    yield (
        _quantiles(diagnosis.guide, names),
        "Ranks of the true action among draws of the guide (simulation-based calibration). A bowl is an overconfident "
        "guide, a hill an underconfident one, a slope a shifted one.",
    )
    if len(diagnosis.k_hats):
        yield (
            _tails(diagnosis.k_hats),
            f"PSIS k-hat of the guide's draws at {len(diagnosis.k_hats)} futures, in order; above the line they miss "
            "part of the posterior.",
        )


def _of_the_information(agent: GIO, diagnosis: Diagnosis) -> Iterator[tuple[Figure, str]]:
    yield (
        _bracket(diagnosis),
        "Mutual information between its bounds, with two standard errors. Imagined: under the model's own futures. "
        "World: on what really happened; the lower bound holds whatever the model, the upper one is the model's.",
    )


def _quantiles(ranks: Uniformity, names: list[str]) -> Figure:
    shown = min(len(names), SHOWN)
    columns = min(shown, 3)
    rows = math.ceil(shown / columns)
    figure = Figure(figsize=(3.2 * columns, 2.2 * rows), layout="constrained", dpi=110)
    axes = np.atleast_1d(figure.subplots(rows, columns, sharey=True)).ravel()
    chance = 2 * math.sqrt((BINS - 1) / len(ranks.quantiles))
    worst = np.argsort(-ranks.nats)[:shown]
    for place, number in zip(axes, sorted(worst), strict=False):
        place.hist(ranks.quantiles[:, number], BINS, range=(0, 1), density=True, color="C0")
        for height, style in ((1 - chance, ":"), (1.0, "-"), (1 + chance, ":")):
            place.axhline(height, color="0.3", linewidth=0.8, linestyle=style)
        place.set_title(f"{names[number]}: {ranks.nats[number]:.2f} nats", fontsize=9)
        place.set(xlim=(0, 1), yticks=[0, 1])
    for place in axes[shown:]:
        place.remove()
    figure.supxlabel("quantile", fontsize=9)
    figure.supylabel("density", fontsize=9)
    return figure


def _predictive(agent: GIO) -> Figure:
    """Draw arviz's posterior predictive check of each number of F, in its own axes."""
    data = to_arviz(agent)
    shown = min(int(agent.spec.future_space.shape[0]), 3)  # type: ignore[index]
    figure = Figure(figsize=(3.2 * shown, 2.6), layout="constrained", dpi=110)
    axes: Any = np.atleast_1d(figure.subplots(1, shown))
    FigureCanvasAgg(figure)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # arviz speaks to matplotlib of another age
        for number, place in enumerate(axes):
            arviz().plot_ppc(
                data,
                coords={"future_dim": [number]},
                ax=place,
                num_pp_samples=40,
                random_seed=0,
                textsize=8,
                legend=False,
            )
            place.set_title(f"number {number} of F", fontsize=9)
            place.set_xlabel("")
    return figure


def _tails(k_hats: np.ndarray) -> Figure:
    figure = Figure(figsize=(6.4, 2.4), layout="constrained", dpi=110)
    axes = figure.subplots()
    finite = np.sort(np.maximum(k_hats, -1.0))
    axes.plot(np.arange(len(finite)), finite, ".", color="C0")
    axes.axhline(K_HAT, color="C3", linewidth=0.8)
    axes.set(xlabel="futures, by k-hat", ylabel="k-hat (−1 and below as −1)")
    return figure


def _bracket(diagnosis: Diagnosis) -> Figure:
    figure = Figure(figsize=(6.4, 1.8), layout="constrained", dpi=110)
    axes = figure.subplots()
    for row, both in enumerate((diagnosis.imagined, diagnosis.world)):
        ends = both.lower.mean(), both.upper.mean()
        errors = [2 * side.std() / math.sqrt(len(side)) for side in (both.lower, both.upper)]
        axes.plot(ends, (row, row), color="C0", linewidth=6, alpha=0.35, solid_capstyle="butt")
        axes.errorbar(ends, (row, row), xerr=errors, fmt="|", color="C0", markersize=14, capsize=3)
    axes.set(yticks=(0, 1), yticklabels=("imagined", "world"), ylim=(-0.6, 1.6), xlabel="mutual information (nats)")
    axes.tick_params(axis="y", length=0)
    for side in ("left", "right", "top"):
        axes.spines[side].set_visible(False)
    return figure
