"""The diagnosis of a run as one HTML page without external files: answers, figures with their limits, what to try."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import TYPE_CHECKING

from gio_pyro.diagnostics import FILTER, GUIDE, INFORMATION, MODEL, Diagnosis, to_arviz, words
from gio_pyro.diagnostics.advice import MEANING, advice
from gio_pyro.diagnostics.dimension_names import action_names, future_names
from gio_pyro.diagnostics.filter_figures import of_the_filter
from gio_pyro.diagnostics.leave_one_out import note
from gio_pyro.diagnostics.page_parts import Group, Question
from gio_pyro.diagnostics.program_graphs import program_graphs
from gio_pyro.diagnostics.report_figures import bounds_plot, k_hat_plot, predictive_checks, rank_histograms
from gio_pyro.diagnostics.words import notes
from gio_pyro.utils.pages import rendered

if TYPE_CHECKING:
    from gio_pyro.agent import GIO

TEMPLATE = "diagnosis.html"


def page(agent: GIO, diagnosis: Diagnosis, title: str) -> str:
    """Return the page as text.

    Args:
        agent: the agent that was judged.
        diagnosis: the result of `diagnose`.
        title: of the page.
    """
    return rendered(
        "gio_pyro.diagnostics",
        TEMPLATE,
        title=title,
        believed=diagnosis.believed,
        conclusion=diagnosis.conclusion,
        remark=diagnosis.remark,
        about=_about(agent, diagnosis),
        programs=_programs(agent),
        questions=list(_questions(agent, diagnosis)),
        meaning=MEANING,
        advice=partial(advice, spec=agent.spec),
    )


def _about(agent: GIO, diagnosis: Diagnosis) -> list[tuple[str, str]]:
    count = len(diagnosis.world.lower)
    return [
        ("environment", agent.env.spec.id if agent.env.spec else str(agent.env)),
        ("trained for", f"{agent.steps:,} environment steps"),
        ("model", agent.model.name),
        ("guide", agent.guide.name),
        *((kind.replace("_", " "), name) for kind, name in agent.beliefs.names.items()),
        ("future", str(agent.future)),
        ("judged on", f"{count:,} fresh environment transitions, and {count:,} that the model imagines"),
    ]


def _programs(agent: GIO) -> Group:
    panels, missing = program_graphs(agent)
    caption = (
        "Sites of the programs, with arrows to those whose distribution depends on them. Grey ones are observed; a "
        "frame is a plate, with one value for each example."
    )
    absent = f" Pyro cannot follow the values inside {' and '.join(missing)}, which is not drawn." if missing else ""
    return Group(panels, (caption if panels else "") + absent)


def _questions(agent: GIO, diagnosis: Diagnosis) -> Iterator[Question]:
    groups = {MODEL: _of_the_model, GUIDE: _of_the_guide, INFORMATION: _of_the_information}
    if diagnosis.filter is not None:
        groups[FILTER] = of_the_filter
    remarks = {MODEL: [note(agent)], INFORMATION: notes(diagnosis)}
    for question, draw in groups.items():
        verdicts, answer = diagnosis.about(question), words(diagnosis, question)
        yield Question(question, answer, verdicts, list(draw(agent, diagnosis)), remarks.get(question, []))


def _of_the_model(agent: GIO, diagnosis: Diagnosis) -> Iterator[Group]:
    names = [future_names(agent)[number] for number in diagnosis.numbers]
    yield Group(
        rank_histograms(diagnosis.model, names),
        "Rank of each observed future among draws of the model, on transitions that it was not trained on, and the "
        "divergence from uniform. Flat is right, a hill means that the model is too wide, a bowl that it is too "
        "narrow; the grey band is chance.",
    )
    shape = agent.spec.future_space.shape
    if shape is not None and len(shape) == 1:
        data = to_arviz(agent)
        drawn = data.posterior_predictive["future"].values
        yield Group(
            predictive_checks(data.observed_data["future"].values, drawn.reshape(-1, *drawn.shape[2:]), names),
            "Posterior predictive check on replayed transitions: observed futures (line), and 90 % of the replications "
            "that the model draws at actions of the guide (orange band).",
        )


def _of_the_guide(agent: GIO, diagnosis: Diagnosis) -> Iterator[Group]:
    yield Group(
        rank_histograms(diagnosis.guide, action_names(agent)),
        "Rank of the true action among draws of the guide (simulation-based calibration), on the model's own futures. "
        "A bowl means an overconfident guide, a hill an underconfident one, a slope a shifted one; the grey band is "
        "chance.",
    )
    if len(diagnosis.k_hats):
        yield Group(
            [k_hat_plot(diagnosis.k_hats)],
            f"PSIS k-hat of the guide at {len(diagnosis.k_hats)} futures (Vehtari et al., 2024). Crosses above the "
            "line are futures where the guide misses part of the posterior. Values below −1, where there is no tail at "
            "all, are drawn at −1.",
        )


def _of_the_information(agent: GIO, diagnosis: Diagnosis) -> Iterator[Group]:
    yield Group(
        [bounds_plot(diagnosis)],
        "Lower bound (▸), which the guide is paid, and upper bound (◂) of the mutual information, with two standard "
        "errors. Model's futures: what the agent learns from. Environment: transitions that really happened; the lower "
        "bound holds there whatever the model, the upper one only under the model.",
    )
