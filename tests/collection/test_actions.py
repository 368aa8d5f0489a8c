"""Encoding and decoding of actions."""

from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.spaces import Box, Discrete, MultiBinary, MultiDiscrete
from gymnasium.vector.utils import batch_space, concatenate, create_empty_array

from gio_pyro.collection import Actions
from gio_pyro.errors import InputError, TrainingError

COUNTED = [
    Discrete(4),
    Discrete(3, start=-5),
    MultiDiscrete([3]),
    MultiDiscrete([2, 3, 4], start=[1, 0, -2]),
    MultiDiscrete([[2, 3], [4, 2]]),
    MultiBinary(3),
    MultiBinary((2, 2)),
]
BOUNDED = [
    Box(-2, 2, (1,), dtype=np.float32),
    Box(np.array([-1, 0, 5], dtype=np.float64), np.array([1, 10, 6], dtype=np.float64), dtype=np.float64),
    Box(0, 0.3, (2, 3), dtype=np.float32),
    Box(-1, 1, (), dtype=np.float32),
]


@pytest.mark.parametrize("space", COUNTED, ids=str)
def test_every_action_has_a_number_and_every_number_an_action(space: gym.Space[Any]):
    actions = Actions.of(space)
    numbers = np.arange(actions.space.n)
    batch = actions.decode(numbers)
    np.testing.assert_array_equal(actions.encode(batch), numbers)
    assert all(actions.decode_one(numbers[i : i + 1]) in space for i in numbers)
    assert len(np.unique(batch.reshape(len(numbers), -1), axis=0)) == len(numbers)


@pytest.mark.parametrize("space", [*COUNTED, *BOUNDED], ids=str)
def test_a_decoded_batch_has_gymnasiums_form(space: gym.Space[Any]):
    actions = Actions.of(space)
    actions.space.seed(1)
    site = np.stack([actions.space.sample() for _ in range(6)])
    batch = actions.decode(site)
    assert batch in batch_space(space, 6)
    np.testing.assert_array_equal(batch[2], actions.decode_one(site[2:3]))


@pytest.mark.parametrize("space", [*COUNTED, *BOUNDED], ids=str)
def test_recorded_actions_are_decoded_to_themselves(space: gym.Space[Any]):
    space.seed(2)
    one = [space.sample() for _ in range(50)]
    batch = concatenate(space, one, create_empty_array(space, 50))
    np.testing.assert_allclose(Actions.of(space).decode(Actions.of(space).encode(batch)), batch, rtol=1e-4, atol=2e-5)


def test_a_single_discrete_action_is_a_plain_number():
    action = Actions.of(Discrete(3, start=4)).decode_one(np.array([2]))
    assert (type(action), action, Actions.of(Discrete(3, start=4)).first) == (int, 6, 4)


@pytest.mark.parametrize("space", BOUNDED, ids=str)
def test_the_site_is_the_real_line_before_the_squash(space: Box):
    actions, d = Actions.of(space), int(np.prod(space.shape))
    assert actions.space == Box(-np.inf, np.inf, (d,), dtype=np.float32)
    u = np.linspace(-3, 3, 7, dtype=np.float32)[:, None].repeat(d, 1)
    low, high = (bound.astype(np.float64).reshape(-1) for bound in (space.low, space.high))
    expected = low + (np.tanh(u.astype(np.float64)) + 1) / 2 * (high - low)
    np.testing.assert_allclose(actions.decode(u).reshape(7, d), expected, rtol=1e-6)
    np.testing.assert_allclose(actions.encode(actions.decode(u)), u, atol=1e-3)
    assert actions.first == 0


@pytest.mark.parametrize("u", [1e9, -1e9, np.inf, -np.inf, 30.0])
@pytest.mark.parametrize("space", BOUNDED, ids=str)
def test_however_large_the_site_the_action_is_within_its_bounds(space: Box, u: float):
    site = np.full((2, int(np.prod(space.shape))), u, dtype=np.float32)
    assert Actions.of(space).decode_one(site) in space
    assert np.isfinite(Actions.of(space).encode(Actions.of(space).decode(site))).all()


def test_a_part_without_room_has_one_action():
    actions = Actions.of(Box(np.array([1.0, 0.0]), np.array([1.0, 2.0]), dtype=np.float64))
    assert actions.decode(np.array([[7.0, 0.0]])).tolist() == [[1.0, 1.0]]
    assert actions.encode(np.array([[1.0, 1.0]])).tolist() == [[0.0, 0.0]]


@pytest.mark.parametrize("high", [1.7e308, np.inf])
def test_bounds_whose_difference_is_no_number_are_refused(high: float):
    with pytest.raises(
        InputError, match=r"^Expected a bounded action space, but got Box.*; give it bounds whose differ"
    ):
        Actions.of(Box(-high, high, (2,), dtype=np.float64))


def test_more_actions_than_a_table_can_hold_are_refused():
    with pytest.raises(
        InputError, match=r"^Expected at most 1,000,000 values, but Discrete\(10+\) has 1,000,000,000,000;"
    ):
        Actions.of(Discrete(10**12))


def test_an_action_that_is_no_number_stops_loudly():
    with pytest.raises(TrainingError, match="Expected an action of numbers, but the policy gave NaN"):
        Actions.of(BOUNDED[0]).decode(np.array([[np.nan]], dtype=np.float32))
