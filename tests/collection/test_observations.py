"""Encoding of observations as states."""

import warnings
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
import torch
from gymnasium.spaces import Box, Dict, Discrete, MultiBinary, MultiDiscrete, Sequence, Text, Tuple
from gymnasium.vector.utils import concatenate, create_empty_array

from gio_pyro.collection import Observations
from gio_pyro.errors import GioWarning, InputError, TrainingError
from gio_pyro.nn import encoder

NESTED = Dict(
    {
        "zebra": Box(-1, 1, (2, 3), dtype=np.float64),
        "ant": Discrete(4, start=-2),
        "image": Box(0, 255, (2, 2, 3), dtype=np.uint8),
        "inner": Dict({"b": MultiBinary((2, 2)), "a": MultiDiscrete([2, 3], start=[5, -1])}),
        "pair": Tuple((Discrete(3), Box(0, np.inf, (), dtype=np.float32))),
    }
)
VECTORS = [
    Box(-2, 3, (3,), dtype=np.float32),
    Box(-2, 3, (2, 2), dtype=np.float64),
    Box(-np.inf, np.inf, (), dtype=np.float32),
    Box(0, 255, (4,), dtype=np.uint8),
    Box(0, 9, (2, 3, 4), dtype=np.int64),
    MultiBinary(5),
    MultiDiscrete([3, 2, 4]),
    MultiDiscrete([[2, 3], [4, 2]], start=[[1, -1], [0, 7]]),
    Tuple((Discrete(2), MultiBinary(2))),
    NESTED,
]


def samples(space: gym.Space[Any], count: int) -> tuple[list[Any], Any]:
    space.seed(0)
    one = [space.sample() for _ in range(count)]
    return one, concatenate(space, one, create_empty_array(space, count))


@pytest.mark.parametrize("space", VECTORS, ids=str)
def test_a_vector_is_what_gymnasium_flattens_to(space: gym.Space[Any]):
    one, batch = samples(space, 7)
    expected = np.stack([gym.spaces.flatten(space, value) for value in one]).astype(np.float32)
    encoding = Observations.of(space)
    np.testing.assert_array_equal(encoding.encode(batch), expected)
    np.testing.assert_array_equal(np.concatenate([encoding.encode_one(value) for value in one]), expected)
    assert encoding.raw is space


@pytest.mark.parametrize("space", VECTORS, ids=str)
def test_the_space_of_vectors_is_gymnasiums_in_float32(space: gym.Space[Any]):
    encoding, flat = Observations.of(space), gym.spaces.flatten_space(space)
    assert encoding.space == Box(flat.low.astype(np.float32), flat.high.astype(np.float32), dtype=np.float32)
    assert all(row in encoding.space for row in encoding.encode(samples(space, 5)[1]))


@pytest.mark.parametrize("space", [*VECTORS, Discrete(3, start=4), Box(0, 255, (4, 4, 3), dtype=np.uint8)], ids=str)
def test_a_batch_is_told_from_one(space: gym.Space[Any]):
    one, batch = samples(space, 3)
    encoding = Observations.of(space)
    assert encoding.batched(batch)
    assert not encoding.batched(one[0])


@pytest.mark.parametrize("space", [*VECTORS, Discrete(3), Box(0, 255, (4, 4, 3), dtype=np.uint8)], ids=str)
def test_states_are_never_views_of_what_the_environment_keeps(space: gym.Space[Any]):
    one, batch = samples(space, 3)
    encoding = Observations.of(space)
    for state, given in ((encoding.encode(batch), batch), (encoding.encode_one(one[0]), one[0])):
        assert not (isinstance(given, np.ndarray) and np.shares_memory(state, given))


def test_discrete_values_are_counted_from_the_start_of_the_space():
    encoding = Observations.of(Discrete(4, start=-2))
    assert encoding.encode(np.array([-2, -1, 0, 1])).tolist() == [0, 1, 2, 3]
    assert encoding.encode_one(1).tolist() == [3]
    assert (encoding.space, encoding.count) == (Discrete(4), 4)
    assert encoding.encode([]).shape == (0,)


@pytest.mark.parametrize("value", [np.int64(3), np.array(3), 3.0, True + 2, np.float32(3), np.uint8(3)])
def test_a_discrete_value_may_be_any_whole_number(value: Any):
    for states in (Observations.of(Discrete(10)).encode_one(value), Observations.of(Discrete(10)).encode([value])):
        assert (states.tolist(), states.dtype) == ([3], np.int64)


@pytest.mark.parametrize("value", [10, -1, 2.5, float("nan"), float("inf"), "x", None, [1, 2], np.uint64(2**63)])
def test_a_discrete_value_outside_the_space_is_refused(value: Any):
    with pytest.raises(InputError, match="Expected an observation between 0 and 9, but got"):
        Observations.of(Discrete(10)).encode_one(value)


def test_one_value_outside_the_space_is_found_in_a_batch():
    with pytest.raises(InputError, match="between 0 and 9, but got 77"):
        Observations.of(Discrete(10)).encode(np.array([1, 77, 3]))


@pytest.mark.parametrize("space", [Discrete(10**12), Dict({"a": Box(0, 1), "b": Discrete(10**12)})], ids=str)
def test_more_values_than_a_table_can_hold_are_refused(space: gym.Space[Any]):
    with pytest.raises(InputError, match=r"^Expected at most 1,000,000 values, but .*; wrap the environment"):
        Observations.of(space)


RAGGED = [[[1], [1, 2]], [1, [2]]]


@pytest.mark.parametrize("bad", RAGGED, ids=str)
@pytest.mark.parametrize("space", [Box(0, 1, (2,)), Discrete(3), Box(0, 255, (2, 2, 3), dtype=np.uint8)], ids=str)
def test_rows_of_different_shapes_are_refused_in_one_sentence(space: gym.Space[Any], bad: Any):
    encoding = Observations.of(space)
    for use in (encoding.batched, encoding.encode, encoding.encode_one):
        with pytest.raises(InputError, match=r"^Expected "):
            use(bad)


def test_a_batch_with_more_rows_of_one_entry_is_refused():
    encoding = Observations.of(Dict({"a": Box(0, 1, (2,)), "b": Discrete(3)}))
    with pytest.raises(InputError, match=r"^Expected as many rows of each entry, but got 2, 3; "):
        encoding.encode({"a": np.zeros((2, 2)), "b": np.zeros(3, dtype=int)})


def test_tensors_that_want_gradients_are_read():
    one, number = torch.ones(2, requires_grad=True), torch.tensor(2.0, requires_grad=True)
    assert Observations.of(Box(0, 1, (2,))).encode_one(one).tolist() == [[1, 1]]
    assert Observations.of(Box(0, 1, (2,))).encode(one[None]).tolist() == [[1, 1]]
    assert Observations.of(Dict({"a": Box(0, 1, (2,))})).encode_one({"a": one}).tolist() == [[1, 1]]
    assert Observations.of(Discrete(3)).encode_one(number).tolist() == [2]
    with pytest.raises(InputError, match=r"^Expected observations of shape .*, but reading them raised RuntimeError"):
        Observations.of(Box(0, 1, (2,))).encode([one, one])


def test_an_image_stays_as_it_is():
    space = Box(0, 255, (4, 5, 3), dtype=np.uint8)
    one, batch = samples(space, 2)
    encoding = Observations.of(space)
    assert encoding.space == space
    assert encoding.encode(batch).dtype == np.uint8
    np.testing.assert_array_equal(encoding.encode(batch), batch)
    np.testing.assert_array_equal(encoding.encode_one(one[1]), batch[1:])
    np.testing.assert_array_equal(encoding.encode(batch.astype(np.int64)), batch)


@pytest.mark.parametrize("image", [np.zeros((4, 5, 3)), np.full((4, 5, 3), 256), np.full((4, 5, 3), -1)])
def test_an_image_of_other_numbers_is_refused(image: Any):
    with pytest.raises(InputError, match="Expected an image of uint8, but got"):
        Observations.of(Box(0, 255, (4, 5, 3), dtype=np.uint8)).encode_one(image)


def test_states_that_are_not_discrete_have_no_count():
    with pytest.raises(InputError, match="Expected a Discrete observation space here"):
        _ = Observations.of(Box(0, 1, (2,))).count


@pytest.mark.parametrize("bad", [float("nan"), float("inf"), -float("inf"), 1e300])
def test_an_observation_that_is_not_finite_stops_loudly(bad: float):
    with pytest.raises(TrainingError, match="Expected a finite observation, but the environment gave"):
        Observations.of(Box(-np.inf, np.inf, (2,), dtype=np.float64)).encode(np.array([[0.0, 1.0], [bad, 2.0]]))


@pytest.mark.parametrize("bad", [[1.0, 2.0], [[1.0]] * 3, "text", [1.0, "x", 2.0], [[1.0], [1.0, 2.0], [3.0]], None])
def test_an_observation_of_another_shape_is_refused(bad: Any):
    with pytest.raises(InputError, match="Expected observations of"):
        Observations.of(Box(0, 1, (3,))).encode_one(bad)


@pytest.mark.parametrize("bad", [[3], [-1], [0.5], [float("nan")]])
def test_a_part_outside_its_space_is_refused(bad: list[float]):
    with pytest.raises(InputError, match=r"Expected an observation between \[0\] and \[2\], but got"):
        Observations.of(MultiDiscrete([3])).encode_one(np.array(bad))


@pytest.mark.parametrize("bad", [{}, {"a": [0.0]}, 3, [1.0, 2.0]])
def test_a_missing_entry_is_named(bad: Any):
    with pytest.raises(InputError, match=r"Expected an observation with the entry (a|b/0), but it is missing"):
        Observations.of(Dict({"a": Box(0, 1, (1,)), "b": Tuple((Discrete(2), Discrete(2)))})).encode_one(bad)


def test_entries_that_are_no_numbers_are_left_out_and_named_once():
    space = Dict({"a": Box(0, 1, (2,)), "b": Dict({"said": Text(9)}), "c": Tuple((Sequence(Discrete(2)),))})
    with pytest.warns(GioWarning, match="but b/said, c/0 cannot be flattened") as told:
        encoding = Observations.of(space)
    assert len(told) == 1
    assert encoding.encode_one({"a": np.array([0.25, 0.5]), "b": {"said": "hi"}, "c": ((),)}).tolist() == [[0.25, 0.5]]
    assert encoding.batched({"a": np.zeros((3, 2)), "b": {"said": ("", "", "")}, "c": ((), (), ())})


def test_a_quiet_encoding_says_nothing():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        Observations.of(Dict({"a": Discrete(2), "b": Text(3)}), quiet=True)


@pytest.mark.parametrize(
    "space",
    [
        *[Text(4), Dict({"a": Text(4)}), Tuple((Sequence(Discrete(2)),)), Box(0, 1, (0,))],
        Box(0, 255, (0, 4, 3), dtype=np.uint8),
    ],
    ids=str,
)
def test_a_space_without_numbers_is_refused(space: gym.Space[Any]):
    with pytest.raises(InputError, match="Expected an observation space of numbers, but got"):
        Observations.of(space)


def u8(*shape: int) -> Box:
    return Box(0, 255, shape, np.uint8)


def by_hand(*axes: int) -> Any:
    """The picture of a stack, number by number: frame k's channel c is channel k C + c; `axes` are those of h, w, c."""

    def fold(given: Any) -> Any:
        k, *shape = given.shape
        sizes = [shape[axis] for axis in axes]
        found = np.empty((sizes[0], sizes[1], k * sizes[2]), np.uint8)
        for at in np.ndindex(k, *sizes):
            inner: list[int] = [0, 0, 0]
            for axis, number in zip(axes, at[1:], strict=True):
                inner[axis] = number
            found[at[1], at[2], at[0] * sizes[2] + at[3]] = given[at[0]][tuple(inner)]
        return np.moveaxis(found, -1, 0) if axes == (1, 2, 0) else found

    return fold


FOLDED = {
    "colour frames": (u8(4, 9, 8, 3), by_hand(0, 1, 2), 2),
    "colour frames, channels first": (u8(4, 3, 9, 8), by_hand(1, 2, 0), 0),
    "few rows, many channels": (u8(5, 4, 6, 3), by_hand(0, 1, 2), 2),
    "frames with one channel": (u8(4, 9, 8, 1), by_hand(0, 1, 2), 2),
    "a stack of stacks": (u8(2, 2, 9, 8, 3), lambda x: by_hand(0, 1, 2)(x.reshape(4, 9, 8, 3)), 2),
    "grey": (u8(9, 8), lambda x: x[..., None], 2),
    "grey frames": (u8(4, 9, 8), lambda x: x, 0),
    "many grey frames of a small picture": (u8(12, 8, 8), lambda x: x, 0),
    "colour": (u8(9, 8, 3), lambda x: x, 2),
    "a dictionary of one picture": (Dict({"rgb": u8(9, 8, 3)}), lambda x: x["rgb"], 2),
    "a dictionary of pictures": (
        Dict({"depth": u8(9, 8), "seen": Dict({"rgb": u8(2, 9, 8, 3)})}),
        lambda x: np.concatenate([x["depth"][..., None], by_hand(0, 1, 2)(x["seen"]["rgb"])], -1),
        2,
    ),
}


@pytest.mark.parametrize(("space", "expected", "axis"), FOLDED.values(), ids=FOLDED)
def test_stacked_pictures_stay_pictures_their_frames_as_channels(space: gym.Space[Any], expected: Any, axis: int):
    one, batch = samples(space, 3)
    encoding = Observations.of(space)
    states = np.stack([expected(value) for value in one])
    np.testing.assert_array_equal(encoding.encode(batch), states)
    np.testing.assert_array_equal(np.concatenate([encoding.encode_one(value) for value in one]), states)
    assert encoding.space.dtype == np.uint8
    assert all(state in encoding.space for state in states)
    assert (encoding.batched(batch), encoding.batched(one[0])) == (True, False)
    assert encoder(encoding.space).channels == axis
    assert encoder(encoding.space)(torch.from_numpy(states)).shape[0] == 3


@pytest.mark.parametrize(
    "space",
    [
        u8(3, 3),
        Box(0, 9, (9, 9), np.uint8),
        Dict({"rgb": u8(9, 8, 3), "speed": Box(-1, 1, (2,))}),
        Tuple((u8(9, 8), u8(8, 8))),
    ],
    ids=str,
)
def test_boards_and_pictures_beside_numbers_are_vectors(space: gym.Space[Any]):
    assert Observations.of(space).space.dtype == np.float32


def test_what_wide_vectors_cost_is_told():
    with pytest.warns(
        GioWarning, match=r"vectors of 12,002 numbers: 48,008 bytes a state in replay, 1,536,256 weights"
    ):
        Observations.of(Dict({"rgb": Box(0, 1, (60, 50, 4)), "speed": Box(-1, 1, (2,))}))


@pytest.mark.parametrize("kind", [int, np.int64, np.uint8, np.float32, np.array, torch.tensor, lambda n: np.array([n])])
def test_a_discrete_observation_may_be_any_one_whole_number(kind: Any):
    assert Observations.of(Discrete(5, start=2)).encode_one(kind(4)).tolist() == [2]
