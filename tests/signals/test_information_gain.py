"""How far an observation moves what is known, against the conjugate normal model.

Cost: under a second.
"""

import pytest
import torch
from torch import Tensor
from torch.distributions import Normal, kl_divergence

from gio_pyro.errors import InputError
from gio_pyro.models import BayesianModel, DirichletModel, EnsembleModel, GaussianModel
from gio_pyro.signals import InformationGain
from gio_pyro.types import Spec
from tests.spaces import vector

from .worlds import FINITE, VECTORS, fitted, rows, some

GAIN, EXPECTED = 0.596574, 0.346574
"""N(0, 1) to N(1, ½), and what observations of noise 1 teach on average, nats."""
ONE = Spec(vector(1), vector(1), vector(1), hidden=(8,))


class Conjugate(GaussianModel):
    """F = w + noise of variance 1, w ~ N(0, 1): the posterior is N(F/2, ½)."""

    def information_gain(self, state: Tensor, action: Tensor, future: Tensor) -> Tensor:
        return kl_divergence(Normal(future / 2, 0.5**0.5), Normal(0.0, 1.0)).sum(-1)


def of(future: Tensor) -> Tensor:
    count = len(future)
    return InformationGain(fitted(Conjugate, ONE))(rows(torch.zeros(count, 1), torch.zeros(count, 1), future[:, None]))


def test_it_is_the_divergence_of_the_new_posterior_from_the_old():
    torch.testing.assert_close(of(torch.tensor([2.0])), torch.tensor([GAIN]), atol=1e-6, rtol=0)


def test_its_mean_over_what_was_to_be_expected_is_the_mutual_information():
    grid = torch.linspace(-12, 12, 4_001)
    chance = Normal(0.0, 2**0.5).log_prob(grid).exp() * (24 / 4_000)
    assert float((chance * of(grid)).sum()) == pytest.approx(EXPECTED, abs=1e-5)


@pytest.mark.parametrize(("kind", "spec"), [(DirichletModel, FINITE), (BayesianModel, VECTORS)])
def test_it_reads_the_models_own_gain(kind: type, spec: Spec):
    source, data = fitted(kind, spec), some(spec)
    signal = InformationGain(source)
    assert signal.unit == "nats"
    torch.testing.assert_close(signal(data), source.model.information_gain(data.state, data.action, data.next_state))


@pytest.mark.parametrize("kind", [GaussianModel, EnsembleModel])
def test_a_model_without_a_posterior_is_told_in_a_sentence(kind: type):
    with pytest.raises(InputError, match=rf"^Expected a model that knows .* but got {kind.__name__}; .*\.$"):
        InformationGain(fitted(kind, VECTORS))
