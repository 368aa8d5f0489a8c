"""The diagnosis of filters on an exact, an overconfident and an underconfident one."""

import numpy as np
import pytest
import torch

from gio_pyro import GIO
from gio_pyro.diagnostics import FILTER, Whiteness, diagnose, diagnose_filter, whiteness, words
from gio_pyro.diagnostics.evidence import judging
from gio_pyro.diagnostics.filter_evidence import episodes
from gio_pyro.diagnostics.html_report import page
from gio_pyro.diagnostics.whiteness import LAGS
from gio_pyro.errors import InputError
from tests.agents import untouched
from tests.diagnostics import filters

QUICK = {"transitions": 600, "draws": 48}


def failed(report) -> set[str]:
    return {verdict.kind for verdict in report.verdicts if not verdict.believed}


class TestLinear:
    def test_an_exact_filter_passes(self):
        report = diagnose_filter(filters.linear(), **QUICK)
        assert report.believed
        assert report.state is not None
        assert report.state.quantiles.shape == (sum(report.seen.quantiles.shape[:1]), 2)
        assert {verdict.kind for verdict in report.verdicts} == {
            "state_ranks",
            "state_spread",
            "seen_ranks",
            "coverage",
            "whiteness",
        }

    def test_one_with_twice_the_covariance_is_underconfident(self):
        report = diagnose_filter(filters.linear(2.0), **QUICK)
        assert {"state_ranks", "state_spread"} <= failed(report)
        assert report.state.leaning == "underconfident"

    def test_one_with_half_of_it_is_overconfident_and_leaves_correlated_innovations(self):
        report = diagnose_filter(filters.linear(0.5), **QUICK)
        assert failed(report) == {"state_ranks", "state_spread", "seen_ranks", "coverage", "whiteness"}
        assert report.state.leaning == report.seen.leaning == "overconfident"
        assert "rejects" in str(report.innovations)


class TestLake:
    def test_an_exact_filter_passes_and_others_are_told_apart(self):
        exact, sure, unsure = (
            diagnose_filter(filters.finite(power, is_slippery=True, accuracy=0.5), **QUICK) for power in (1.0, 4.0, 0.2)
        )
        assert exact.believed
        assert "state_spread" in failed(sure)
        assert sure.state.leaning == "overconfident"
        assert unsure.state.spread[0] < exact.state.spread[0] < sure.state.spread[0]


class TestWhiteness:
    def moving(self, weight: float, rows: int = 20, length: int = 200) -> Whiteness:
        """Of quantiles of a moving average, whose correlation is w / (1 + w²) at lag 1 and 0 beyond."""
        noise = torch.randn(rows, length + 1, 1, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
        value = (noise[:, 1:] + weight * noise[:, :-1]) / (1 + weight**2) ** 0.5
        return whiteness(torch.special.ndtr(value), torch.ones(rows, length, dtype=torch.bool))

    def test_correlations_are_those_of_a_known_process(self):
        found = self.moving(0.5)
        assert float(found.correlations[0, 0]) == pytest.approx(0.4, abs=0.04)
        assert np.abs(found.correlations[1:]).max() < 0.06
        assert float(found.p_value[0]) < 1e-6

    def test_independent_ones_pass(self):
        found = self.moving(0.0)
        assert float(found.p_value[0]) > 0.01
        assert float(found.excess[0]) < 0.02
        assert "does not reject" in str(found)

    def test_the_statistic_by_hand(self):
        """r = (0.1, 0, ...), n = 100: Q = 100 · 102 · 0.01 / 99."""
        correlations = np.zeros((LAGS, 1))
        correlations[0] = 0.1
        assert float(Whiteness(correlations, 100).statistic[0]) == pytest.approx(102 / 99)

    def test_instants_behind_the_end_do_not_count(self):
        noise = torch.rand(10, 50, 1, generator=torch.Generator().manual_seed(0))
        counted = torch.arange(50).expand(10, -1) < 30
        changed = noise.where(counted.unsqueeze(-1), 0.999)
        first, second = (whiteness(one, counted) for one in (noise, changed))
        np.testing.assert_allclose(first.correlations, second.correlations)


def test_the_states_that_were_hidden_belong_to_the_instants():
    agent = filters.linear()
    with judging(agent):
        played = episodes(agent, 300)
    error = played.hidden[..., 0] - torch.cat([played.piece.first.unsqueeze(1), played.piece.observation], 1)[..., 0]
    assert float(error[played.piece.counted(0)].std()) == pytest.approx(0.3, abs=0.05)


def test_nothing_is_changed_and_twice_is_the_same():
    agent = filters.finite()
    with untouched():
        first, second = (diagnose_filter(agent, transitions=60, draws=8) for _ in range(2))
    assert first.verdicts == second.verdicts


def test_states_of_a_learned_world_model_are_not_judged():
    agent = GIO("gio/Tiger-v0", world_model="FiniteStateSpace", hidden=(8,), compile=False)
    report = diagnose_filter(agent, transitions=100, draws=8)
    assert report.state is None
    assert "any renaming" in report.undefined
    assert {verdict.kind for verdict in report.verdicts} == {"seen_ranks", "coverage", "whiteness"}


def test_an_agent_that_sees_the_state_has_no_filter():
    agent = GIO("FrozenLake-v1", log_interval=10_000)
    with pytest.raises(InputError, match=r"^Expected an agent with a world model, but this one sees the state"):
        diagnose_filter(agent)


@pytest.mark.parametrize("known", [True, False])
def test_a_diagnosis_has_the_filter_and_its_page_a_section(known: bool):
    small = {"hidden": (8,), "compile": False, "learning_starts": 20, "batch_size": 8, "pieces": 2, "train_freq": 10}
    model = filters.known() if known else "GaussianStateSpace"
    agent = GIO("gio/LinearGaussian-v0", world_model=model, **small).learn(30)
    found = diagnose(agent, transitions=210, draws=16, tails=4, tail_draws=100, least_steps=0)
    assert len(found.about(FILTER)) == (5 if known else 3)
    text = page(agent, found, "page")
    assert FILTER in text
    undefined = "Calibration of its states is not defined"
    assert (undefined in words(found, FILTER)) == (undefined in text) == (not known)
    assert "Ljung and Box" in text
    assert text.count("What to try:") == sum(not verdict.believed for verdict in found.verdicts)
