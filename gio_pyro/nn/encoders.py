"""Encoders: features of values of Gymnasium spaces, for the engine and for programs.

A value is turned into features once, by `encoder`; a multilayer perceptron is built on top of them.
"""

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import torch
from gymnasium import Space
from gymnasium.spaces import Box, Discrete
from torch import Tensor, nn
from torch.nn.functional import embedding

from gio_pyro.errors import InputError
from gio_pyro.nn.perceptrons import Standardise


def indicators(x: Tensor, count: int) -> Tensor:
    """Return 1 at the place of each index and 0 elsewhere, `[..., count]`.

    torch's own one_hot asks the device whether the indices are in range, and so waits for it.
    """
    return (x.unsqueeze(-1) == torch.arange(count, device=x.device)).to(torch.get_default_dtype())


class Encoder(nn.Module):
    """Features of a value of a space, `[B, ...] -> [B, size]`; `observe` tells it what values look like."""

    size: int

    def observe(self, x: Tensor) -> None:
        """Take a batch into the input statistics, where there are any."""


class OneHot(Encoder):
    """A Discrete space."""

    def __init__(self, count: int) -> None:
        super().__init__()
        self.size = count

    def forward(self, x: Tensor) -> Tensor:
        """Return indicators, `[B, count]`."""
        return indicators(x, self.size)


class Vector(Encoder):
    """A Box space, flattened and standardised."""

    def __init__(self, space: Box) -> None:
        super().__init__()
        self.size = math.prod(space.shape)
        self.scale = Standardise((self.size,), whole=is_whole(space))

    def observe(self, x: Tensor) -> None:
        """Take `[B, ...]` into the statistics."""
        self.scale.observe(x.flatten(1))

    def forward(self, x: Tensor) -> Tensor:
        """Return standardised numbers, `[B, size]`."""
        scaled: Tensor = self.scale(x.flatten(1))
        return scaled


class Image(Encoder):
    """An image of whole numbers, or several: three convolutions, strided where there is room.

    Its channels are the axis that a `Picture` says, else what `channel_axis` makes of its shape. Images along a further
    axis in front, such as those of a trajectory, are seen as the channels of one.
    """

    def __init__(self, space: Box) -> None:
        super().__init__()
        self.several = len(space.shape) == 4
        shape = space.shape[-3:]
        self.channels = channel_axis(shape) if self.several else axis_of(space)
        channels = math.prod(space.shape[:-3]) * shape[self.channels]
        height, width = (size for axis, size in enumerate(shape) if axis != self.channels)
        self.scale = Standardise(space.shape, whole=True)
        layers: list[nn.Module] = []
        for outputs in (16, 32, 64):
            stride = 2 if min(height, width) >= 8 else 1
            kernel = min(3, height, width)
            layers += [nn.Conv2d(channels, outputs, kernel, stride), nn.ReLU()]
            height, width = (height - kernel) // stride + 1, (width - kernel) // stride + 1
            channels = outputs
        self.net = nn.Sequential(*layers, nn.Flatten())
        self.size = channels * height * width

    def observe(self, x: Tensor) -> None:
        """Take `[B, H, W, C]` or `[B, C, H, W]`, or several of them `[B, K, ...]`, into the statistics."""
        self.scale.observe(x)

    def forward(self, x: Tensor) -> Tensor:
        """Return features, `[B, size]`."""
        scaled: Tensor = self.scale(x)
        if self.several:
            scaled = scaled.movedim(2 + self.channels, 2).flatten(1, 2)
        else:
            scaled = scaled.movedim(1 + self.channels, 1)
        features: Tensor = self.net(scaled)
        return features


class Distinct(Encoder):
    """Looks at equal images once: of a small world's pictures a batch of many sequences holds few different ones.

    A layer after the convolutions makes few features of many, so that only few are copied to all that look alike. On a
    GPU it looks at all, since to find the equal ones the host would have to wait.

    Args:
        inner: what looks at an image.
        units: how many features are made of what it finds.
    """

    def __init__(self, inner: Image, units: int) -> None:
        super().__init__()
        self.inner, self.size = inner, units
        self.few = nn.Linear(inner.size, units)

    def observe(self, x: Tensor) -> None:
        """Take images `[B, ...]` into the statistics."""
        self.inner.observe(x)

    def forward(self, x: Tensor) -> Tensor:
        """Return features, `[B, size]`."""
        different, which = distinct(x) if x.device.type == "cpu" else (x, None)
        found: Tensor = self.few(self.inner(different)).relu()
        return found if which is None else embedding(which, found)


def distinct(x: Tensor) -> tuple[Tensor, Tensor]:
    """Return the rows that differ, `[D, ...]`, and for each row of x `[B, ...]` which of them it is, `[B]`.

    They are compared as bytes: torch's own `unique` along an axis takes as long as the convolutions.
    """
    rows = [row.tobytes() for row in x.numpy()]
    first: dict[bytes, int] = {}
    for number, row in enumerate(rows):
        first.setdefault(row, number)
    place = {row: number for number, row in enumerate(first)}
    return x[[*first.values()]], torch.tensor([place[row] for row in rows])


def looking_once(encoder: "Encoder", units: int) -> "Encoder":
    """Return an encoder that looks at equal images once; others, which cost little, as they are."""
    return Distinct(encoder, units) if isinstance(encoder, Image) else encoder


def is_whole(space: Box) -> bool:
    """Whether the numbers of a Box are integers."""
    return space.dtype is not None and space.dtype.kind in "ui"


def is_image(space: Box) -> bool:
    """Whether a Box is an image: whole numbers along three axes."""
    return is_whole(space) and len(space.shape) == 3


class Picture(Box):
    """A Box of uint8 pictures that says which axis holds the channels.

    Args:
        low: least values, `[H, W, C]` or `[C, H, W]`.
        high: largest values.
        axis: that of the channels, 0 or 2.
    """

    def __init__(self, low: Any, high: Any, *, axis: int) -> None:
        super().__init__(low, high, dtype=np.uint8)
        self.axis = axis


def channel_axis(shape: Sequence[int]) -> int:
    """Return the axis, 0 or 2, that holds the channels of pictures of three axes, from their shape.

    It is the last, but the first where that is the shortest of the three (stacked frames), or where the others are the
    equal sides of a picture of more channels than a side has points.
    """
    first, second, last = shape
    return 0 if first < min(second, last) or (second == last != first and last > 4) else 2


def axis_of(space: Box) -> int:
    """Return the axis, 0 or 2, that holds the channels of a space of pictures."""
    return space.axis if isinstance(space, Picture) else channel_axis(space.shape)


def encoder(space: Space[Any]) -> Encoder:
    """Return features of a space: indicators, standardised numbers, or convolutions of an image.

    Raises:
        InputError: a space that is neither Discrete nor a Box (the engine flattens others before they come here).
    """
    if isinstance(space, Discrete):
        return OneHot(int(space.n))
    if not isinstance(space, Box):
        raise InputError(f"Expected a Discrete or Box space, but got {space}; flatten it first.")
    return Image(space) if is_image(space) or (is_whole(space) and len(space.shape) == 4) else Vector(space)


Baseline = Callable[[Tensor], Tensor]
"""What one would say of a future from its state alone, `[B, ...] -> [B, ...]`."""


def baseline_of(states: Space[Any], futures: Space[Any], given: Baseline | None) -> Baseline | None:
    """Return what is subtracted from a future of real numbers: what is `given`, the state where F is one, or None."""
    if not isinstance(futures, Box):
        return None
    if given is not None and not is_whole(futures):
        return given
    return same if futures == states else None


def same(state: Tensor) -> Tensor:
    """Return the state."""
    return state


class PairEncoder(nn.Module):
    """Features of a state and a future, `[B, ...] -> [B, size]`.

    Where a future is a state, its change from s is what is seen of it: in worlds of short steps all of what an action
    does is in that small difference.

    Args:
        states: the space of s.
        futures: the space of F.
        baseline: what one would say of F from s alone (`Spec.baseline`).
    """

    def __init__(self, states: Space[Any], futures: Space[Any], baseline: Baseline | None = None) -> None:
        super().__init__()
        image = isinstance(futures, Box) and is_image(futures)
        self.baseline = None if image else baseline_of(states, futures, baseline)
        self.first, self.second = encoder(states), encoder(futures)
        self.size = self.first.size + self.second.size

    def observe(self, state: Tensor, future: Tensor) -> None:
        """Take new pairs into the statistics of the inputs."""
        self.first.observe(state)
        self.second.observe(self._change(state, future))

    def forward(self, state: Tensor, future: Tensor) -> Tensor:
        """Return the features of both, side by side."""
        return torch.cat([self.first(state), self.second(self._change(state, future))], -1)

    def _change(self, state: Tensor, future: Tensor) -> Tensor:
        return future if self.baseline is None else future - self.baseline(state)


class ImagePair(nn.Module):
    """Features of two images of one space, `[B, ...] -> [B, size]`, by one network that looks at equal images once.

    Args:
        space: of both.
        units: features of each.
    """

    def __init__(self, space: Box, units: int) -> None:
        super().__init__()
        self.each = Distinct(Image(space), units)
        self.size = 2 * units

    def observe(self, state: Tensor, future: Tensor) -> None:
        """Take new pairs into the statistics of the inputs."""
        self.each.observe(torch.cat([state, future]))

    def forward(self, state: Tensor, future: Tensor) -> Tensor:
        """Return the features of both, side by side."""
        return torch.cat(self.each(torch.cat([state, future])).chunk(2), -1)


def width(space: Space[Any]) -> int:
    """Return how many numbers represent a value of a Discrete or Box space: indicators, or the numbers themselves."""
    if isinstance(space, Discrete):
        return int(space.n)
    assert space.shape is not None
    return math.prod(space.shape)


def action_features(space: Space[Any], action: Tensor) -> Tensor:
    """Return what a network sees of an action, `[B, width]`: indicators, or numbers squashed into (−1, 1).

    The squash is the tanh that the engine applies before the environment sees the action.
    """
    if isinstance(space, Discrete):
        return indicators(action, int(space.n))
    return action.tanh()
