"""Encode observations as states: indices, images of uint8, or vectors of float32."""

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
"""Length from which vector observations cause a warning, as they probably are images."""

LARGEST_VALUE = 1e18
"""Magnitude from which observations are rejected, as statistics of their squares overflow float32."""


class Observations(ABC):
    """Encoding of an environment's observations as the states that programs receive.

    Attributes:
        raw: the environment's observation space.
        space: the space of the states: Discrete from 0, an image of uint8, or a vector of float32.
    """

    raw: Space[Any]
    space: Space[Any]

    @staticmethod
    def of(space: Space[Any], *, quiet: bool = False) -> "Observations":
        """Return the encoding of a space.

        Args:
            space: the observation space; a Dict entry "action_mask" is left out (see `gio_pyro.collection.masks`).
            quiet: whether to suppress warnings about unsupported entries and long vectors.

        Raises:
            InputError: a space without numeric entries.
        """
        if isinstance(space, Dict) and MASK in space.spaces and len(space.spaces) > 1:
            space = Dict({name: part for name, part in space.spaces.items() if name != MASK})
        if isinstance(space, Discrete):
            return DiscreteObservations(space)
        entries = image_entries(space)
        return _ImageObservations(space, entries) if entries else _VectorObservations(space, quiet)

    @property
    def count(self) -> int:
        """Number of states; raises `InputError` if they are not Discrete."""
        return finite(self.space, "observation")

    @abstractmethod
    def encode(self, batch: Any) -> Array:
        """Return the states `[N, ...]` of N observations in Gymnasium's batched form, never a view of them.

        Raises:
            InputError: observations of another shape or dtype, or outside a Discrete space; Box bounds are not checked,
                as they are often inexact.
            TrainingError: an observation that is NaN or infinite.
        """

    @abstractmethod
    def encode_one(self, observation: Any) -> Array:
        """Return the state `[1, ...]` of one observation; raises as `encode` does."""

    def batched(self, observation: Any) -> bool:
        """Whether this is a batch of observations, judged by its number of dimensions as in Stable-Baselines3."""
        path, shape = self._first()
        return as_array(entry_at(observation, path), shape).ndim == len(shape) + 1

    def _first(self) -> tuple[Path, tuple[int, ...]]:
        """Return path and shape of the first entry of an observation."""
        return (), self.raw.shape or ()


class DiscreteObservations(Observations):
    """The values of a Discrete space with any start, as int64 from 0."""

    raw: Discrete

    def __init__(self, space: Discrete) -> None:
        require_enumerable(space, int(space.n))
        self.raw, self.space = space, Discrete(int(space.n))
        self.first, self.last = int(space.start), int(space.start + space.n) - 1

    def encode(self, batch: Any) -> Array:
        """Return the states `[N]` of N observations; raises `InputError` for one outside the space."""
        given = as_array(batch, ())
        if given.dtype.kind == "i" and given.size and self.first <= given.min() and given.max() <= self.last:
            return given.astype(np.int64).reshape(-1) - self.first
        return np.array([self.index(value) for value in given.reshape(-1)], dtype=np.int64)

    def encode_one(self, observation: Any) -> Array:
        """Return the state `[1]` of an observation; raises `InputError` for one outside the space."""
        return np.array([self.index(observation.detach() if isinstance(observation, Tensor) else observation)])

    def index(self, value: Any) -> int:
        """Return the state of an observation; raises `InputError` for one outside the space."""
        if type(value) is int and self.first <= value <= self.last:
            return value - self.first
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
    """Images of uint8; stacked frames and several images of the same size become channels of one image."""

    def __init__(self, space: Space[Any], entries: list[ImageEntry]) -> None:
        self.raw, self._entries = space, entries
        self.space = space if len(space.shape or ()) == 3 else image_space(space, entries)

    def encode(self, batch: Any) -> Array:
        arrays = [numeric_batch(entry_at(batch, entry.path), entry.shape) for entry in self._entries]
        require_equal_rows(arrays)
        return self._stacked(arrays)

    def encode_one(self, observation: Any) -> Array:
        picked = [(one.shape, as_array(entry_at(observation, one.path), one.shape)[None]) for one in self._entries]
        return self._stacked([numeric_batch(one, shape) for shape, one in picked])

    def _stacked(self, arrays: list[Array]) -> Array:
        states = stack_images(self._entries, [_as_uint8(array) for array in arrays])
        return states.copy() if any(np.may_share_memory(states, array) for array in arrays) else states

    def _first(self) -> tuple[Path, tuple[int, ...]]:
        return self._entries[0].path, self._entries[0].shape


def _as_uint8(given: Array) -> Array:
    if given.dtype == np.uint8:
        return given
    if given.dtype.kind not in "iu" or (given.size and not 0 <= given.min() <= given.max() <= 255):
        raise InputError(f"Expected an image of uint8, but got {given.dtype}; scale it to 0 to 255.")
    return given.astype(np.uint8)


class _VectorObservations(Observations):
    """Any other space, flattened to float32 in the order of `gymnasium.spaces.flatten`."""

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
        return _require_finite_states(
            self._concatenated([leaf.encode(entry_at(batch, leaf.path)) for leaf in self._leaves])
        )

    def encode_one(self, observation: Any) -> Array:
        picked = [(leaf, as_array(entry_at(observation, leaf.path), leaf.space.shape or ())) for leaf in self._leaves]
        return _require_finite_states(self._concatenated([leaf.encode(one[None]) for leaf, one in picked]))

    def _first(self) -> tuple[Path, tuple[int, ...]]:
        return self._leaves[0].path, self._leaves[0].space.shape or ()

    @staticmethod
    def _concatenated(parts: list[Array]) -> Array:
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
