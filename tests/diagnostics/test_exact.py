import math
from typing import Any

import gymnasium
import pytest
import torch

from gio_pyro import GIO, diagnostics, tabular
from gio_pyro.diagnostics import ExactReport, compare_with_exact, exact_world, fitted_channel, judge, policy_table
from gio_pyro.errors import InputError
from tests.agents import differences
from tests.environments import corridor_table, make

REPORT = {
    "return_uniform": 1.0,
    "return_learned": 2.5,
    "return_optimal": 3.0,
    "return_regularised": 2.9,
    "information_learned": 0.4,
    "information_model": 0.5,
    "information_exact": 0.45,
    "model_error": 0.01,
}


def corridor(**kwargs: Any) -> GIO:
    table = {name: kwargs[name] for name in ("endless",) if name in kwargs}
    return GIO(make(table=corridor_table(**table), **kwargs), train_freq=100, temperature=0.1)


def perfect(guide: str = "BayesGuide") -> GIO:
    """An agent whose model is the world: the table of logits is set to the transition probabilities."""
    agent = GIO(gymnasium.make("FrozenLake-v1"), guide=guide, train_freq=100, temperature=0.1).learn(300)
    world = exact_world(agent)
    with torch.no_grad():
        agent.model.program.table.copy_(world.transition.clamp_min(1e-20).log())
    return agent


class TestReport:
    def test_share_of_the_gap_is_worked_by_hand(self):
        assert ExactReport(**REPORT).share_of_gap == pytest.approx(0.75)

    def test_amortisation_gap_is_worked_by_hand(self):
        assert ExactReport(**REPORT).amortisation_gap == pytest.approx(0.1)

    def test_no_way_to_go_is_no_error(self):
        same = ExactReport(**{**REPORT, "return_optimal": 1.0, "return_learned": 1.0})
        assert math.isnan(same.share_of_gap) or same.share_of_gap == 1


class TestCompare:
    def test_a_perfect_model_and_guide_have_no_gaps(self):
        report = compare_with_exact(perfect())
        assert report.model_error == pytest.approx(0, abs=1e-6)
        assert report.amortisation_gap == pytest.approx(0, abs=1e-5)
        assert report.information_learned == pytest.approx(report.information_exact, abs=1e-5)
        assert report.information_model == pytest.approx(report.information_exact, abs=1e-6)
        assert all(verdict.believed for verdict in judge(report))

    def test_a_guide_that_ignores_the_future_is_another_method_and_not_a_bad_posterior(self):
        report = compare_with_exact(perfect("UniformGuide"))
        assert not report.guide_sees_future
        assert [v.question for v in judge(report)] == ["Is the model right?", "Is the mutual information right?"]
        assert judge(report)[1].value == report.information_model - report.information_exact

    def test_a_uniform_model_has_no_information_and_a_large_error(self):
        report = compare_with_exact(GIO("FrozenLake-v1", guide="BayesGuide"))
        assert report.information_model == pytest.approx(0, abs=1e-9)
        assert report.model_error == pytest.approx(math.log(16) - math.log(3), abs=0.3)

    def test_an_overconfident_guide_is_told_apart(self):
        """The guide is set to be sure of one action: what it pays falls, it cannot rise above the bound."""
        agent = perfect("CategoricalGuide")
        with torch.no_grad():
            agent.guide.program.table.zero_()[..., 0] = 8.0
        report = compare_with_exact(agent)
        assert report.amortisation_gap > 0.02
        assert not judge(report)[1].believed
        assert not judge(report)[1].believed
        assert not judge(report)[2].believed

    def test_before_learning_the_policy_is_the_uniform_one(self):
        report = compare_with_exact(GIO("FrozenLake-v1"))
        assert report.return_learned == pytest.approx(report.return_uniform, abs=1e-6)
        assert report.share_of_gap == pytest.approx(0, abs=1e-6)

    def test_returns_are_those_of_played_episodes(self):
        agent = GIO("FrozenLake-v1", train_freq=200).learn(600)
        played = agent.evaluate(100)
        assert abs(played.mean - compare_with_exact(agent).return_learned) < 4 * played.standard_error + 0.05

    def test_a_corridor_is_worked_by_hand(self):
        report = compare_with_exact(corridor())
        assert report.return_optimal == pytest.approx(-3)
        assert -20 < report.return_uniform < -8
        assert report.return_regularised == pytest.approx(-3, abs=0.5)

    def test_a_limit_of_ones_own_wrapper_counts(self):
        agent = GIO(gymnasium.make("CliffWalking-v1", max_episode_steps=10))
        assert compare_with_exact(agent).return_optimal == pytest.approx(-10)

    def test_returns_are_bracketed(self):
        report = compare_with_exact(GIO("FrozenLake-v1", train_freq=200).learn(1_000))
        assert 0 <= report.return_learned <= report.return_optimal
        assert report.return_regularised <= report.return_optimal + 1e-9

    def test_it_does_not_change_the_agent(self):
        agent = GIO("FrozenLake-v1", train_freq=50).learn(100)
        compare_with_exact(agent)
        assert not differences(agent.learn(50), GIO("FrozenLake-v1", train_freq=50).learn(100).learn(50))

    def test_twice_gives_the_same(self):
        agent = GIO("Taxi-v4", train_freq=50).learn(50)
        assert fitted_channel(agent, torch.arange(3)).equal(fitted_channel(agent, torch.arange(3)))
        assert agent.intrinsic_reward(torch.arange(500)).equal(agent.intrinsic_reward(torch.arange(500)))

    def test_a_world_without_a_table_is_an_input_error(self):
        agent = GIO(make())
        assert exact_world(agent) is None
        with pytest.raises(InputError, match="transition table"):
            compare_with_exact(agent)

    def test_a_world_without_end_is_judged_or_refused_in_words(self):
        agent = corridor(endless=True, limit=None)
        with pytest.raises(InputError, match="Expected"):
            compare_with_exact(agent)

    def test_a_table_without_a_start_is_read(self):
        env = make(table=corridor_table())
        del env.unwrapped.initial_state_distrib
        assert exact_world(GIO(env)).terminal.tolist() == [False, False, False, True]

    def test_a_world_that_starts_counting_elsewhere_is_judged_all_the_same(self):
        report = compare_with_exact(corridor(first=5))
        assert report == compare_with_exact(corridor())
        assert report.return_optimal == pytest.approx(-3)


class TestTables:
    def test_the_policy_is_a_distribution_in_double_precision(self):
        pi = policy_table(GIO("FrozenLake-v1", train_freq=50).learn(100))
        assert pi.dtype == torch.float64
        assert pi.shape == (16, 4)
        torch.testing.assert_close(pi.sum(-1), torch.ones(16, dtype=torch.float64), rtol=0, atol=1e-12)

    def test_the_fitted_channel_is_the_models(self):
        agent = GIO("FrozenLake-v1", train_freq=50).learn(100)
        channel = fitted_channel(agent, torch.arange(16))
        expected = torch.softmax(agent.model.program.table.detach().double(), -1)
        torch.testing.assert_close(channel, expected, rtol=0, atol=1e-6)
        assert not channel.requires_grad

    def test_some_states_can_be_asked_for_in_any_order(self):
        agent = GIO("FrozenLake-v1", train_freq=50).learn(100)
        some = torch.tensor([7, 2, 7])
        torch.testing.assert_close(fitted_channel(agent, some), fitted_channel(agent, torch.arange(16))[some])

    def test_the_world_is_the_environments_with_the_agents_discount(self):
        world = exact_world(GIO("FrozenLake-v1", discount=0.5))
        expected = tabular.TabularMDP.from_env(gymnasium.make("FrozenLake-v1"), discount=0.5)
        assert world.transition.equal(expected.transition)
        assert world.discount == 0.5


class TestVerdict:
    @pytest.mark.parametrize(
        ("change", "believed"),
        [
            ({}, [True, False, False]),
            ({"information_learned": 0.49, "information_exact": 0.48}, [True, True, True]),
            ({"information_learned": 0.49, "information_exact": 0.48, "model_error": 0.06}, [False, True, True]),
            ({"information_learned": 0.49, "information_exact": 0.60}, [True, True, False]),
            ({"information_model": float("nan")}, [True, False, False]),
            ({"model_error": float("nan")}, [False, False, False]),
            ({"model_error": float("inf")}, [False, False, False]),
        ],
    )
    def test_each_question_is_answered_on_its_own_number(self, change: dict[str, float], believed: list[bool]):
        assert [verdict.believed for verdict in judge(ExactReport(**{**REPORT, **change}))] == believed

    def test_a_question_comes_with_its_number_and_threshold(self):
        for verdict in diagnostics.judge(ExactReport(**REPORT)):
            assert verdict.question.endswith("?")
            assert verdict.threshold > 0
            assert verdict.figure


def test_a_report_prints_as_a_table():
    report = ExactReport(0.25, 0.5, 1.0, 0.75, 0.125, 0.25, 0.3, 0.01)
    lines = str(report).splitlines()
    assert {line[:46].strip() != "" and line[46:48] for line in lines} == {"  "}
    assert lines[1].endswith("0.5000   (33.3% of the way to the optimum)")
    assert lines[7].split() == ["amortisation", "gap", "0.1250", "nats"]
    blind = str(ExactReport(0.0, 0.0, 0.0, 0.0, 0.1, 0.0, 0.0, 0.0, guide_sees_future=False))
    assert "intrinsic reward, from the guide, which ignores the future  0.1000 nats" in blind
    assert "of the way" not in blind
