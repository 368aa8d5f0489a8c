"""A random network that is easily copied where one has been.

Cost: 1 s.
"""

import pytest
import torch

from gio_pyro.models import DirichletModel, GaussianModel
from gio_pyro.signals import RandomNetworkDistillation
from gio_pyro.types import Spec, Transitions

from .worlds import FEW, FINITE, fitted, rows, some


def at(*place: float, count: int = 32) -> Transitions:
    state = torch.tensor(place).expand(count, -1) + 0.1 * torch.randn(count, len(place))
    return rows(state, torch.zeros(count, dtype=torch.long), state)


def test_it_falls_on_what_was_seen_and_not_on_what_was_not():
    with torch.random.fork_rng():
        torch.manual_seed(0)
        signal = RandomNetworkDistillation(fitted(GaussianModel, FEW))
        seen, unseen = at(1.0, 0.0), at(-1.0, 2.0)
        for data in (seen, unseen):
            signal.observe(data)
        first, never = (float(signal(data).mean()) for data in (seen, unseen))
        for _ in range(300):
            signal.update(at(1.0, 0.0))
        last, still = (float(signal(data).mean()) for data in (seen, unseen))
    assert last < 0.05 * first
    assert still > 0.3 * never


def test_in_finite_worlds_states_are_told_apart():
    with torch.random.fork_rng():
        torch.manual_seed(0)
        signal = RandomNetworkDistillation(fitted(DirichletModel, FINITE))
        one = rows(*(torch.ones(8, dtype=torch.long) for _ in range(3)))
        other = rows(*(torch.full((8,), 2) for _ in range(3)))
        for _ in range(200):
            signal.update(one)
    assert float(signal(one).mean()) < 0.05 * float(signal(other).mean())


@pytest.mark.parametrize("spec", [FEW, FINITE])
def test_it_is_measured_in_its_own_standard_deviations(spec: Spec):
    with torch.random.fork_rng():
        torch.manual_seed(0)
        signal = RandomNetworkDistillation(fitted(GaussianModel if spec is FEW else DirichletModel, spec))
        data = some(spec, 2_000)
        signal.observe(data)
        signal.errors.count.zero_()
        signal.errors.squares.zero_()
        signal.errors.mean.zero_()
        signal.observe(data)
    assert float(signal(data).std()) == pytest.approx(1, rel=0.05)


def test_the_target_never_learns():
    with torch.random.fork_rng():
        signal = RandomNetworkDistillation(fitted(GaussianModel, FEW))
        before = {k: v.clone() for k, v in signal.target.named_parameters()}
        signal.update(some(FEW))
    assert all(torch.equal(before[k], v) and not v.requires_grad for k, v in signal.target.named_parameters())
