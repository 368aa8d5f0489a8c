import warnings
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
import torch

from gio_pyro import GIO
from gio_pyro.diagnostics import affordable, to_arviz
from gio_pyro.diagnostics.arviz_versions import arviz, has_data_tree, names_of_groups, pareto_k
from gio_pyro.diagnostics.inference_data import CHAINS
from gio_pyro.errors import InputError
from tests.agents import differences, untouched
from tests.environments import make

az = arviz()


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
            ("sample_stats", {"log_p", "log_q", "log_pi"}),
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
        for score in (data.sample_stats[name] for name in ("log_p", "log_q", "log_pi")):
            assert float(score.max()) <= 1e-6
            assert np.isfinite(score).all()

    def test_every_score_belongs_to_its_draw(self, agent: GIO, data: Any):
        table = agent.model.program.table.detach().log_softmax(-1).numpy()
        log_pi = agent.policy.log_pi.log_softmax(-1).numpy()
        state = data.constant_data["state"].values
        action = data.posterior["action"].values
        future = data.observed_data["future"].values
        np.testing.assert_allclose(data.sample_stats["log_p"], table[state, action, future], atol=1e-5)
        np.testing.assert_allclose(data.sample_stats["log_pi"], log_pi[state, action], atol=1e-5)

    def test_bayes_rule_holds_between_the_scores(self, data: Any):
        """log p + log π − log q is log p(F|s), whichever action was drawn: the guide is exact."""
        weight = data.sample_stats["log_p"] + data.sample_stats["log_pi"] - data.sample_stats["log_q"]
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


@pytest.fixture(scope="module")
def pendulum() -> GIO:
    return GIO("Pendulum-v1", hidden=(8,), learning_starts=20, batch_size=16).learn(80)


@pytest.fixture(scope="module")
def poles() -> GIO:
    return GIO("CartPole-v1", hidden=(8,), learning_starts=20, batch_size=16).learn(80)


class Seeing(gym.Env[Any, Any]):
    """Shows an image."""

    observation_space = gym.spaces.Box(0, 255, (8, 6, 3), dtype=np.uint8)
    action_space = gym.spaces.Discrete(2)

    def reset(self, *, seed: int | None = None, options: Any = None) -> tuple[Any, dict[str, Any]]:
        super().reset(seed=seed)
        return self.observation_space.sample(), {}

    def step(self, action: Any) -> tuple[Any, Any, bool, bool, dict[str, Any]]:
        return self.observation_space.sample(), 0.0, False, False, {}


class TestVectors:
    def test_values_have_dimensions_of_their_own(self, pendulum: GIO):
        data = to_arviz(pendulum, transitions=5, draws=7)
        lead, rows = ("chain", "draw"), ("transition",)
        assert data.posterior["action"].dims == data.prior["action"].dims == (*lead, *rows, "action_dim")
        assert data.posterior_predictive["future"].dims == (*lead, *rows, "future_dim")
        assert data.observed_data["future"].dims == (*rows, "future_dim")
        assert data.constant_data["state"].dims == (*rows, "state_dim")
        assert data.constant_data["action"].dims == (*rows, "action_dim")
        assert data.posterior_predictive["future"].shape == (CHAINS, 7, 5, 3)
        for score in ("log_p", "log_q", "log_pi"):
            assert data.sample_stats[score].dims == (*lead, *rows)

    def test_discrete_actions_beside_vectors_have_none(self, poles: GIO):
        data = to_arviz(poles, transitions=5, draws=7)
        assert data.posterior["action"].dims == ("chain", "draw", "transition")
        assert data.posterior_predictive["future"].shape == (CHAINS, 7, 5, 4)

    def test_images_have_three(self):
        agent = GIO(Seeing(), hidden=(4,), batch_size=8).learn(12)
        data = to_arviz(agent, transitions=2, draws=3)
        assert data.posterior_predictive["future"].dims[3:] == ("future_dim_0", "future_dim_1", "future_dim_2")
        assert data.observed_data["future"].shape == (2, 8, 6, 3)
        assert data.observed_data["future"].dtype == np.uint8

    def test_every_score_belongs_to_its_draw(self, pendulum: GIO):
        data = to_arviz(pendulum, transitions=4, draws=6)
        state = torch.as_tensor(data.constant_data["state"].values)
        future = torch.as_tensor(data.observed_data["future"].values)
        for chain, draw in ((0, 0), (2, 5)):
            action = torch.as_tensor(data.posterior["action"].values[chain, draw])
            with torch.no_grad():
                likelihood = pendulum.model.log_prob(pendulum.policy, state, action, future)
                log_q = pendulum.guide.log_prob(pendulum.policy, state, future, action)
                log_pi = pendulum.policy(state).log_prob(action)
            for score, expected in (
                (data.sample_stats["log_p"], likelihood),
                (data.sample_stats["log_q"], log_q),
                (data.sample_stats["log_pi"], log_pi),
            ):
                np.testing.assert_allclose(score.values[chain, draw], expected, rtol=1e-4, atol=1e-4)

    def test_numbers_are_named(self, pendulum: GIO, poles: GIO):
        data = to_arviz(pendulum, transitions=2, draws=3)
        for variable in (
            data.posterior_predictive["future"],
            data.observed_data["future"],
        ):
            assert variable["future_dim"].values.tolist() == ["cos θ", "sin θ", "θ̇"]
        assert data.constant_data["state_dim"].values.tolist() == ["cos θ", "sin θ", "θ̇"]
        assert data.posterior["action_dim"].values.tolist() == ["torque"]
        poles_data = to_arviz(poles, transitions=2, draws=3)
        assert poles_data.constant_data["state_dim"].values.tolist()[::2] == ["cart position", "pole angle"]

    @pytest.mark.filterwarnings("ignore:Passing a dict or None as alias_mapping")  # between arviz and matplotlib
    def test_they_go_to_a_file_and_plots_can_be_drawn(self, pendulum: GIO, tmp_path: Path):
        from matplotlib import use

        use("Agg")
        to_arviz(pendulum, transitions=8, draws=20).to_netcdf(str(tmp_path / "posterior.nc"))
        back = az.from_netcdf(str(tmp_path / "posterior.nc"))
        assert back.posterior_predictive["future_dim"].values.tolist() == ["cos θ", "sin θ", "θ̇"]
        assert set(az.summary(back, var_names=["action"]).index) == {f"action[{i}, torque]" for i in range(8)}
        assert az.plot_trace(back, var_names=["action"], coords={"transition": [0, 1]}) is not None
        draw = az.plot_ppc_dist if has_data_tree() else az.plot_ppc
        assert draw(back) is not None

    @pytest.mark.parametrize(
        ("shape", "transitions", "draws"), [((3,), 64, 250), ((151,), 64, 51), ((27_648,), 4, 10), ((10**6,), 4, 10)]
    )
    def test_files_stay_affordable(self, shape: tuple[int, ...], transitions: int, draws: int):
        space = gym.spaces.Box(-1, 1, shape)
        agent: Any = SimpleNamespace(spec=SimpleNamespace(state_space=space, future_space=space))
        assert affordable(agent) == (transitions, draws)

    def test_finite_futures_count_by_their_number(self):
        """Each draw has a probability for each of them on the way."""
        finite, many = gym.spaces.Discrete(16), gym.spaces.Discrete(16**4)
        agent: Any = SimpleNamespace(spec=SimpleNamespace(state_space=finite, future_space=finite))
        assert affordable(agent) == (64, 250)
        agent.spec.future_space = many
        assert np.prod(affordable(agent)) * 4 * 16**4 < 40_000_000


class TestManners:
    def test_the_agent_and_the_user_are_not_touched(self):
        watched, alone = (GIO("FrozenLake-v1", train_freq=50).learn(100) for _ in range(2))
        with untouched():
            to_arviz(watched, draws=5)
        assert not differences(watched.learn(50), alone.learn(50))

    def test_twice_gives_the_same(self, agent: GIO):
        first, second = (to_arviz(agent, transitions=5, draws=20) for _ in range(2))
        for group in names_of_groups(first):
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
        draw = az.plot_ppc_dist if has_data_tree() else az.plot_ppc
        assert draw(data) is not None

    @pytest.mark.parametrize("tail", [0.3, 0.9])
    def test_k_hat_is_the_shape_of_the_tail_with_its_sign(self, tail: float):
        """Ratios u^(−k) have a Pareto tail of shape k; their inverses have none."""
        log_ratio = -tail * np.log(np.random.default_rng(0).random(20_000))
        assert pareto_k(log_ratio) == pytest.approx(tail, abs=0.15)
        assert pareto_k(-log_ratio) < 0
        assert pareto_k(np.zeros(100)) == -np.inf

    def test_an_environment_without_a_spec_is_exported_too(self):
        assert to_arviz(GIO(make(), train_freq=50).learn(50), draws=5).posterior.sizes["transition"] == 64
