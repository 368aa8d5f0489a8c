"""A convolutional model of image futures."""

import math
from collections.abc import Sequence

import pyro.distributions as dist
from gymnasium.spaces import Box
from torch import Tensor, nn

from gio_pyro.errors import InputError
from gio_pyro.models.real import RealModel
from gio_pyro.nn import axis_of, is_image, mlp
from gio_pyro.types import Spec

CHANNELS = 32
"""Channels of the coarse feature map."""


class ImageModel(RealModel):
    """p_ψ(F|s, a) = N(mean, scale²) for each pixel, from convolutions of the state and transposed convolutions.

    A network maps features of state and action to a feature map of a quarter of each side, which two transposed
    convolutions upsample to mean and scale of each pixel. It has far fewer weights than `GaussianModel` and generalises
    between positions.

    Raises:
        InputError: futures that are not integer images.
    """

    def __init__(self, spec: Spec) -> None:
        super().__init__(spec)
        if not is_image(spec.future_space):  # type: ignore[arg-type]
            raise InputError(
                f"Expected a Box of images for ImageModel, but got {spec.future_space}; use a GaussianModel."
            )
        self.layout = Layout(spec.future_space)  # type: ignore[arg-type]
        self.net, self.draw = self.layout.networks(self.inputs, spec.hidden)

    def outcome(self, state: Tensor, action: Tensor) -> dist.Independent:
        """Return p_ψ(F|s, a), a batch of B normal distributions."""
        mean, raw = self.layout.numbers(self.net, self.draw, self.features(state, action))
        outcome: dist.Independent = dist.Normal(self.place(state, mean), self.scale(raw)).to_event(3)
        return outcome


class Layout:
    """Where pixels and channels of an image are, and the networks that draw it.

    Args:
        space: integer images `[H, W, C]` or `[C, H, W]`.
    """

    def __init__(self, space: Box) -> None:
        self.axis = axis_of(space)
        self.channels = space.shape[self.axis]
        height, width = space.shape[1:] if self.axis == 0 else space.shape[:2]
        self.sides = (height, width)
        self.coarse = (CHANNELS, math.ceil(height / 4), math.ceil(width / 4))

    def networks(self, inputs: int, hidden: Sequence[int]) -> tuple[nn.Sequential, nn.Sequential]:
        """Return the network of the coarse feature map, and the transposed convolutions that upsample it."""
        upsample = nn.Sequential(
            nn.ReLU(),
            nn.ConvTranspose2d(CHANNELS, CHANNELS, 4, 2, 1),
            nn.ReLU(),
            nn.ConvTranspose2d(CHANNELS, 2 * self.channels, 4, 2, 1),
        )
        return mlp(inputs, hidden, math.prod(self.coarse)), upsample

    def numbers(self, net: nn.Module, upsample: nn.Module, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return mean and raw scale of each pixel, `[..., B, *shape]`, from features `[..., B, inputs]`."""
        coarse = net(x).unflatten(-1, self.coarse)
        drawn = upsample(coarse.flatten(0, -4)).unflatten(0, coarse.shape[:-3])
        pixels = drawn[..., : self.sides[0], : self.sides[1]]
        mean, raw = (half.movedim(-3, self.axis - 3) for half in pixels.chunk(2, -3))
        return mean, raw
