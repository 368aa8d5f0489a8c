"""What an agent believes along an episode, for arviz."""

import numpy as np
import pytest

from gio_pyro.diagnostics import beliefs_to_arviz
from gio_pyro.diagnostics.arviz_versions import arviz, has_data_tree
from gio_pyro.errors import InputError
from tests.agents import untouched
from tests.diagnostics import filters


def test_an_episode_of_vectors():
    agent = filters.linear()
    with untouched():
        data = beliefs_to_arviz(agent, steps=40, draws=50)
    assert dict(data.posterior["state"].sizes) == {"chain": 4, "draw": 50, "time": 41, "state_dim": 2}
    seen = data.observed_data["observation"]
    assert dict(seen.sizes) == {"time": 41, "observation_dim": 1}
    assert data.posterior_predictive["observation"].sizes["time"] == 41
    state, hidden = data.posterior["state"].values, data.constant_data["hidden"].values
    error = (state.mean((0, 1)) - hidden) / state.std((0, 1))
    assert 0.5 < float(np.sqrt((error**2).mean())) < 2.0  # the filter knows how well it knows
    predicted = data.posterior_predictive["observation"].values
    inside = np.abs(predicted.mean((0, 1)) - seen.values) < 3 * predicted.std((0, 1))
    assert inside.mean() > 0.9


def test_an_episode_of_symbols_and_one_that_ends():
    data = beliefs_to_arviz(filters.finite(name="gio/Tiger-v0"), steps=150, draws=10)
    assert dict(data.posterior["state"].sizes) == {"chain": 4, "draw": 10, "time": 101}  # its time limit is 100
    assert set(np.unique(data.posterior_predictive["observation"].values)) <= {0, 1}
    assert dict(data.constant_data["belief"].sizes) == {"time": 101, "belief_dim": 2}
    np.testing.assert_allclose(
        data.posterior["state"].mean(("chain", "draw")), data.constant_data["belief"][:, 1], atol=0.35
    )


@pytest.mark.filterwarnings("ignore:Passing a dict or None as alias_mapping")  # by arviz, to matplotlib
def test_plots_of_arviz_take_it():
    import matplotlib.pyplot as plt

    data = beliefs_to_arviz(filters.linear(), steps=20, draws=10)
    if has_data_tree():
        pytest.skip("arviz 1.x plots by other functions")
    arviz().plot_ppc(data, num_pp_samples=5)
    arviz().plot_ts(data, y="observation", plot_dim="time", num_samples=5)
    plt.close("all")


def test_numbers_out_of_range_are_told():
    with pytest.raises(InputError, match=r"^Expected at least 1 step and 1 draw, but got 0 and 1"):
        beliefs_to_arviz(filters.finite(name="gio/Tiger-v0"), steps=0, draws=1)
