"""Encoders: features of values of Gymnasium spaces, for the engine and for programs.

`encoder` builds the feature extractor of a space; multilayer perceptrons are built on top of the features.
"""

import math
from collections.abc import Callable
from typing import Any

from gymnasium import Space
from gymnasium.spaces import Box, Discrete
from torch import Tensor, nn

from gio_pyro.errors import InputError
from gio_pyro.nn.images import ImageEncoder, is_image
from gio_pyro.nn.vectors import Encoder, OneHotEncoder, VectorEncoder, is_whole, joined, one_hot


def encoder(space: Space[Any]) -> Encoder:
    """Return the encoder of a space: one-hot, standardised values, or convolutions of an image.

    Raises:
        InputError: a space that is neither Discrete nor a Box (the engine flattens others).
    """
    if isinstance(space, Discrete):
        return OneHotEncoder(int(space.n))
    if not isinstance(space, Box):
        raise InputError(f"Expected a Discrete or Box space, but got {space}; flatten it first.")
    images = is_image(space) or (is_whole(space) and len(space.shape) == 4)
    return ImageEncoder(space) if images else VectorEncoder(space)


Baseline = Callable[[Tensor], Tensor]
"""A prediction of the future from the state alone, `[B, ...] -> [B, ...]`."""


def baseline_of(states: Space[Any], futures: Space[Any], given: Baseline | None) -> Baseline | None:
    """Return the baseline subtracted from a real-valued future: the `given` one, the state if F is a state, or None."""
    if not isinstance(futures, Box):
        return None
    if given is not None and not is_whole(futures):
        return given
    return identity if futures == states else None


def identity(state: Tensor) -> Tensor:
    """Return the state."""
    return state


class PairEncoder(nn.Module):
    """Features of a state and a future, `[..., B, *shape] -> [..., B, size]`; batch dimensions are broadcast.

    If a future is a state, its difference from s is encoded: with short time steps the effect of an action is a small
    difference of states.

    Args:
        states: the space of s.
        futures: the space of F.
        baseline: prediction of F from s alone (`Spec.baseline`).
    """

    def __init__(self, states: Space[Any], futures: Space[Any], baseline: Baseline | None = None) -> None:
        super().__init__()
        image = isinstance(futures, Box) and is_image(futures)
        self.baseline = None if image else baseline_of(states, futures, baseline)
        self.first, self.second = encoder(states), encoder(futures)
        self.size = self.first.size + self.second.size

    def observe(self, state: Tensor, future: Tensor) -> None:
        """Update the input statistics with new pairs."""
        self.first.observe(state)
        self.second.observe(self._difference(state, future))

    def forward(self, state: Tensor, future: Tensor) -> Tensor:
        """Return the concatenated features of both."""
        return joined(self.first(state), self.second(self._difference(state, future)))

    def _difference(self, state: Tensor, future: Tensor) -> Tensor:
        return future if self.baseline is None else future - self.baseline(state)


def width(space: Space[Any]) -> int:
    """Return the number of features of a value of a Discrete space (one-hot) or Box space (flattened)."""
    if isinstance(space, Discrete):
        return int(space.n)
    assert space.shape is not None
    return math.prod(space.shape)


def action_features(space: Space[Any], action: Tensor) -> Tensor:
    """Return the features of an action, `[..., B, width]`: one-hot, or values squashed into (−1, 1).

    The squash is the tanh that the engine applies before passing the action to the environment.
    """
    if isinstance(space, Discrete):
        return one_hot(action, int(space.n))
    return action.tanh()
