"""What a world model says of an observation: vectors, images, and values of a Discrete space."""

import math
from typing import Any

import pyro.distributions as dist
import torch
from gymnasium import Space
from gymnasium.spaces import Box, Discrete
from torch import Tensor, nn

from gio_pyro.models.image import Layout
from gio_pyro.models.real import bounded_scale
from gio_pyro.nn import Standardise, is_image, mlp
from gio_pyro.types import Transitions


class VectorEmission(nn.Module):
    """A normal distribution of each number, around the last observation where there is one.

    Args:
        space: vectors.
        inputs: features.
        units: of the hidden layer.
        floor_nats: −log of the least scale, in deviations of a change.
    """

    def __init__(self, space: Box, inputs: int, units: int, floor_nats: float) -> None:
        super().__init__()
        self.numbers, self.floor_nats = math.prod(space.shape), floor_nats
        self.shape, self.shown = space.shape, 2 * self.numbers
        self.level, self.change = Standardise((self.numbers,)), Standardise((self.numbers,))
        self.net = mlp(inputs, (units,), 2 * self.numbers)

    def observe(self, rows: Transitions) -> None:
        """Update the statistics of observations and of their changes."""
        self.level.observe(rows.next_state.flatten(1))
        self.change.observe((rows.next_state - rows.state).flatten(1))

    def scaled(self, last: Tensor) -> Tensor:
        """Return the last observation and its change, `[B, 2 d]`, standardised."""
        level, change = last.chunk(2, -1)
        return torch.cat([self.level(level), self.change(change)], -1)

    def forward(self, x: Tensor, last: Tensor | None) -> Any:
        """Return the distribution given features `[..., B, inputs]`, the last observation and its change `[B, 2 d]`."""
        mean, raw = self.net(x).chunk(2, -1)
        known = self.level if last is None else self.change
        centre = known.mean if last is None else last[..., : self.numbers] + known.mean
        place, scale = centre + known.deviation * mean, known.deviation * bounded_scale(raw, self.floor_nats)
        shape = (*mean.shape[:-1], *self.shape)
        return dist.Normal(place.reshape(shape), scale.reshape(shape)).to_event(len(self.shape))


class DiscreteEmission(nn.Module):
    """A categorical distribution; arguments as for vectors. The last observation is one-hot."""

    def __init__(self, space: Discrete, inputs: int, units: int) -> None:
        super().__init__()
        self.shown = int(space.n)
        self.net = mlp(inputs, (units,), self.shown)

    def observe(self, rows: Transitions) -> None:
        """Update nothing: there are no statistics."""

    def scaled(self, last: Tensor) -> Tensor:
        """Return the last observation, `[B, n]`."""
        return last

    def forward(self, x: Tensor, last: Tensor | None) -> Any:
        """Return the distribution given features `[..., B, inputs]`."""
        return dist.Categorical(logits=self.net(x))


class ImageEmission(nn.Module):
    """A normal distribution of each pixel, by transposed convolutions; images are no part of a belief."""

    shown = 0

    def __init__(self, space: Box, inputs: int, units: int, floor_nats: float) -> None:
        super().__init__()
        self.floor_nats, self.layout = floor_nats, Layout(space)
        self.level = Standardise(space.shape, whole=True)
        self.net, self.draw = self.layout.networks(inputs, (units,))

    def observe(self, rows: Transitions) -> None:
        """Update the statistics of each pixel."""
        self.level.observe(rows.next_state)

    def scaled(self, last: Tensor) -> Tensor:
        """Return nothing, `[B, 0]`."""
        return last

    def forward(self, x: Tensor, last: Tensor | None) -> Any:
        """Return the distribution given features `[..., B, inputs]`."""
        mean, raw = self.layout.numbers(self.net, self.draw, x)
        unit = self.level.deviation
        return dist.Normal(self.level.mean + unit * mean, unit * bounded_scale(raw, self.floor_nats)).to_event(3)


Emission = VectorEmission | DiscreteEmission | ImageEmission


def emission(space: Space[Any], inputs: int, units: int, floor_nats: float) -> Emission:
    """Return the emission of this kind of observation."""
    if isinstance(space, Discrete):
        return DiscreteEmission(space, inputs, units)
    assert isinstance(space, Box)
    kind = ImageEmission if is_image(space) else VectorEmission
    return kind(space, inputs, units, floor_nats)


def in_belief(space: Space[Any]) -> int:
    """Return how many numbers of a belief the last observation takes, with its change for vectors; none for images."""
    if isinstance(space, Discrete):
        return int(space.n)
    return 0 if isinstance(space, Box) and is_image(space) else 2 * math.prod(space.shape or ())
