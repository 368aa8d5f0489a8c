"""What the environment shows, as the arrays that programs see."""

import warnings
from abc import ABC, abstractmethod
from typing import Any

import numpy as np
from gymnasium import Space
from gymnasium.spaces import Box, Dict, Discrete
from torch import Tensor

from gio_pyro.collection.flattening import (
    Path,
    as_array,
    entry_at,
    flat_leaves,
    numeric_batch,
    require_enumerable,
    require_equal_rows,
)
from gio_pyro.collection.images import ImageEntry, image_entries, image_space, stack_images
from gio_pyro.collection.infos import MASK
from gio_pyro.errors import GioWarning, InputError, TrainingError, shown
from gio_pyro.types import finite

Array = np.ndarray[Any, np.dtype[Any]]

WIDE_VECTOR = 10_000
"""Vectors of this many numbers are told of: they are pictures, more often than not."""

LARGEST_VALUE = 1e18
"""Numbers beyond this have squares that float32 does not hold, and no statistics."""


class Observations(ABC):
    """Between an environment's observations and the states that programs see.

    Attributes:
        raw: the environment's space.
        space: the space of the states: Discrete from 0, an image of uint8, or one vector of float32.
    """

    raw: Space[Any]
    space: Space[Any]

    @staticmethod
    def of(space: Space[Any], *, quiet: bool = False) -> "Observations":
        """Return the encoding of a space; `quiet` says nothing of entries that are left out.

        The entry "action_mask" of a dictionary is no observation, it says what is allowed: see `environments.masks`.

        Raises:
            InputError: a space that does not become numbers.
        """
        if isinstance(space, Dict) and MASK in space.spaces and len(space.spaces) > 1:
            space = Dict({name: part for name, part in space.spaces.items() if name != MASK})
        if isinstance(space, Discrete):
            return _DiscreteObservations(space)
        folds = image_entries(space)
        return _ImageObservations(space, folds) if folds else _VectorObservations(space, quiet)

    @property
    def count(self) -> int:
        """How many states there are; raises `InputError` where they are not Discrete."""
        return finite(self.space, "observation")

    @abstractmethod
    def encode(self, batch: Any) -> Array:
        """Return the states `[N, ...]` of N observations in Gymnasium's batched form, never a view of them.

        Raises:
            InputError: observations of another shape or kind, or outside a Discrete space; the bounds of a Box, which
                are often not tight, are not checked.
            TrainingError: an observation that is NaN or infinite.
        """

    @abstractmethod
    def encode_one(self, observation: Any) -> Array:
        """Return the state `[1, ...]` of one observation; raises as `encode` does."""

    def batched(self, observation: Any) -> bool:
        """Say whether this is a batch of observations, as Stable-Baselines3 decides it: by its dimensions."""
        path, shape = self._first()
        return as_array(entry_at(observation, path), shape).ndim == len(shape) + 1

    def _first(self) -> tuple[Path, tuple[int, ...]]:
        """Return where the first entry of an observation is, and its shape."""
        return (), self.raw.shape or ()


class _DiscreteObservations(Observations):
    """The values of a Discrete space, which may start anywhere, as int64 from 0."""

    raw: Discrete

    def __init__(self, space: Discrete) -> None:
        require_enumerable(space, int(space.n))
        self.raw, self.space = space, Discrete(int(space.n))
        self.first, self.last = int(space.start), int(space.start + space.n) - 1

    def encode(self, batch: Any) -> Array:
        given = as_array(batch, ())
        if given.dtype.kind == "i" and given.size and self.first <= given.min() and given.max() <= self.last:
            return given.astype(np.int64).reshape(-1) - self.first
        return np.array([self._index(value) for value in given.reshape(-1)], dtype=np.int64)

    def encode_one(self, observation: Any) -> Array:
        return np.array([self._index(observation.detach() if isinstance(observation, Tensor) else observation)])

    def _index(self, value: Any) -> int:
        value = value.reshape(()) if isinstance(value, np.ndarray | Tensor) and value.shape == (1,) else value
        try:
            number = int(value) if float(value).is_integer() else None
        except (TypeError, ValueError, OverflowError):
            number = None
        if number is None or not self.first <= number <= self.last:
            raise InputError(
                f"Expected an observation between {self.first} and {self.last}, but got {shown(value)}; give whole "
                "numbers of the space."
            )
        return number - self.first


class _ImageObservations(Observations):
    """Images of uint8; the frames of a stack, and several images of one size, are further channels of one."""

    def __init__(self, space: Space[Any], folds: list[ImageEntry]) -> None:
        self.raw, self._folds = space, folds
        self.space = space if len(space.shape or ()) == 3 else image_space(space, folds)

    def encode(self, batch: Any) -> Array:
        entries = [numeric_batch(entry_at(batch, fold.path), fold.shape) for fold in self._folds]
        require_equal_rows(entries)
        return self._joined(entries)

    def encode_one(self, observation: Any) -> Array:
        picked = [(fold.shape, as_array(entry_at(observation, fold.path), fold.shape)[None]) for fold in self._folds]
        return self._joined([numeric_batch(one, shape) for shape, one in picked])

    def _joined(self, entries: list[Array]) -> Array:
        states = stack_images(self._folds, [_as_uint8(entry) for entry in entries])
        return states.copy() if any(np.may_share_memory(states, entry) for entry in entries) else states

    def _first(self) -> tuple[Path, tuple[int, ...]]:
        return self._folds[0].path, self._folds[0].shape


def _as_uint8(given: Array) -> Array:
    if given.dtype == np.uint8:
        return given
    if given.dtype.kind not in "iu" or (given.size and not 0 <= given.min() <= given.max() <= 255):
        raise InputError(f"Expected an image of uint8, but got {given.dtype}; scale it to 0 to 255.")
    return given.astype(np.uint8)


class _VectorObservations(Observations):
    """Everything else: its numbers one after the other, as `gymnasium.spaces.flatten` has them, in float32."""

    def __init__(self, space: Space[Any], quiet: bool) -> None:
        self.raw = space
        self._leaves, left_out = flat_leaves(space)
        if not sum(leaf.low.size for leaf in self._leaves):
            raise _not_numeric(space)
        if left_out and not quiet:
            names = ", ".join(left_out)
            text = f"Expected observations of numbers, but {names} cannot be flattened; learning goes on without."
            warnings.warn(text, GioWarning, stacklevel=4)
        width = sum(leaf.low.size for leaf in self._leaves)
        if width >= WIDE_VECTOR and not quiet:
            text = (
                "Expected pictures of uint8, which stay pictures, or few numbers, but these observations become "
                f"vectors of {width:,} numbers: {4 * width:,} bytes a state in replay, {128 * width:,} weights in a "
                "layer of 128 units; show pictures alone, as uint8, or fewer numbers."
            )
            warnings.warn(text, GioWarning, stacklevel=4)
        low = np.concatenate([leaf.low for leaf in self._leaves])
        high = np.concatenate([leaf.high for leaf in self._leaves])
        self.space = Box(low, high, dtype=np.float32)

    def encode(self, batch: Any) -> Array:
        return _require_finite_states(self._joined([leaf.encode(entry_at(batch, leaf.path)) for leaf in self._leaves]))

    def encode_one(self, observation: Any) -> Array:
        picked = [(leaf, as_array(entry_at(observation, leaf.path), leaf.space.shape or ())) for leaf in self._leaves]
        return _require_finite_states(self._joined([leaf.encode(one[None]) for leaf, one in picked]))

    def _first(self) -> tuple[Path, tuple[int, ...]]:
        return self._leaves[0].path, self._leaves[0].space.shape or ()

    @staticmethod
    def _joined(parts: list[Array]) -> Array:
        require_equal_rows(parts)
        return parts[0] if len(parts) == 1 else np.concatenate(parts, axis=1)


def _not_numeric(space: Space[Any]) -> InputError:
    return InputError(
        f"Expected an observation space of numbers, but got {space}; "
        "wrap the environment so that it shows a Box or a Discrete space."
    )


def _require_finite_states(states: Array) -> Array:
    if not (np.abs(states) < LARGEST_VALUE).all():
        bad = states[~(np.abs(states) < LARGEST_VALUE)][0]
        wanted = f"an observation below {LARGEST_VALUE:g} in size" if np.isfinite(bad) else "a finite observation"
        raise TrainingError(f"Expected {wanted}, but the environment gave {bad}; correct it.")
    return states
