"""Leave-one-out against closed forms: conjugate regression, a Dirichlet posterior, and the tails of a latent action."""

import warnings
from math import exp
from typing import Any

import numpy as np
import pytest
import torch

from gio_pyro import GIO
from gio_pyro.diagnostics import Triples, leave_one_out, reference_posterior, to_arviz
from gio_pyro.diagnostics.arviz_versions import arviz, has_data_tree, pareto_k
from gio_pyro.diagnostics.evidence import imagined, judging, played
from gio_pyro.diagnostics.leave_one_out import note, scored
from gio_pyro.diagnostics.weight_draws import weight_log_likelihood
from gio_pyro.errors import InputError
from tests.agents import differences, untouched
from tests.diagnostics import linear

az = arviz()
SMALL = {"hidden": (8,), "learning_starts": 20, "batch_size": 16}


def pointwise(found: Any) -> np.ndarray:
    values: np.ndarray = (found.elpd_i if has_data_tree() else found.loo_i).values
    return values


def test_the_mean_of_normal_numbers_has_its_closed_form():
    """y ~ N(w, 1) with a flat prior: leaving one out of n gives N(mean of the others, 1 + 1 / (n − 1))."""
    rng = np.random.default_rng(0)
    y = rng.normal(size=20)
    w = y.mean() + rng.normal(size=20_000) / np.sqrt(20)
    found = scored(-0.5 * (y - w[:, None]) ** 2 - 0.5 * np.log(2 * np.pi))
    others, variance = (y.sum() - y) / 19, 1 + 1 / 19
    expected = -0.5 * (y - others) ** 2 / variance - 0.5 * np.log(2 * np.pi * variance)
    assert pointwise(found) == pytest.approx(expected, abs=0.02)
    assert float(found["pareto_k"].max()) < 0.5
    assert float(found["p" if has_data_tree() else "p_loo"]) == pytest.approx(1.0, abs=0.3)


@pytest.fixture(scope="module")
def lake() -> GIO:
    return GIO("FrozenLake-v1", model="DirichletModel", train_freq=100, seed=0).learn(600)


def test_counts_have_their_closed_form(lake: GIO):
    """Without one of n observations of a row, n_F of them the same, p(F) = (n_F − 1 + α) / (n − 1 + F α)."""
    rows = lake.replay.all()[:300]
    with judging(lake):
        triples = Triples(rows.state, rows.action, rows.next_state)
        found = scored(weight_log_likelihood(lake, triples, 1_500).double().numpy())
    counts = lake.model.program.counts
    total, own = counts.sum(-1)[rows.state, rows.action], counts[rows.state, rows.action, rows.next_state]
    expected = ((own - 1 + 1 / 16) / (total - 1 + 1)).log().numpy()
    often = (own > 10).numpy()
    assert often.sum() > 20
    assert np.abs(pointwise(found) - expected)[often].max() < 0.03
    assert (found["pareto_k"].values[often] < 0.7).all()


def test_arviz_reads_the_exported_likelihoods(lake: GIO):
    data = to_arviz(lake, transitions=8, draws=100)
    assert data.log_likelihood["future"].dims == ("chain", "draw", "transition")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # a transition that was seen once has no stable score
        found = az.loo(data, **({} if has_data_tree() else {"reff": 1.0}))
    assert found.n_data_points == 8
    assert np.isfinite(found.elpd if has_data_tree() else found.elpd_loo)


@pytest.mark.filterwarnings("ignore:The inplace keyword")  # between arviz and pandas
def test_models_with_several_settings_of_their_weights_are_compared():
    agents = {name: GIO("Pendulum-v1", model=name, **SMALL).learn(60) for name in ("BayesianModel", "EnsembleModel")}
    found = {name: leave_one_out(agent, transitions=30, draws=200) for name, agent in agents.items()}
    assert set(az.compare(found).index) == set(agents)
    assert (found["EnsembleModel"]["pareto_k"] == -np.inf).all()
    assert "k-hat is above 0.7 for" in note(agents["BayesianModel"])


def test_one_setting_of_the_weights_is_refused():
    agent = GIO("Pendulum-v1", **SMALL).learn(30)
    with pytest.raises(InputError, match="with a posterior over its weights, but"):
        leave_one_out(agent)
    assert "is not defined for this model" in note(agent)
    data = to_arviz(agent, transitions=2, draws=5)
    assert not hasattr(data, "log_likelihood")


@pytest.mark.parametrize("width", [1.0, 0.5])
def test_a_latent_action_has_the_tail_that_its_information_says(width: float):
    """k = (1 − e^(−2I)) width² for one action; of two independent ones the larger."""
    agent = linear.agent(width)
    with judging(agent):
        rows = imagined(agent, played(agent, 4).state)
        scale = agent.policy(rows.state).base_dist.scale
    found = reference_posterior(agent, triples=rows, draws=5_000)
    ratio = torch.as_tensor(linear.EFFECT / linear.NOISE) * scale
    expected = width**2 * (1 - 1 / (1 + ratio.square())).max(-1).values
    measured = [pareto_k(-column) for column in found.guide.sample_stats["log_p"].values.reshape(-1, 4).T]
    assert np.mean(measured) == pytest.approx(float(expected.mean()), abs=0.2)


def test_weights_are_drawn_afresh_from_the_autoguide():
    """Their mean density is that of the kept draws, 8 of them, up to the noise of these."""
    agent = GIO("Pendulum-v1", model="BayesianModel", **SMALL).learn(30)
    rows = agent.replay.sample(20)
    triples = Triples(rows.state, rows.action, agent.future.of(rows))
    with judging(agent):
        found = weight_log_likelihood(agent, triples, 60)
        mean = agent.model.log_prob(agent.policy, *(triples.state, triples.action, triples.future))
    assert found is not None
    assert found.shape == (60, 20)
    assert (found.std(0) > 0).all()
    assert ((found.exp().mean(0).log() - mean).abs() < 4 * found.std(0) / 8**0.5).all()


def test_the_agent_and_the_user_are_not_touched():
    watched, alone = (GIO("FrozenLake-v1", model="DirichletModel", train_freq=50).learn(100) for _ in range(2))
    with untouched():
        first, second = (leave_one_out(watched, transitions=10, draws=50) for _ in range(2))
    assert (pointwise(first) == pointwise(second)).all()
    assert not differences(watched.learn(50), alone.learn(50))
    assert exp(float(pointwise(first).max())) <= 1
