"""Learning progress of regions.

Cost: under a second.
"""

import pytest
import torch
from torch import Tensor

from gio_pyro.models import CategoricalModel, GaussianModel
from gio_pyro.signals import LearningProgress, RegionalProgress
from gio_pyro.signals.regional_progress import RECENT, Prototypes
from tests.spaces import vector

from .worlds import FINITE, VECTORS, fitted, rows, some


def test_a_region_has_the_weighted_mean_of_the_progress_in_it():
    """Of a finite world each state is a region; one that no row arrives at keeps its progress, at first 0."""
    source = fitted(CategoricalModel, FINITE)
    plain, regional = LearningProgress(source, rate=0.5), RegionalProgress(source, rate=0.5)
    data = some(FINITE, 40)
    data = data[data.next_state != 2]
    data.weight.copy_(torch.rand(len(data), generator=torch.Generator().manual_seed(2)))
    with torch.no_grad():
        source.model.program.table.copy_(torch.randn(4, 3, 4, generator=torch.Generator().manual_seed(1)))
    for signal in (plain, regional):
        signal.update(data)
    gained = plain(data)
    assert float(gained.abs().max()) > 0.1
    for state in range(4):
        here = data.next_state == state
        mean = float((data.weight * gained)[here].sum() / data.weight[here].sum()) if state != 2 else 0.0
        every = rows(*(torch.full((1,), value) for value in (0, 0, state)))
        assert float(regional(every)) == pytest.approx(RECENT * mean, rel=1e-5)


def test_prototypes_are_the_means_of_the_states_nearest_to_them():
    def nearest(x: list[list[float]]) -> Tensor:
        return cells(torch.tensor(x))

    cells = Prototypes(vector(2), 2)
    cells.observe(torch.tensor([[0.0, 0.0], [4.0, 4.0], [1.0, 0.0], [0.0, 1.0], [5.0, 4.0]]))
    assert torch.allclose(cells.place, torch.tensor([[1 / 3, 1 / 3], [4.5, 4.0]]))
    assert nearest([[0.0, 0.5], [6.0, 6.0]]).tolist() == [0, 1]


def test_it_is_zero_where_nothing_was_learned():
    signal = RegionalProgress(fitted(GaussianModel, VECTORS), regions=4)
    for _ in range(3):
        signal.observe(some(VECTORS))
        signal.update(some(VECTORS))
    assert torch.equal(signal(some(VECTORS)), torch.zeros(32))
    assert signal.state_dict()["progress"].shape == (4,)
