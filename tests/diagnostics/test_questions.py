"""Every diagnostic on an exact, an overconfident and an underconfident program, whose values are known."""

from math import log, sqrt
from typing import Any

import gymnasium
import numpy as np
import pytest
import torch

from gio_pyro import GIO
from gio_pyro.diagnostics import (
    GUIDE,
    INFORMATION,
    MODEL,
    Bounds,
    Triples,
    Uniformity,
    bounds,
    diagnose,
    k_hats,
    quantiles,
    questions,
    require_experience,
    words,
)
from gio_pyro.diagnostics.evidence import imagined, judging, played
from gio_pyro.errors import InputError, TrainingError
from tests.agents import differences, untouched
from tests.diagnostics import linear

QUICK = {"transitions": 1_000, "draws": 128, "tails": 40, "tail_draws": 2_000, "least_steps": 0}


def figures(found: Any, question: str) -> list[Any]:
    return [verdict for verdict in found.verdicts if verdict.question == question]


def test_what_is_judged_is_played_in_the_given_environment():
    class Still(gymnasium.ActionWrapper):
        """Swings not, whatever is done."""

        def action(self, action: Any) -> Any:
            return np.zeros_like(action)

    agent = GIO("Pendulum-v1", hidden=(8,))
    env = gymnasium.make("Pendulum-v1")
    env.unwrapped.state = None
    given = played(agent, 40, Still(env))
    with judging(agent):
        own = played(agent, 40)
    assert given.state.shape == own.state.shape
    assert env.unwrapped.last_u == 0.0
    with pytest.raises(InputError, match="observation space that was learned with"):
        played(agent, 40, "CartPole-v1")


class TestUniformity:
    @pytest.mark.parametrize(
        ("power", "spread", "leaning"),
        [(1.0, 1.0, "even"), (0.5, 1.33, "overconfident"), (2.0, 0.67, "under")],
    )
    def test_quantiles_crowd_at_the_ends_or_in_the_middle(self, power: float, spread: float, leaning: str):
        """|u − ½| = ½ v^power, v uniform, has mean ½ / (1 + power), against ¼."""
        u = np.linspace(-1, 1, 20_001)
        found = Uniformity((0.5 + 0.5 * np.sign(u) * np.abs(u) ** power)[:, None])
        assert float(found.spread[0]) == pytest.approx(spread, abs=0.01)
        assert found.leaning.startswith(leaning)

    def test_nats_are_those_of_a_known_density(self):
        """Density 2u has KL log 2 − ½ from uniform."""
        u = np.sqrt(np.random.default_rng(0).random((200_000, 1)))
        assert float(Uniformity(u).nats[0]) == pytest.approx(log(2) - 0.5, abs=0.01)

    def test_uniform_numbers_have_none(self):
        found = Uniformity(np.random.default_rng(0).random((1_000, 4)))
        assert float(found.nats.max()) < 0.02
        assert float(found.p_value.min()) > 1e-3
        assert Uniformity(np.full((100, 1), 0.5)).nats[0] > 2

    @pytest.mark.parametrize("values", [3, 1_000_000])
    def test_the_quantile_of_one_draw_among_others_is_uniform_with_ties_too(self, values: int):
        g = torch.Generator().manual_seed(0)
        draws = torch.randint(values, (20, 50_000, 1), generator=g)
        with torch.random.fork_rng():
            torch.manual_seed(0)
            found = Uniformity(quantiles(draws[0], draws[1:]))
        assert float(found.nats[0]) < 1e-3


@pytest.fixture(scope="module")
def state() -> Any:
    agent = linear.agent()
    with judging(agent):
        return played(agent, 4_000).state


class TestGuide:
    def test_the_bounds_meet_at_the_truth(self, state: Any):
        agent = linear.agent()
        with judging(agent):
            found = bounds(agent, imagined(agent, state), 256)
        truth = linear.information(agent, state)
        assert float(found.lower.mean()) == pytest.approx(truth, abs=4 * found.lower.std() / sqrt(4_000))
        assert found.gap == pytest.approx(0.0, abs=0.01)

    @pytest.mark.parametrize("width", [0.5, 2.0])
    def test_the_bounds_bracket_the_truth_by_what_the_guide_loses(self, state: Any, width: float):
        agent = linear.agent(width)
        with judging(agent):
            found = bounds(agent, imagined(agent, state), 256)
        assert found.gap == pytest.approx(linear.loss_of_width(width), rel=0.1)
        truth = linear.information(agent, state)
        assert found.lower.mean() < truth < found.upper.mean() + 4 * found.upper.std() / sqrt(4_000)

    @pytest.mark.parametrize(("width", "least", "most"), [(1.0, -np.inf, 0.2), (0.5, 0.6, 1.0), (2.0, -np.inf, 0.2)])
    def test_k_hat_tells_a_guide_that_is_too_narrow(self, state: Any, width: float, least: float, most: float):
        """The ratio of N(0, 1) to N(0, ½²) has a tail of shape 1 − ½² = 0.75; of wider ones there is none."""
        agent = linear.agent(width)
        with judging(agent):
            dream = imagined(agent, state[:20])
            found = float(np.median(k_hats(agent, Triples(dream.state, dream.action, dream.future), 20_000)))
        assert least <= found <= most


class TestVerdicts:
    def test_exact_programs_are_believed(self):
        found = diagnose(linear.agent(), **QUICK)
        assert found.believed
        assert [v.question for v in found.verdicts] == [MODEL, GUIDE, GUIDE, GUIDE, GUIDE, INFORMATION]
        assert abs(figures(found, MODEL)[0].value) < 0.05
        assert float(found.model.nats.max()) < 0.05
        assert float(found.guide.nats.max()) < 0.05

    def test_an_overconfident_guide_is_not(self):
        found = diagnose(linear.agent(guide_width=0.5), **QUICK)
        assert not found.believed
        assert found.guide.leaning == "overconfident"
        assert [v.believed for v in figures(found, MODEL)] == [True]
        assert not any(v.believed for v in figures(found, GUIDE)[1:])

    def test_an_underconfident_guide_is_not(self):
        found = diagnose(linear.agent(guide_width=2.5), **QUICK)
        assert not found.believed
        assert found.guide.leaning == "underconfident"

    def test_an_overconfident_model_is_not(self):
        """Scales of half the size: a surprise of (1/¼ − 1) / 2 = 1.5 nats for each number, and too much is paid."""
        found = diagnose(linear.agent(model_width=0.5), **QUICK)
        assert [v.believed for v in figures(found, MODEL)] == [False]
        assert figures(found, MODEL)[0].value == pytest.approx(1.5, abs=0.2)
        assert found.model.leaning == "overconfident"
        assert all(v.believed for v in figures(found, GUIDE))
        assert [v.believed for v in figures(found, INFORMATION)] == [False]

    def test_an_underconfident_model_understates_and_is_believed(self):
        """Scales of twice the size: what happens is likelier than it says, by (1 − ¼) / 2 nats for each number."""
        found = diagnose(linear.agent(model_width=2.0), **QUICK)
        assert figures(found, MODEL)[0].value == pytest.approx(-0.375, abs=0.05)
        assert found.model.leaning == "underconfident"
        assert found.world.lower.mean() > found.imagined.lower.mean()
        assert found.believed

    @pytest.mark.slow
    def test_finite_worlds_are_judged_by_their_table_as_well(self):
        found = diagnose(
            GIO("FrozenLake-v1", temperature=0.1, log_interval=10_000, train_freq=2_000).learn(10_000), **QUICK
        )
        assert len(found.verdicts) == 5 + 3
        assert len(found.k_hats) == 0
        assert all(np.isfinite(v.value) for v in found.verdicts)

    @pytest.mark.slow
    def test_a_future_of_several_steps_is_judged_on_its_own(self):
        agent = GIO("FrozenLake-v1", future="StateAfter(2)", log_interval=10_000, train_freq=1_000).learn(4_000)
        assert all(np.isfinite(v.value) for v in diagnose(agent, **QUICK).verdicts)

    def test_an_agent_that_has_hardly_begun_cannot_be_judged(self):
        with pytest.raises(
            InputError, match=r"^Expected an agent that has learned from 1,000 steps at least, but this"
        ):
            diagnose(GIO("CartPole-v1", hidden=(8,)))
        require_experience(GIO("FrozenLake-v1"))

    def test_a_guide_that_ignores_the_future_cannot_be_judged(self):
        with pytest.raises(InputError, match=r"^Expected a guide that looks at the future, but UniformGuide does not"):
            diagnose(GIO("CartPole-v1", guide="UniformGuide", hidden=(8,)), least_steps=0)

    def test_nothing_is_changed_and_twice_is_the_same(self):
        watched, alone = (GIO("CartPole-v1", hidden=(8,), learning_starts=20, batch_size=8).learn(40) for _ in range(2))
        with untouched():
            first, second = (diagnose(watched, transitions=50, draws=8, least_steps=0) for _ in range(2))
        assert first.verdicts == second.verdicts
        assert not differences(watched.learn(20), alone.learn(20))

    @pytest.mark.parametrize(
        ("name", "value"), [("transitions", 9), ("draws", 1), ("tails", 0), ("tail_draws", 2.5), ("transitions", True)]
    )
    def test_numbers_out_of_range_are_told(self, name: str, value: Any):
        with pytest.raises(
            InputError, match=f"^Expected {name} to be a whole number of [0-9]+ at least, but got {value}"
        ):
            diagnose(linear.agent(), **{**QUICK, name: value})

    def test_nan_of_a_program_is_no_verdict(self):
        for program, name in (("model", "GaussianModel"), ("guide", "CategoricalNetworkGuide")):
            agent = GIO("CartPole-v1", hidden=(8,))
            for parameter in getattr(agent, program).parameters():
                parameter.data.fill_(torch.nan)
            with pytest.raises(
                TrainingError, match=f"^Expected log-probabilities from {name}, but got NaN for 50 of 50"
            ):
                diagnose(agent, transitions=50, draws=8, least_steps=0)

    def test_a_k_hat_that_is_nan_counts_against_the_guide(self):
        assert [v.believed for v in of_the_guide(np.full(10, np.nan)) if "k-hat" in v.figure] == [False]
        assert [v.believed for v in of_the_guide(np.full(10, 0.1)) if "k-hat" in v.figure] == [True]

    def test_a_guide_that_is_no_distribution_is_found_out(self):
        """Its log-density is 3 nats too high everywhere: it is paid for what nobody controls."""
        found = diagnose(linear.agent(guide_extra=3.0), **QUICK)
        assert found.overpaid
        assert [v.believed for v in figures(found, INFORMATION)] == [False]
        assert "does not integrate to 1" in words(found, GUIDE)
        assert "not a bound on information" in words(found, INFORMATION)

    @pytest.mark.slow
    def test_what_is_believed_is_a_lower_bound_and_a_small_one_says_so(self):
        found = diagnose(linear.agent(), **QUICK)
        assert found.conclusion == "believe the mutual information"
        assert found.remark == f"It is at least {min(found.imagined.lower.mean(), found.world.lower.mean()):.2g} nats."
        agent = GIO("FrozenLake-v1", guide="BayesGuide", log_interval=10_000, train_freq=2_000).learn(20_000)
        small = diagnose(agent, **QUICK)
        assert ("That is little" in small.remark) == small.believed
        wrong = diagnose(linear.agent(guide_width=0.5), **QUICK)
        assert (wrong.conclusion, wrong.remark) == ("do not believe the mutual information", "")

    def test_the_words_name_every_figure_that_fails(self):
        found = diagnose(GIO("FrozenLake-v1", log_interval=10_000).learn(500), **QUICK)
        assert not found.believed
        failed = [v for v in figures(found, MODEL)[1:] if not v.believed]
        assert failed
        assert all(v.figure in words(found, MODEL) for v in failed)
        assert any("k-hat" in v.figure for v in of_the_guide(np.full(10, 2.0)))


def of_the_guide(tail: np.ndarray) -> tuple[Any, ...]:
    both = Bounds(np.ones(10), np.ones(10))
    return questions._of_the_guide(Uniformity(np.linspace(0.01, 0.99, 100)[:, None]), tail, both)
