"""Encoders of images by convolutions."""

import math

import torch
from gymnasium.spaces import Box
from torch import Tensor, nn
from torch.nn.functional import embedding

from gio_pyro.nn.perceptrons import Standardise
from gio_pyro.nn.vectors import Encoder, is_whole
from gio_pyro.utils.image_spaces import axis_of, channel_axis


def is_image(space: Box) -> bool:
    """Return whether a Box is an image: integers along three axes."""
    return is_whole(space) and len(space.shape) == 3


class ImageEncoder(Encoder):
    """Features of an integer image, or of several: three convolutions, strided where the image is large enough.

    The channel axis is that of a `Picture`, or inferred from the shape by `channel_axis`. Images along a leading axis,
    such as those of a trajectory, are concatenated along the channels.
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
        """Update the input statistics with `[B, H, W, C]` or `[B, C, H, W]`, or several `[B, K, ...]`."""
        self.scale.observe(x)

    def forward(self, x: Tensor) -> Tensor:
        """Return features, `[..., B, size]`."""
        batch = x.shape[: x.ndim - len(self.scale.mean.shape)]
        scaled: Tensor = self.scale(x).flatten(0, len(batch) - 1)
        if self.several:
            scaled = scaled.movedim(2 + self.channels, 2).flatten(1, 2)
        else:
            scaled = scaled.movedim(1 + self.channels, 1)
        features: Tensor = self.net(scaled).unflatten(0, batch)
        return features


class DeduplicatedImages(Encoder):
    """Features of images that are computed once for equal images: batches from small environments repeat many.

    A linear layer after the convolutions reduces the number of features that are copied to equal images. On a GPU all
    images are encoded, as finding equal ones would synchronise with the device.

    Args:
        inner: the image encoder.
        units: number of features.
    """

    def __init__(self, inner: ImageEncoder, units: int) -> None:
        super().__init__()
        self.inner, self.size = inner, units
        self.few = nn.Linear(inner.size, units)

    def observe(self, x: Tensor) -> None:
        """Update the input statistics with images `[B, ...]`."""
        self.inner.observe(x)

    def forward(self, x: Tensor) -> Tensor:
        """Return features, `[..., B, size]`."""
        batch = x.shape[: x.ndim - len(self.inner.scale.mean.shape)]
        rows = x.flatten(0, len(batch) - 1)
        unique, index = unique_rows(rows) if x.device.type == "cpu" else (rows, None)
        few: Tensor = self.few(self.inner(unique)).relu()
        features: Tensor = (few if index is None else embedding(index, few)).unflatten(0, batch)
        return features


def unique_rows(x: Tensor) -> tuple[Tensor, Tensor]:
    """Return the D unique rows of x `[B, ...]`, `[D, ...]`, and the index of each row among them, `[B]`.

    Rows are compared as bytes: `torch.unique` along an axis takes as long as the convolutions.
    """
    rows = [row.tobytes() for row in x.numpy()]
    first: dict[bytes, int] = {}
    for number, row in enumerate(rows):
        first.setdefault(row, number)
    index = {row: number for number, row in enumerate(first)}
    return x[[*first.values()]], torch.tensor([index[row] for row in rows])


def deduplicated(encoder: "Encoder", units: int) -> "Encoder":
    """Return an encoder that encodes equal images once; other encoders, which are cheap, are unchanged."""
    return DeduplicatedImages(encoder, units) if isinstance(encoder, ImageEncoder) else encoder


class ImagePair(nn.Module):
    """Features of two images of one space, `[..., B, *shape] -> [..., B, size]`, by one shared network.

    Args:
        space: the space of both images.
        units: number of features of each.
    """

    def __init__(self, space: Box, units: int) -> None:
        super().__init__()
        self.each = DeduplicatedImages(ImageEncoder(space), units)
        self.size = 2 * units

    def observe(self, state: Tensor, future: Tensor) -> None:
        """Update the input statistics with new pairs."""
        self.each.observe(torch.cat([state, future]))

    def forward(self, state: Tensor, future: Tensor) -> Tensor:
        """Return the concatenated features of both."""
        state, future = torch.broadcast_tensors(state, future)
        return torch.cat(self.each(torch.cat([state, future])).chunk(2), -1)
