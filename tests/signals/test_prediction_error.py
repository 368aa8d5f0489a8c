"""Surprise: of the model in nats, and in the features of an inverse model.

Cost: 3 s.
"""

import pytest
import torch
from gymnasium.spaces import Discrete

from gio_pyro.errors import InputError
from gio_pyro.futures import StateAfter
from gio_pyro.models import DirichletModel, GaussianModel
from gio_pyro.signals import PredictionError
from gio_pyro.types import Spec

from .worlds import FEW, FINITE, VECTORS, fitted, rows, some


@pytest.mark.parametrize(("kind", "spec"), [(DirichletModel, FINITE), (GaussianModel, VECTORS)])
def test_it_is_minus_the_models_log_probability(kind: type, spec: Spec):
    source, data = fitted(kind, spec), some(spec)
    expected = -source.model.log_prob(source.policy, data.state, data.action, data.next_state)
    signal = PredictionError(source)
    assert (signal.unit, torch.equal(signal(data), expected)) == ("nats", True)
    assert signal.update(data) == {}


def test_a_future_of_several_steps_is_refused():
    with pytest.raises(InputError, match=r"^Expected a future of one step .* but got StateAfter\(.*\.$"):
        PredictionError(fitted(DirichletModel, FINITE, StateAfter(3)))


def test_unknown_features_are_refused():
    with pytest.raises(InputError, match=r"^Expected features .* but got 'pixels'; .*\.$"):
        PredictionError(fitted(DirichletModel, FINITE), features="pixels")


@pytest.mark.parametrize("spec", [FEW, VECTORS], ids=["finite actions", "continuous actions"])
def test_features_of_an_inverse_model_learn_what_is_seen(spec: Spec):
    with torch.random.fork_rng():
        torch.manual_seed(0)
        signal, data = PredictionError(fitted(GaussianModel, spec), features="icm", learning_rate=1e-2), some(spec, 64)
        signal.observe(data)
        first = signal.update(data)
        before = signal(data)
        for _ in range(200):
            last = signal.update(data)
    assert float(last["inverse_loss"]) < 0.5 * float(first["inverse_loss"])
    assert float(signal(data).mean()) < float(before.mean())
    assert signal.unit == "squared features"


@pytest.mark.slow
def test_features_of_an_inverse_model_do_not_see_what_actions_cannot_change():
    """The state is the last action beside a number of noise: features keep the one and drop the other."""
    spec = Spec(FEW.state_space, Discrete(3), FEW.state_space, hidden=(32,))

    def world(count: int) -> object:
        action, noise = torch.randint(3, (count,)), torch.randn(count, 2)
        return rows(
            torch.stack([torch.zeros(count), noise[:, 0]], -1), action, torch.stack([action.float(), noise[:, 1]], -1)
        )

    with torch.random.fork_rng():
        torch.manual_seed(0)
        icm = PredictionError(fitted(GaussianModel, spec), features="icm", learning_rate=3e-3)
        icm.observe(world(500))
        for _ in range(500):
            figures = icm.update(world(128))
        data = world(200)
        other = rows(data.state, data.action, torch.stack([data.next_state[:, 0], -data.next_state[:, 1]], -1))
        moved = rows(data.state, data.action, torch.stack([2 - data.next_state[:, 0], data.next_state[:, 1]], -1))
    assert float(figures["inverse_loss"]) < 0.05
    assert float((icm(other) - icm(data)).abs().mean()) < 0.3 * float((icm(moved) - icm(data)).abs().mean())


def test_with_a_lag_the_error_is_that_of_the_model_when_it_was_last_renewed():
    """Surprising transitions stay so until the copy is renewed; a count of observations is renewed with it."""
    source, data = fitted(DirichletModel, FINITE), some(FINITE)
    signal = PredictionError(source, lag=2)
    first = signal(data)
    source.model.observe(data.state, data.action, data.next_state)
    now = -source.model.log_prob(source.policy, data.state, data.action, data.next_state)
    assert not torch.allclose(first, now)
    signal.update(data)
    assert torch.equal(signal(data), first)
    signal.update(data)
    assert torch.equal(signal(data), now)
    with pytest.raises(InputError, match=r"^Expected lag without features, but got 2 and 'icm'; leave one"):
        PredictionError(source, features="icm", lag=2)
