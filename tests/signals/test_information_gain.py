"""How far an observation moves what is known: conjugate posteriors by other people's formulas, through the signal.

Cost: under a second.
"""

import pytest
import torch
from torch import Tensor
from torch.distributions import Dirichlet, kl_divergence

from gio_pyro.errors import InputError
from gio_pyro.models import BayesianModel, DirichletModel, EnsembleModel, GaussianModel
from gio_pyro.signals import InformationGain
from gio_pyro.types import Spec
from tests.models.test_bayesian import exact_gain, observed, regression

from .worlds import FINITE, VECTORS, fitted, rows, some, updated

SEEN = some(FINITE, 200)


def counted() -> Tensor:
    """Concentrations of the posterior after `SEEN`, counted by hand, `[S, A, F]`: an even prior that counts once."""
    alpha = torch.full((4, 3, 4), 0.25, dtype=torch.double)
    for s, a, f in zip(SEEN.state, SEEN.action, SEEN.next_state, strict=True):
        alpha[s, a, f] += 1
    return alpha


@pytest.fixture
def gain() -> InformationGain:
    source = fitted(DirichletModel, FINITE)
    updated(source.model, SEEN)
    return InformationGain(source)


def test_it_is_the_divergence_of_the_new_posterior_from_the_old(gain: InformationGain):
    new, old = some(FINITE, 50, seed=1), counted()
    old = old[new.state, new.action]
    after = old + torch.eye(4, dtype=torch.double)[new.next_state]
    expected = kl_divergence(Dirichlet(after), Dirichlet(old))
    torch.testing.assert_close(gain(new).double(), expected, rtol=1e-5, atol=1e-6)
    assert float(expected.max()) > 4 * float(expected.min())  # rare futures teach more


def test_its_mean_over_what_was_to_be_expected_is_the_mutual_information(gain: InformationGain):
    """I(W; F) = H(E p) − E H(p), over a hundred thousand channels drawn from the posterior."""
    every, alpha = torch.arange(4), counted()[0, 0]
    with torch.random.fork_rng():
        torch.manual_seed(0)
        p = Dirichlet(alpha).sample((100_000,))
    within = -torch.xlogy(p, p).sum(-1)
    mean = p.mean(0)
    expected = float(-torch.xlogy(mean, mean).sum() - within.mean())
    zero = torch.zeros_like(every)
    found = float((alpha / alpha.sum() * gain(rows(zero, zero, every))).sum())
    assert found == pytest.approx(expected, abs=5 * float(within.std()) / 100_000**0.5)
    assert found > 0.05


@pytest.mark.parametrize("deviation", [0.02, 1.0])
def test_of_distributed_weights_it_is_linear_regressions(deviation: float):
    model = regression(deviation, 1.0, weight=0.4)
    data, x = observed(model)
    where = Spec(VECTORS.action_space, VECTORS.action_space, VECTORS.action_space)
    found = InformationGain(fitted(model, where))(rows(*data))
    torch.testing.assert_close(found, exact_gain(model, x, data[2].flatten(), 1.0), rtol=2e-3, atol=1e-7)


@pytest.mark.parametrize(("kind", "spec"), [(DirichletModel, FINITE), (BayesianModel, VECTORS)])
def test_it_reads_the_models_own_gain(kind: type, spec: Spec):
    source, data = fitted(kind, spec), some(spec)
    signal = InformationGain(source)
    assert signal.unit == "nats"
    torch.testing.assert_close(signal(data), source.model.information_gain(data.state, data.action, data.next_state))


@pytest.mark.parametrize("kind", [GaussianModel, EnsembleModel])
def test_a_model_without_a_posterior_is_told_in_a_sentence(kind: type):
    with pytest.raises(InputError, match=rf"^Expected a model that implements .*, but {kind.__name__} does not; .*\.$"):
        InformationGain(fitted(kind, VECTORS))
