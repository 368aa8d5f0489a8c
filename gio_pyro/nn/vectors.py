"""Encoders of Discrete spaces, one-hot, and of real vectors, standardised."""

import math

import torch
from gymnasium.spaces import Box
from torch import Tensor, nn

from gio_pyro.nn.perceptrons import Standardise


def one_hot(x: Tensor, count: int) -> Tensor:
    """Return the one-hot encoding of indices, `[..., count]`.

    Unlike torch's one_hot it does not check the range of the indices, which would synchronise with the device.
    """
    return (x.unsqueeze(-1) == torch.arange(count, device=x.device)).to(torch.get_default_dtype())


def joined(*parts: Tensor) -> Tensor:
    """Return features `[..., B, n_i]` concatenated along the last dimension, batch dimensions broadcast."""
    batches = [part.shape[:-1] for part in parts]
    if any(batch != batches[0] for batch in batches[1:]):
        batch = torch.broadcast_shapes(*batches)
        parts = tuple(part.expand(*batch, part.shape[-1]) for part in parts)
    return torch.cat(parts, -1)


class Encoder(nn.Module):
    """Features of a value of a space, `[..., B, *shape] -> [..., B, size]`; `observe` updates input statistics."""

    size: int

    def observe(self, x: Tensor) -> None:
        """Update the input statistics, if there are any, with a batch."""


class OneHotEncoder(Encoder):
    """One-hot features of a Discrete space."""

    def __init__(self, count: int) -> None:
        super().__init__()
        self.size = count

    def forward(self, x: Tensor) -> Tensor:
        """Return one-hot vectors, `[..., B, count]`."""
        return one_hot(x, self.size)


class VectorEncoder(Encoder):
    """Features of a Box space: flattened and standardised."""

    def __init__(self, space: Box) -> None:
        super().__init__()
        self.size, self.dimensions = math.prod(space.shape), len(space.shape)
        self.scale = Standardise((self.size,), whole=is_whole(space))

    def observe(self, x: Tensor) -> None:
        """Update the input statistics with `[B, ...]`."""
        self.scale.observe(x.flatten(1))

    def forward(self, x: Tensor) -> Tensor:
        """Return standardised values, `[..., B, size]`."""
        scaled: Tensor = self.scale(x.flatten(-self.dimensions))
        return scaled


def is_whole(space: Box) -> bool:
    """Return whether a Box holds integers."""
    return space.dtype is not None and space.dtype.kind in "ui"
