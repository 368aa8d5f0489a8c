import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from gio_pyro import GIO
from gio_pyro.diagnostics import to_arviz
from gio_pyro.diagnostics.inference_data import CHAINS, _arviz
from gio_pyro.errors import InputError
from tests.agents import differences, untouched
from tests.environments import make

az = _arviz()


@pytest.fixture(scope="module")
def agent() -> GIO:
    return GIO("FrozenLake-v1", guide="BayesGuide", train_freq=100).learn(600)


@pytest.fixture(scope="module")
def data(agent: GIO) -> Any:
    return to_arviz(agent, transitions=12, draws=200)


class TestShape:
    @pytest.mark.parametrize(
        ("group", "variables"),
        [
            ("posterior", {"action"}),
            ("prior", {"action"}),
            ("posterior_predictive", {"future"}),
            ("log_likelihood", {"future"}),
            ("sample_stats", {"log_q", "log_pi"}),
        ],
    )
    def test_draws_have_chain_draw_and_transition(self, data: Any, group: str, variables: set[str]):
        assert set(data[group].data_vars) == variables
        for variable in variables:
            assert data[group][variable].dims == ("chain", "draw", "transition")
            assert data[group][variable].shape == (CHAINS, 200, 12)

    def test_data_have_the_transition_only(self, data: Any):
        assert set(data.observed_data.data_vars) == {"future"}
        assert set(data.constant_data.data_vars) == {"state", "action"}
        assert data.observed_data["future"].dims == data.constant_data["state"].dims == ("transition",)

    def test_the_library_is_named(self, data: Any):
        assert data.attrs["inference_library"] == "gio_pyro"

    @pytest.mark.parametrize("wrong", [{"transitions": 0}, {"draws": 0}, {"transitions": -1}], ids=repr)
    def test_fewer_than_one_is_refused(self, agent: GIO, wrong: dict[str, int]):
        with pytest.raises(InputError, match="at least 1"):
            to_arviz(agent, **wrong)

    def test_one_transition_and_one_draw_are_enough(self, agent: GIO):
        assert to_arviz(agent, transitions=1, draws=1).posterior["action"].shape == (CHAINS, 1, 1)

    def test_an_empty_replay_is_refused(self):
        with pytest.raises(InputError, match="learn first"):
            to_arviz(GIO("FrozenLake-v1"))


class TestContent:
    def test_actions_and_futures_are_in_their_spaces(self, data: Any):
        assert set(np.unique(data.posterior["action"])) <= set(range(4))
        assert set(np.unique(data.posterior_predictive["future"])) <= set(range(16))

    def test_scores_are_log_probabilities(self, data: Any):
        for score in (data.log_likelihood["future"], data.sample_stats["log_q"], data.sample_stats["log_pi"]):
            assert float(score.max()) <= 1e-6
            assert np.isfinite(score).all()

    def test_every_score_belongs_to_its_draw(self, agent: GIO, data: Any):
        table = agent.model.program.table.detach().log_softmax(-1).numpy()
        log_pi = agent.policy.log_pi.log_softmax(-1).numpy()
        state = data.constant_data["state"].values
        action = data.posterior["action"].values
        future = data.observed_data["future"].values
        np.testing.assert_allclose(data.log_likelihood["future"], table[state, action, future], atol=1e-5)
        np.testing.assert_allclose(data.sample_stats["log_pi"], log_pi[state, action], atol=1e-5)

    def test_bayes_rule_holds_between_the_scores(self, data: Any):
        """log p + log π − log q is log p(F|s), whichever action was drawn: the guide is exact."""
        weight = data.log_likelihood["future"] + data.sample_stats["log_pi"] - data.sample_stats["log_q"]
        assert float((weight.max(["chain", "draw"]) - weight.min(["chain", "draw"])).max()) < 1e-4

    def test_data_are_transitions_of_replay(self, agent: GIO, data: Any):
        rows = agent.replay.all()
        stored = set(zip(rows.state.tolist(), rows.action.tolist(), rows.next_state.tolist(), strict=True))
        columns = (data.constant_data["state"], data.constant_data["action"], data.observed_data["future"])
        assert set(zip(*(column.values.tolist() for column in columns), strict=True)) <= stored

    def test_the_prior_does_not_follow_the_posterior(self, data: Any):
        assert (data.prior["action"].values != data.posterior["action"].values).any()

    def test_predicted_futures_are_drawn_and_not_the_observed_ones(self, data: Any):
        assert (data.posterior_predictive["future"] != data.observed_data["future"]).any()


class TestManners:
    def test_the_agent_and_the_user_are_not_touched(self):
        watched, alone = (GIO("FrozenLake-v1", train_freq=50).learn(100) for _ in range(2))
        with untouched():
            to_arviz(watched, draws=5)
        assert not differences(watched.learn(50), alone.learn(50))

    def test_twice_gives_the_same(self, agent: GIO):
        first, second = (to_arviz(agent, transitions=5, draws=20) for _ in range(2))
        for group in first.groups():
            assert first[group].equals(second[group])

    def test_there_are_no_warnings(self, agent: GIO):
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            to_arviz(agent, transitions=3, draws=5)


class TestArviz:
    def test_it_goes_to_a_file_and_back(self, data: Any, tmp_path: Path):
        data.to_netcdf(str(tmp_path / "posterior.nc"))
        back = az.from_netcdf(str(tmp_path / "posterior.nc"))
        assert back.posterior.equals(data.posterior)

    def test_chains_are_independent_draws(self, data: Any):
        log_q = data.sample_stats["log_q"]
        varied = np.flatnonzero(log_q.std(["chain", "draw"]) > 1e-3)
        assert len(varied)
        assert float(az.rhat(log_q.isel(transition=varied).to_dataset())["log_q"].median()) < 1.05

    def test_a_predictive_plot_can_be_drawn(self, data: Any):
        from matplotlib import use

        use("Agg")
        axes = az.plot_ppc(data, num_pp_samples=5, random_seed=0)
        assert axes is not None

    def test_an_environment_without_a_spec_is_exported_too(self):
        assert to_arviz(GIO(make(), train_freq=50).learn(50), draws=5).posterior.sizes["transition"] == 64
