"""Pictures in whichever form environments show them, as one of three axes: `[H, W, C]` or `[C, H, W]`, uint8."""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from gymnasium import Space
from gymnasium.spaces import Box, Dict, Tuple

from gio_pyro.nn import Picture, channel_axis

Array = np.ndarray[Any, np.dtype[Any]]
Path = tuple[str | int, ...]

MIN_GREY_SIDE = 8
"""A matrix of uint8 from 0 to 255 is a grey picture where both sides have this many numbers; a smaller one a vector."""


@dataclass(frozen=True)
class ImageEntry:
    """One entry of an observation that is a picture, or a stack of them.

    Frame k's channel c becomes channel k · C + c.
    """

    path: Path
    """The keys and indices that lead to it."""
    shape: tuple[int, ...]
    """Of the entry: `[H, W]`, or three axes, or these behind those of a stack."""
    axis: int
    """Where the channels are in the picture, 0 or 2."""

    @property
    def sides(self) -> tuple[int, ...]:
        """Height and width."""
        if len(self.shape) == 2:
            return self.shape
        return self.shape[-2:] if self.axis == 0 else self.shape[-3:-1]

    def __call__(self, batch: Array) -> Array:
        """Return pictures `[N, H, W, C]` or `[N, C, H, W]` of entries `[N, *shape]`, frame after frame."""
        count, channels = len(batch), math.prod(self.shape) // math.prod(self.sides)
        if self.axis == 0:
            return batch.reshape(count, channels, *self.sides)
        frames = batch.reshape(count, -1, *self.sides, 1 if len(self.shape) == 2 else self.shape[-1])
        return np.moveaxis(frames, 1, -2).reshape(count, *self.sides, channels)


def image_entries(space: Space[Any], path: Path = ()) -> list[ImageEntry]:
    """Return how an observation becomes a picture; nothing where it is none, or more than pictures of one size."""
    if not isinstance(space, Dict | Tuple):
        return [fold] if (fold := _image_entry(space, path)) else []
    inner = space.spaces.items() if isinstance(space, Dict) else enumerate(space.spaces)
    found = [image_entries(part, (*path, key)) for key, part in inner]
    folds = [fold for some in found for fold in some]
    same = len({(fold.axis, fold.sides) for fold in folds}) == 1
    return folds if same and all(found) else []


def image_space(space: Space[Any], folds: list[ImageEntry]) -> Picture:
    """Return the space of the pictures that `folds` make of a space."""
    entries = [_space_at(space, fold.path) for fold in folds]
    low, high = (stack_images(folds, [getattr(e, bound)[None] for e in entries])[0] for bound in ("low", "high"))
    return Picture(low, high, axis=folds[0].axis)


def stack_images(folds: list[ImageEntry], entries: list[Array]) -> Array:
    """Return pictures `[N, ...]` of the entries `[N, ...]` of an observation, their channels one after the other."""
    parts = [fold(entry) for fold, entry in zip(folds, entries, strict=True)]
    return parts[0] if len(parts) == 1 else np.concatenate(parts, axis=1 + folds[0].axis)


def _space_at(space: Any, path: Path) -> Any:
    for key in path:
        space = space[key]
    return space


def _image_entry(space: Space[Any], path: Path) -> ImageEntry | None:
    if not isinstance(space, Box) or space.dtype != np.uint8 or not math.prod(space.shape):
        return None
    if len(space.shape) == 2:
        full = bool((space.low == 0).all() and (space.high == 255).all())
        return ImageEntry(path, space.shape, 2) if full and min(space.shape) >= MIN_GREY_SIDE else None
    return ImageEntry(path, space.shape, channel_axis(space.shape[-3:])) if len(space.shape) >= 3 else None
