"""Recorded operations give what the function gives, bit for bit, or are not used."""

import copy
import pickle
from typing import Any

import gymnasium as gym
import pytest
import torch
from torch import Tensor, nn

from gio_pyro import IntrinsicReward
from gio_pyro.nn.traced import CALLS_BEFORE, MAX_GRAPHS, Traced
from tests.adapters.test_intrinsic_reward import samples


class Counted:
    """A network whose Python runs are counted."""

    def __init__(self) -> None:
        torch.manual_seed(0)
        self.net, self.shift, self.calls = nn.Linear(3, 2), torch.zeros(2), 0

    def __call__(self, x: Tensor) -> Tensor:
        self.calls += 1
        return self.net(x).tanh().sum(-1) + self.shift.sum()


def settled(function: Any, *tensors: Tensor) -> Traced:
    """A function after as many calls as it takes to be recorded."""
    traced = Traced(function)
    for _ in range(CALLS_BEFORE + 1):
        traced(*tensors)
    return traced


def test_a_function_that_is_called_often_runs_without_python_and_gives_the_same_bits():
    function, x = Counted(), torch.randn(4, 3)
    traced = settled(function, x)
    calls = function.calls
    other = torch.randn(4, 3)
    found = traced(other)
    assert function.calls == calls
    assert torch.equal(found, function(other))
    assert not found.requires_grad
    assert torch.equal(traced(torch.ones(5, 3)), function(torch.ones(5, 3)))  # another shape is called as it is


def test_parameters_that_change_in_place_are_followed():
    function, x = Counted(), torch.randn(4, 3)
    traced = settled(function, x)
    with torch.no_grad():
        function.net.weight.mul_(2)
    assert torch.equal(traced(x), function(x))


def test_a_tensor_that_is_replaced_is_noticed_after_a_change():
    function, x = Counted(), torch.randn(4, 3)
    traced = settled(function, x)
    function.shift = torch.ones(2)
    traced.changed()
    for _ in range(2 * CALLS_BEFORE):
        assert torch.equal(traced(x), function(x))
    assert traced.refused


def test_python_that_decides_by_values_is_never_recorded():
    def function(x: Tensor) -> Tensor:
        return x if bool(x.sum() > 0) else -2 * x

    traced = settled(function, torch.ones(3))
    assert torch.equal(traced(-torch.ones(3)), 2 * torch.ones(3))
    assert traced.refused


def test_random_numbers_are_not_frozen_and_recording_draws_none():
    traced = settled(lambda x: x + torch.zeros_like(x), torch.ones(3))
    torch.manual_seed(3)
    expected = torch.rand(2)
    torch.manual_seed(3)
    settled(lambda x: x + 1, torch.ones(3))
    assert torch.equal(torch.rand(2), expected)

    def noisy(x: Tensor) -> Tensor:
        return x + torch.randn_like(x)

    traced = settled(noisy, torch.zeros(3))
    assert not torch.equal(traced(torch.zeros(3)), traced(torch.zeros(3)))


def test_only_some_shapes_are_kept():
    traced = Traced(lambda x: x + 1)
    for size in range(2 * MAX_GRAPHS):
        for _ in range(CALLS_BEFORE + 2):
            assert torch.equal(traced(torch.zeros(size)), torch.ones(size))
    assert len(traced._graphs) == MAX_GRAPHS


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda one: pickle.loads(pickle.dumps(one))])
def test_copies_record_for_themselves(copied: Any):
    function, x = Counted(), torch.randn(4, 3)
    other = copied(settled(function, x))
    with torch.no_grad():
        other.function.net.bias.add_(1)
    for _ in range(2 * CALLS_BEFORE):
        assert torch.equal(other(x), other.function(x))
    assert not torch.equal(other(x), function(x))


@pytest.mark.parametrize("name", ["Pendulum-v1", "CartPole-v1", "FrozenLake-v1"])
def test_an_intrinsic_reward_pays_the_same_whether_it_is_recorded_or_not(name: str):
    given = samples(gym.make(name), 30, 2)
    recorded, plain = (IntrinsicReward(name, hidden=(8,), updates=3, batch_size=16) for _ in range(2))
    plain.signal.traced = None
    for _ in range(2):
        for reward in (recorded, plain):
            reward.update(given)
        for _ in range(CALLS_BEFORE + 6):
            assert (recorded.compute(given) == plain.compute(given)).all()
    if name != "FrozenLake-v1":
        assert recorded.signal.traced is not None
        assert recorded.signal.traced._graphs
