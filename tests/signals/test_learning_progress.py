"""What the model has just learned: log p_new − log p_old.

Cost: under a second.
"""

from math import log

import pytest
import torch

from gio_pyro.errors import InputError
from gio_pyro.models import BayesianModel, CategoricalModel, DirichletModel, GaussianModel
from gio_pyro.signals import LearningProgress
from gio_pyro.types import Spec

from .worlds import FINITE, VECTORS, fitted, rows, some

KINDS = [(DirichletModel, FINITE), (CategoricalModel, FINITE), (GaussianModel, VECTORS), (BayesianModel, VECTORS)]


@pytest.mark.parametrize(("kind", "spec"), KINDS)
def test_it_is_zero_where_nothing_was_learned(kind: type, spec: Spec):
    signal, data = LearningProgress(fitted(kind, spec)), some(spec)
    for _ in range(3):
        signal.update(data)
    assert torch.equal(signal(data), torch.zeros(32))


def test_it_is_the_logarithm_of_how_much_likelier_the_observation_became():
    """One observation on a prior of four quarters: (1 + ¼) / 2 against ¼."""
    source = fitted(DirichletModel, FINITE)
    signal = LearningProgress(source)
    data = rows(*(torch.zeros(1, dtype=torch.long) for _ in range(3)))
    source.model.observe(data.state, data.action, data.next_state)
    assert float(signal(data)) == pytest.approx(log(0.625 / 0.25))


def test_it_is_positive_where_parameters_learned_an_observation():
    source, data = fitted(GaussianModel, VECTORS), some(VECTORS, 4)
    signal = LearningProgress(source)
    optimiser = torch.optim.Adam(source.model.parameters(), lr=1e-3)
    for _ in range(20):
        loss = -source.model.log_prob(source.policy, data.state, data.action, data.next_state).mean()
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    assert bool((signal(data) > 0).all())
    assert all(p.grad is None for p in signal.parameters())


def test_the_old_model_follows_at_the_rate():
    source, data = fitted(CategoricalModel, FINITE), some(FINITE)
    signal = LearningProgress(source, rate=0.75)
    with torch.no_grad():
        source.model.program.table.fill_(1.0)
    for expected in (0.25, 1 - 0.75**2):
        signal.update(data)
        torch.testing.assert_close(signal.old.program.table.detach(), torch.full((4, 3, 4), expected))


@pytest.mark.parametrize("rate", [-0.1, 1.0, float("nan")])
def test_a_rate_outside_its_range_is_told_in_a_sentence(rate: float):
    with pytest.raises(InputError, match=r"^Expected rate .* but got .*; .*\.$"):
        LearningProgress(fitted(CategoricalModel, FINITE), rate=rate)
