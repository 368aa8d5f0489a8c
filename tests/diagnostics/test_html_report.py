"""The page of `gio diagnose`, its figures, and what it advises."""

import re
from html.parser import HTMLParser
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from gymnasium.spaces import Box, Discrete

from gio_pyro import GIO
from gio_pyro.diagnostics import Bounds, Diagnosis, Uniformity, Verdict, diagnose, questions
from gio_pyro.diagnostics.advice import MEANING, advice
from gio_pyro.diagnostics.dimension_names import action_names, future_names, observation_names
from gio_pyro.diagnostics.html_report import page
from gio_pyro.diagnostics.words import notes
from tests.diagnostics import linear


class Balanced(HTMLParser):
    """Checks that elements are closed in order."""

    VOID = ("meta", "path", "use", "br", "rect", "clippath", "circle", "line")

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag not in self.VOID:
            assert self.open.pop() == tag


@pytest.fixture(scope="module")
def pendulum() -> tuple[GIO, Diagnosis]:
    agent = GIO("Pendulum-v1", hidden=(8,), learning_starts=20, batch_size=16).learn(60)
    return agent, diagnose(agent, transitions=60, draws=16, tails=8, tail_draws=100, least_steps=0)


def test_a_page_needs_nothing_else_and_names_what_it_shows(pendulum: tuple[GIO, Diagnosis]):
    text = page(*pendulum, "Diagnosis of <b>mine</b>")
    parser = Balanced()
    parser.feed(text)
    assert parser.open == []
    assert "<b>mine" not in text
    assert "http" not in text
    assert "width=device-width" in text
    assert "prefers-color-scheme: dark" in text
    assert all(f">{name}: " in text for name in ("cos θ", "sin θ", "θ̇"))
    assert ">torque<" in text
    assert not re.search(r"#0[0-9]0[0-9]0[0-9]", text)  # every stand-in has become a colour of the page
    identifiers = re.findall(r' id="([^"]+)"', text)
    assert len(identifiers) == len(set(identifiers))
    assert text == page(*pendulum, "Diagnosis of <b>mine</b>")


def test_every_figure_is_explained_and_each_that_fails_says_what_to_try(pendulum: tuple[GIO, Diagnosis]):
    agent, found = pendulum
    text = page(agent, found, "page")
    failed = [verdict for verdict in found.verdicts if not verdict.believed]
    assert failed
    assert text.count("What to try:") == len(failed)
    assert all(verdict.limit.startswith("at most") and verdict.limit in text for verdict in found.verdicts)
    assert {verdict.kind for verdict in found.verdicts} <= set(MEANING)


@pytest.mark.parametrize("value", [-10.0, 10.0, float("nan")])
@pytest.mark.parametrize("finite", [False, True])
@pytest.mark.parametrize("kind", MEANING)
def test_advice_fits_the_spaces_and_names_what_there_is(kind: str, finite: bool, value: float):
    space = Discrete(2) if finite else Box(-1, 1, (2,))
    spec: Any = SimpleNamespace(action_space=space, future_space=space)
    hint = advice(Verdict("?", "figure", value, 0.1, kind=kind), spec)
    assert hint
    assert not ({"MixtureGuide", "MixtureModel"} if finite else {"BayesGuide", "DirichletModel"}) & set(hint.split())
    assert advice(Verdict("?", "figure", 0.0, 0.1, kind=kind), spec) == ""


def test_bounds_that_cross_and_negative_ones_are_explained():
    def found(imagined: tuple[float, float], world: tuple[float, float]) -> list[str]:
        noise = np.random.default_rng(0).normal(size=100)
        both = [Bounds(low + noise, high + noise) for low, high in (imagined, world)]
        even = Uniformity(np.linspace(0.01, 0.99, 99)[:, None])
        return notes(Diagnosis((), even, even, np.empty(0), *both, (0,)))

    assert found((1.0, 2.0), (1.0, 2.0)) == []
    (crossed,) = found((1.01, 1.0), (1.0, 2.0))
    assert "cross by 0.010 nats" in crossed
    assert "within chance" in crossed
    (outside,) = found((1.0, 2.0), (2.0, 1.5))
    assert "only the lower one counts" in outside
    (negative,) = found((-0.5, 1.0), (0.1, 1.0))
    assert "never negative" in negative


def test_a_finite_world_has_one_panel_a_question():
    agent = GIO("FrozenLake-v1", log_interval=10_000).learn(500)
    found = diagnose(agent, transitions=60, draws=16, least_steps=0)
    assert page(agent, found, "page").count("<svg") == 3 + 2  # and the two programs


class TestNames:
    @pytest.mark.parametrize(
        ("env", "first", "action"),
        [
            ("Pendulum-v1", "cos θ", "torque"),
            ("CartPole-v1", "cart position", "action"),
            ("Acrobot-v1", "cos θ₁", "action"),
            ("MountainCar-v0", "position", "action"),
            ("MountainCarContinuous-v0", "position", "force"),
        ],
    )
    def test_classic_tasks_have_the_names_of_their_documentation(self, env: str, first: str, action: str):
        agent = GIO(env, hidden=(8,))
        assert observation_names(agent)[0] == future_names(agent)[0] == first
        assert len(observation_names(agent)) == agent.spec.state_space.shape[0]  # type: ignore[index]
        assert action_names(agent) == (action,)

    @pytest.mark.parametrize(
        ("future", "names"),
        [
            ("NextStateAndReward", ("cos θ", "sin θ", "θ̇", "reward")),
            ("StateAfter(2)", ("cos θ", "sin θ", "θ̇")),
            ("Return(3)", ("return",)),
            ("Trajectory(2)", tuple(f"{name} (t+{step})" for step in (1, 2) for name in ("cos θ", "sin θ", "θ̇"))),
        ],
    )
    def test_futures_have_the_names_of_what_they_hold(self, future: str, names: tuple[str, ...]):
        assert future_names(GIO("Pendulum-v1", future=future, hidden=(8,))) == names

    def test_other_numbers_are_counted(self):
        agent = linear.agent()
        assert observation_names(agent) == tuple(f"observation[{i}]" for i in range(len(observation_names(agent))))
        assert observation_names(GIO("FrozenLake-v1")) == ("observation",)


def test_limits_are_the_ones_that_are_judged():
    assert questions.SURPRISE == 0.1
    assert Verdict("?", "figure", -5.0, 0.1, one_sided=True).limit == "at most 0.1 nats"
    assert Verdict("?", "figure", -5.0, 0.1, unit="").limit == "at most 0.1, either sign"
