"""A model whose futures are images: what the action changes is drawn, not listed pixel by pixel."""

import math

import pyro.distributions as dist
from torch import Tensor, nn

from gio_pyro.errors import InputError
from gio_pyro.models.real import RealModel
from gio_pyro.nn import axis_of, is_image, mlp
from gio_pyro.types import Spec

CHANNELS = 32
"""Of the coarse picture that a network draws first."""


class ImageModel(RealModel):
    """p_ψ(F|s, a) = N(mean, scale²) for each pixel: convolutions see the state, transposed ones draw the future.

    A network turns features of state and action into a picture of a quarter of each side, which two transposed
    convolutions enlarge to mean and scale of each pixel. Neighbouring pixels share weights, so it has far fewer of them
    than `GaussianModel`, and what it learns in one corner holds in the others.

    Raises:
        InputError: futures that are no images of whole numbers.
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
        drawn = self.draw(coarse)[..., : self.sides[0], : self.sides[1]]
        mean, raw = (x.movedim(1, 1 + self.channels) for x in drawn.chunk(2, 1))
        outcome: dist.Independent = dist.Normal(self.place(state, mean), self.scale(raw)).to_event(3)
        return outcome
