"""The error of an autoencoder of states, against principal components.

Cost: 2 s.
"""

import pytest
import torch

from gio_pyro.models import DirichletModel, GaussianModel
from gio_pyro.signals import ReconstructionError
from gio_pyro.types import Spec
from tests.spaces import vector

from .worlds import FINITE, fitted, rows


def test_a_linear_one_leaves_what_principal_components_leave():
    """The least mean squared error with k codes is the sum of the other eigenvalues of the correlations."""
    spec, generator = Spec(vector(4), vector(1), vector(4)), torch.Generator().manual_seed(1)
    x = torch.randn(500, 4, generator=generator) @ torch.randn(4, 4, generator=generator)
    data = rows(x, torch.zeros(500, 1), x)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        signal = ReconstructionError(fitted(GaussianModel, spec), codes=2, linear=True, learning_rate=0.02)
        signal.observe(data)
        for _ in range(600):
            signal.update(data)
    standard = (x - x.mean(0)) / x.std(0, correction=0)
    eigenvalues = torch.linalg.eigvalsh(standard.T @ standard / len(x))
    assert float(signal(data).mean()) == pytest.approx(float(eigenvalues[:2].sum() / 4), rel=0.02)


def test_a_state_never_seen_has_a_larger_error_than_those_seen():
    with torch.random.fork_rng():
        torch.manual_seed(0)
        signal = ReconstructionError(fitted(DirichletModel, FINITE), codes=3, learning_rate=0.01)
        seen = torch.tensor([0, 1, 2]).repeat(5)
        for _ in range(300):
            signal.update(rows(seen, torch.zeros_like(seen), seen))
    every = torch.arange(4)
    error = signal(rows(every, torch.zeros_like(every), every))
    assert float(error[3]) > 20 * float(error[:3].max())
