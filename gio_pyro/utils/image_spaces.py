"""Spaces of images, and where their channels are."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from gymnasium.spaces import Box


class Picture(Box):
    """A Box of uint8 images with a known channel axis.

    Args:
        low: smallest values, `[H, W, C]` or `[C, H, W]`.
        high: largest values.
        axis: the channel axis, 0 or 2.
    """

    def __init__(self, low: Any, high: Any, *, axis: int) -> None:
        super().__init__(low, high, dtype=np.uint8)
        self.axis = axis


def channel_axis(shape: Sequence[int]) -> int:
    """Infer the channel axis, 0 or 2, of an image from its shape.

    It is the last axis, but the first if that is the smallest of the three (stacked frames), or if the other two are
    equal, differ from the first, and are larger than 4 (more channels than pixels on a side).
    """
    first, second, last = shape
    return 0 if first < min(second, last) or (second == last != first and last > 4) else 2


def axis_of(space: Box) -> int:
    """Return the channel axis, 0 or 2, of a space of images."""
    return space.axis if isinstance(space, Picture) else channel_axis(space.shape)
