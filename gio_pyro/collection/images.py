"""Convert image observations in all common layouts to one image `[H, W, C]` or `[C, H, W]`, uint8."""

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from gymnasium import Space
from gymnasium.spaces import Box, Dict, Tuple

from gio_pyro.collection.flattening import Path
from gio_pyro.utils.image_spaces import Picture, channel_axis

Array = np.ndarray[Any, np.dtype[Any]]

MIN_GREY_SIDE = 8
"""Least side of a uint8 matrix with the range 0 to 255 that counts as a grey image; smaller ones are vectors."""


@dataclass(frozen=True)
class ImageEntry:
    """An entry of an observation that is an image or a stack; channel c of frame k becomes channel k · C + c."""

    path: Path
    """Its keys and indices."""
    shape: tuple[int, ...]
    """Shape of the entry: `[H, W]`, `[H, W, C]` or `[C, H, W]`, after leading axes of a stack if any."""
    axis: int
    """Axis of the channels, 0 or 2."""

    @property
    def sides(self) -> tuple[int, ...]:
        """Height and width."""
        if len(self.shape) == 2:
            return self.shape
        return self.shape[-2:] if self.axis == 0 else self.shape[-3:-1]

    def __call__(self, batch: Array) -> Array:
        """Return images `[N, H, W, C]` or `[N, C, H, W]` for entries `[N, *shape]`, frames in order."""
        count, channels = len(batch), math.prod(self.shape) // math.prod(self.sides)
        if self.axis == 0:
            return batch.reshape(count, channels, *self.sides)
        frames = batch.reshape(count, -1, *self.sides, 1 if len(self.shape) == 2 else self.shape[-1])
        return np.moveaxis(frames, 1, -2).reshape(count, *self.sides, channels)


def image_entries(space: Space[Any], path: Path = ()) -> list[ImageEntry]:
    """Return the images in an observation; an empty list unless all entries are images of the same size."""
    if not isinstance(space, Dict | Tuple):
        return [entry] if (entry := _image_entry(space, path)) else []
    inner = space.spaces.items() if isinstance(space, Dict) else enumerate(space.spaces)
    found = [image_entries(part, (*path, key)) for key, part in inner]
    entries = [entry for some in found for entry in some]
    same = len({(entry.axis, entry.sides) for entry in entries}) == 1
    return entries if same and all(found) else []


def image_space(space: Space[Any], entries: list[ImageEntry]) -> Picture:
    """Return the space of the images that the entries of an observation are stacked to."""
    spaces = [_space_at(space, entry.path) for entry in entries]
    low, high = (stack_images(entries, [getattr(one, bound)[None] for one in spaces])[0] for bound in ("low", "high"))
    return Picture(low, high, axis=entries[0].axis)


def stack_images(entries: list[ImageEntry], arrays: list[Array]) -> Array:
    """Return images `[N, ...]`, the entries `[N, ...]` of an observation concatenated along their channels."""
    parts = [entry(array) for entry, array in zip(entries, arrays, strict=True)]
    return parts[0] if len(parts) == 1 else np.concatenate(parts, axis=1 + entries[0].axis)


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
