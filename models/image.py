"""A convolutional model of image futures."""

import math

import pyro.distributions as dist
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
        self.channels = axis_of(spec.future_space)  # type: ignore[arg-type]
        height, width = self.shape[1:] if self.channels == 0 else self.shape[:2]
        self.coarse = (CHANNELS, math.ceil(height / 4), math.ceil(width / 4))
        self.net = mlp(self.inputs, spec.hidden, math.prod(self.coarse))
        self.draw = nn.Sequential(
            nn.ReLU(),
            nn.ConvTranspose2d(CHANNELS, CHANNELS, 4, 2, 1),
            nn.ReLU(),
            nn.ConvTranspose2d(CHANNELS, 2 * self.shape[self.channels], 4, 2, 1),
        )
        self.sides = (height, width)

    def outcome(self, state: Tensor, action: Tensor) -> dist.Independent:
        """Return p_ψ(F|s, a), a batch of B normal distributions."""
        coarse = self.net(self.features(state, action)).unflatten(-1, self.coarse)
        drawn = self.draw(coarse.flatten(0, -4)).unflatten(0, coarse.shape[:-3])
        pixels = drawn[..., : self.sides[0], : self.sides[1]]
        mean, raw = (x.movedim(-3, self.channels - 3) for x in pixels.chunk(2, -3))
        outcome: dist.Independent = dist.Normal(self.place(state, mean), self.scale(raw)).to_event(3)
        return outcome
