"""The memory of an episode: exact for finite states, by a comparator that learned what is near for vectors.

Cost: 2 s.
"""

import pytest
import torch

from gio_pyro.errors import InputError
from gio_pyro.models import DirichletModel, GaussianModel
from gio_pyro.signals import Reachability
from gio_pyro.types import Transitions

from .worlds import FEW, FINITE, fitted, rows


def walk(*states: int, ended: bool = False) -> Transitions:
    at = torch.tensor(states)
    ends = torch.arange(len(at) - 1) == len(at) - 2
    return rows(at[:-1], torch.zeros(len(at) - 1, dtype=torch.long), at[1:], ends & ended)


def to(*states: int) -> Transitions:
    at = torch.tensor(states)
    return rows(torch.zeros_like(at), torch.zeros_like(at), at)


def finite() -> Reachability:
    return Reachability(fitted(DirichletModel, FINITE))


def test_before_anything_was_remembered_all_is_new():
    assert finite()(to(0, 1, 2, 3)).tolist() == [1, 1, 1, 1]


def test_states_of_this_episode_are_known_its_first_one_too():
    signal = finite()
    signal.observe(walk(0, 2))
    assert signal(to(0, 1, 2, 3)).tolist() == [0, 1, 0, 1]
    signal.observe(walk(2, 3))
    assert signal(to(0, 1, 2, 3)).tolist() == [0, 1, 0, 0]


def test_an_end_forgets():
    signal = finite()
    signal.observe(walk(0, 2, ended=True))
    assert signal(to(0, 1, 2, 3)).tolist() == [1, 1, 1, 1]


def test_telling_an_end_in_the_middle_is_telling_one_after_the_other():
    one, other = finite(), finite()
    first, second = walk(0, 2, 3, ended=True), walk(1, 1)
    one.observe(first)
    one.observe(second)
    other.observe(Transitions(*(torch.cat(pair) for pair in zip(first.tensors(), second.tensors(), strict=True))))
    assert torch.equal(one(to(0, 1, 2, 3)), other(to(0, 1, 2, 3)))
    assert one(to(0, 1, 2, 3)).tolist() == [1, 0, 1, 1]


def circle(start: int, count: int, period: int = 80) -> Transitions:
    """A walk around a circle, a step of 1/80 of it at a time."""
    angle = 2 * torch.pi * torch.arange(start, start + count + 1) / period
    at = torch.stack([angle.cos(), angle.sin()], -1)
    return rows(at[:-1], torch.zeros(count, dtype=torch.long), at[1:])


def test_a_comparator_learns_what_is_near():
    """Of half a circle that was walked, places on it are near and the middle of the other half is out of reach."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        signal = Reachability(fitted(GaussianModel, FEW), history=400, capacity=40, learning_rate=3e-3)
        signal.observe(circle(0, 300))
        for _ in range(400):
            figures = signal.update(circle(0, 1))
        ended = circle(300, 1)
        signal.observe(Transitions(*ended.tensors()[:4], torch.ones(1).bool(), *ended.tensors()[5:]))
        signal.observe(circle(0, 12))
    assert float(figures["reachability_loss"]) < 0.3
    near, far = signal(circle(3, 1)), signal(circle(45, 1))
    assert float(near) < 0.3
    assert float(far) > 0.9


def test_a_memory_is_of_its_capacity():
    signal = Reachability(fitted(GaussianModel, FEW), history=50, capacity=10)
    signal.observe(circle(0, 60))
    assert len(signal.memory.remembered()) == 10
    whole = Reachability(fitted(GaussianModel, FEW), history=50, capacity=10)
    for k in range(0, 60, 7):
        whole.observe(circle(0, 60)[k : k + 7])
    assert torch.equal(whole.memory.states, signal.memory.states)


def test_with_no_pairs_yet_an_update_changes_nothing():
    with torch.random.fork_rng():
        signal = Reachability(fitted(GaussianModel, FEW))
        before = {k: v.clone() for k, v in signal.named_parameters()}
        signal.update(circle(0, 5))
    assert all(torch.equal(before[k], v) for k, v in signal.named_parameters())


@pytest.mark.parametrize("settings", [{"capacity": 0}, {"history": 10, "capacity": 20}, {"near": 0}])
def test_a_memory_of_no_size_is_told_in_a_sentence(settings: dict[str, int]):
    with pytest.raises(InputError, match=r"^Expected .* but got .*; .*\.$"):
        Reachability(fitted(GaussianModel, FEW), **settings)
