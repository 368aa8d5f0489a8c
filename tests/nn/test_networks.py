"""Features of spaces, input statistics, and perceptrons computed together."""

import copy
import math
from typing import Any

import numpy as np
import pytest
import torch
from gymnasium.spaces import Box, Discrete, MultiBinary
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from gio_pyro.errors import InputError
from gio_pyro.nn import (
    CLIP,
    DeduplicatedImages,
    Ensemble,
    ImageEncoder,
    ImagePair,
    OneHotEncoder,
    PairEncoder,
    Standardise,
    VectorEncoder,
    action_features,
    encoder,
    is_image,
    is_whole,
    mlp,
    width,
)
from tests.spaces import image, vector


def updated(batches: list[Tensor], shape: tuple[int, ...], *, whole: bool = False) -> Standardise:
    scale = Standardise(shape, whole=whole)
    for batch in batches:
        scale.observe(batch)
    return scale


def normal(*size: int, seed: int = 0) -> Tensor:
    return torch.randn(*size, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("sizes", [[300], [100, 100, 100], [1] * 30, [1, 299], [299, 1], [7, 20, 1]])
@pytest.mark.parametrize(("mean", "deviation"), [(0.0, 1.0), (500.0, 2.0), (-3.0, 100.0), (1e4, 1.0)])
def test_statistics_are_numpys_in_any_batching(sizes: list[int], mean: float, deviation: float):
    x = mean + deviation * normal(sum(sizes), 3)
    scale = updated(list(x.split(sizes)), (3,))
    np.testing.assert_allclose(scale.mean.numpy(), x.double().numpy().mean(0), rtol=1e-5, atol=1e-5 * deviation)
    np.testing.assert_allclose(scale.deviation.numpy(), x.double().numpy().std(0), rtol=2e-3)


@settings(max_examples=30, deadline=None)
@given(st.lists(st.integers(1, 40), min_size=1, max_size=8), st.integers(0, 2**16))
def test_statistics_do_not_depend_on_how_data_is_cut(sizes: list[int], seed: int):
    x = 5.0 + 3.0 * normal(sum(sizes), 2, seed=seed)
    together, pieces = updated([x], (2,)), updated(list(x.split(sizes)), (2,))
    torch.testing.assert_close(pieces.mean, together.mean, atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(pieces.deviation, together.deviation, atol=1e-4, rtol=1e-4)


def test_whole_numbers_of_any_kind_are_taken_in():
    pixels = torch.randint(0, 256, (50, 4), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    scale = updated([pixels], (4,), whole=True)
    np.testing.assert_allclose(scale.mean.numpy(), pixels.numpy().mean(0), rtol=1e-5)
    np.testing.assert_allclose(scale.deviation.numpy(), pixels.numpy().std(0), rtol=1e-4)


@pytest.mark.parametrize(("whole", "least"), [(True, 0.5), (False, 1e-3)])
def test_a_constant_is_divided_by_the_least_deviation(whole: bool, least: float):
    scale = updated([torch.full((20, 1), 7.0)], (1,), whole=whole)
    assert scale.deviation.item() == pytest.approx(least)
    assert scale(torch.tensor([[7.0 + least]])).item() == pytest.approx(1.0, rel=1e-3)


def test_before_anything_was_observed_numbers_pass_as_they_are():
    x = normal(4, 2)
    assert torch.equal(Standardise((2,))(x), x)


def test_one_observation_says_nothing_of_the_deviation():
    scale = updated([torch.tensor([[5.0]])], (1,))
    assert (scale.mean.item(), scale.deviation.item()) == (5.0, 1.0)


def test_reading_changes_nothing():
    scale = updated([normal(50, 2)], (2,))
    before = copy.deepcopy(scale.state_dict())
    first, second = scale(normal(9, 2, seed=1)), scale(normal(9, 2, seed=1))
    assert torch.equal(first, second)
    torch.testing.assert_close(scale.state_dict(), before, rtol=0, atol=0)


@pytest.mark.parametrize("space", [vector(3), image(7), Discrete(4)])
def test_reading_an_encoder_changes_nothing(space: Any):
    features = encoder(space)
    before = copy.deepcopy(features.state_dict())
    features(values(space, 9))
    torch.testing.assert_close(features.state_dict(), before, rtol=0, atol=0)


def test_standardised_numbers_are_cut():
    scale = updated([normal(500, 1)], (1,))
    assert scale(torch.tensor([[1e9], [-1e9]])).tolist() == [[CLIP], [-CLIP]]


def test_statistics_travel_in_the_state_dict():
    scale, other = updated([3 + normal(50, 2)], (2,)), Standardise((2,))
    other.load_state_dict(scale.state_dict())
    more = normal(20, 2, seed=5)
    scale.observe(more)
    other.observe(more)
    torch.testing.assert_close(other.state_dict(), scale.state_dict(), rtol=0, atol=0)


def test_observing_keeps_no_gradient():
    scale = updated([normal(5, 2).requires_grad_(True)], (2,))
    assert not scale.mean.requires_grad
    assert not scale.deviation.requires_grad


def values(space: Any, count: int, seed: int = 0) -> Tensor:
    """A batch of values, as replay would hold it."""
    g = torch.Generator().manual_seed(seed)
    if isinstance(space, Discrete):
        return torch.randint(int(space.n), (count,), generator=g)
    if space.dtype == np.uint8:
        return torch.randint(0, 256, (count, *space.shape), dtype=torch.uint8, generator=g)
    return torch.randn(count, *space.shape, generator=g)


def test_a_discrete_value_is_one_hot():
    features = encoder(Discrete(4))
    assert isinstance(features, OneHotEncoder)
    assert features.size == 4
    assert features(torch.tensor([2, 0])).tolist() == [[0.0, 0.0, 1.0, 0.0], [1.0, 0.0, 0.0, 0.0]]


@pytest.mark.parametrize("shape", [(3,), (2, 3), (1,)])
def test_a_box_is_one_standardised_vector(shape: tuple[int, ...]):
    space = Box(-np.inf, np.inf, shape, dtype=np.float32)
    features, x = encoder(space), 4 + 2 * normal(200, *shape)
    assert isinstance(features, VectorEncoder)
    features.observe(x)
    y = features(x)
    assert y.shape == (200, features.size) == (200, math.prod(shape))
    torch.testing.assert_close(y.mean(0), torch.zeros(features.size), atol=1e-4, rtol=0)
    torch.testing.assert_close(y.std(0, correction=0), torch.ones(features.size), atol=1e-3, rtol=0)


SMALL = [(1, 1, 1), (3, 3, 1), (7, 7, 3), (8, 8, 3), (10, 10, 4), (12, 12, 3), (24, 24, 3)]
LAST = [*SMALL, (84, 84, 3), (84, 84, 4), (64, 64, 1), (2, 40, 3)]
SHAPES = [*LAST, (4, 84, 84), (3, 7, 9)]


@pytest.mark.parametrize("shape", SHAPES)
def test_an_image_has_the_features_that_are_announced(shape: tuple[int, ...]):
    space = Box(0, 255, shape, dtype=np.uint8)
    features, x = encoder(space), values(space, 3)
    assert isinstance(features, ImageEncoder)
    features.observe(x)
    y = features(x)
    assert y.shape == (3, features.size)
    assert bool(torch.isfinite(y).all())
    torch.testing.assert_close(features(x[1:2]), y[1:2], atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(features(x.float()), y)


def test_stacked_frames_may_come_first():
    last, first = (encoder(Box(0, 255, shape, dtype=np.uint8)) for shape in [(84, 80, 4), (4, 84, 80)])
    first.net.load_state_dict(last.net.state_dict())
    x = values(Box(0, 255, (84, 80, 4), dtype=np.uint8), 3)
    torch.testing.assert_close(first(x.movedim(-1, 1)), last(x))


@pytest.mark.parametrize("shape", [(7, 7, 3), (24, 24, 3), (84, 84, 3)])
def test_every_pixel_of_an_image_can_be_seen(shape: tuple[int, ...]):
    """MiniGrid's 7 by 7 view would be lost to the strides that suit a screen; a screen may lose its last rows."""
    features = encoder(Box(0, 255, shape, dtype=np.uint8))
    x = torch.rand(2, *shape, requires_grad=True)
    (gradient,) = torch.autograd.grad(features(x).square().sum(), x)
    seen = (gradient != 0).any(0).any(-1)
    assert bool(seen[: shape[0] - 5, : shape[1] - 5].all())
    if shape[0] == 7:
        assert bool(seen.all())


def test_a_screen_does_not_become_more_features_than_a_layer_can_take():
    assert encoder(image(84)).size < 10_000


@pytest.mark.parametrize(
    ("space", "whole", "picture"),
    [
        (vector(3), False, False),
        (image(7), True, True),
        (Box(0, 1, (7, 7, 3), dtype=np.float32), False, False),
        (Box(0, 9, (5,), dtype=np.int64), True, False),
    ],
)
def test_what_counts_as_whole_and_as_an_image(space: Box, whole: bool, picture: bool):
    assert (is_whole(space), is_image(space)) == (whole, picture)


def test_other_spaces_are_refused():
    with pytest.raises(InputError, match=r"Expected a Discrete or Box space, but got MultiBinary.*; flatten it first"):
        encoder(MultiBinary(3))


def test_a_pair_of_vectors_shows_the_change():
    pair = PairEncoder(vector(2), vector(2))
    state, future = normal(5, 2), normal(5, 2, seed=1)
    assert pair.size == 4
    torch.testing.assert_close(pair(state, future), torch.cat([state, future - state], -1))


def test_the_change_is_standardised_on_its_own():
    pair = PairEncoder(vector(2), vector(2))
    state = 100 * normal(1_000, 2)
    future = state + 0.01 + 0.1 * normal(1_000, 2, seed=1)
    pair.observe(state, future)
    seen = pair(state, future)[:, 2:]
    torch.testing.assert_close(seen.mean(0), torch.zeros(2), atol=1e-2, rtol=0)
    torch.testing.assert_close(seen.std(0), torch.ones(2), atol=1e-2, rtol=0)


@pytest.mark.parametrize(
    ("states", "futures"),
    [(vector(2), vector(3)), (Discrete(3), Discrete(3)), (image(4), image(4)), (vector(2), Discrete(3))],
)
def test_other_pairs_show_both_as_they_are(states: Any, futures: Any):
    pair = PairEncoder(states, futures)
    state, future = values(states, 6), values(futures, 6, seed=1)
    pair.observe(state, future)
    seen = pair(state, future)
    assert seen.shape == (6, pair.size)
    torch.testing.assert_close(seen, torch.cat([pair.first(state), pair.second(future)], -1))


@pytest.mark.parametrize("hidden", [(), (5,), (8, 3)])
def test_a_perceptron_has_rectified_layers_between_linear_ones(hidden: tuple[int, ...]):
    net = mlp(4, hidden, 2)
    x = normal(6, 4)
    linear = [layer for layer in net if isinstance(layer, torch.nn.Linear)]
    assert [(layer.in_features, layer.out_features) for layer in linear] == [
        *zip([4, *hidden], [*hidden, 2], strict=True)
    ]
    by_hand = x
    for layer in linear[:-1]:
        by_hand = layer(by_hand).clamp_min(0)
    torch.testing.assert_close(net(x), linear[-1](by_hand))


@pytest.mark.parametrize("hidden", [(), (5,), (8, 3)])
def test_an_ensemble_is_separate_perceptrons(hidden: tuple[int, ...]):
    ensemble = Ensemble(3, 4, hidden, 2)
    x = normal(6, 4)
    together = ensemble(x)
    assert together.shape == (3, 6, 2)
    for member in range(3):
        net = mlp(4, hidden, 2)
        for number, layer in enumerate(layer for layer in net if isinstance(layer, torch.nn.Linear)):
            with torch.no_grad():
                layer.weight.copy_(ensemble.weights[number][member].T)
                layer.bias.copy_(ensemble.biases[number][member, 0])
        torch.testing.assert_close(together[member], net(x))


def test_the_gradient_of_one_member_leaves_the_others_alone():
    ensemble = Ensemble(2, 4, (5,), 1)
    ensemble(normal(6, 4))[0].sum().backward()
    assert bool((ensemble.weights[0].grad[0] != 0).any())
    assert not bool((ensemble.weights[0].grad[1] != 0).any())


def test_members_start_apart_and_as_torch_starts_a_linear_layer():
    ensemble = Ensemble(2, 100, (50,), 1)
    assert not torch.equal(ensemble.weights[0][0], ensemble.weights[0][1])
    bound = torch.tensor(1 / math.sqrt(100))  # as a float32, like the weights: 0.1 itself is rounded up
    assert bool((ensemble.weights[0].detach().abs() <= bound).all())
    assert float(ensemble.weights[0].detach().std()) == pytest.approx(float(bound) / math.sqrt(3), rel=0.05)


@pytest.mark.parametrize(("space", "numbers"), [(Discrete(5), 5), (vector(3), 3), (Box(0, 1, (2, 4)), 8)])
def test_the_width_of_a_space(space: Any, numbers: int):
    assert width(space) == numbers


def test_a_network_sees_actions_one_hot_or_squashed():
    assert action_features(Discrete(3), torch.tensor([1])).tolist() == [[0.0, 1.0, 0.0]]
    u = torch.tensor([[0.5, -30.0]])
    torch.testing.assert_close(action_features(vector(2), u), u.tanh())


@pytest.mark.parametrize("space", [vector(3), image(7), Discrete(4)])
def test_features_have_the_default_dtype(space: Any):
    assert encoder(space)(values(space, 2)).dtype == torch.get_default_dtype()


def test_equal_images_are_looked_at_once_and_answered_as_if_each_were(monkeypatch: pytest.MonkeyPatch):
    space = Box(0, 255, (12, 12, 3), np.uint8)
    few = torch.randint(0, 256, (3, 12, 12, 3), dtype=torch.uint8)
    which = torch.tensor([2, 0, 2, 1, 0, 0])
    pair = ImagePair(space, 8)
    pair.observe(few, few.flip(0))
    seen: list[int] = []
    look = ImageEncoder.forward
    monkeypatch.setattr(ImageEncoder, "forward", lambda self, x: (seen.append(len(x)), look(self, x))[1])
    together = pair(few[which], few[which.flip(0)])
    assert seen == [3]
    alone = torch.cat([pair(few[i : i + 1], few[j : j + 1]) for i, j in zip(which, which.flip(0), strict=True)])
    torch.testing.assert_close(together, alone)
    assert together.shape == (6, pair.size) == (6, 16)


def test_the_gradient_of_images_that_are_alike_is_the_sum_of_theirs():
    space = Box(0, 255, (12, 12, 3), np.uint8)
    image = torch.randint(0, 256, (1, 12, 12, 3), dtype=torch.uint8)
    look = DeduplicatedImages(ImageEncoder(space), 4)
    one, five = (torch.autograd.grad(look(image.expand(n, -1, -1, -1)).sum(), look.few.weight)[0] for n in (1, 5))
    torch.testing.assert_close(five, 5 * one)
