"""Encode the actions of an environment as values of the site "action", and decode them."""

import math
from abc import ABC, abstractmethod
from typing import Any

import numpy as np
from gymnasium import Space
from gymnasium.spaces import Box, Discrete, MultiBinary, MultiDiscrete

from gio_pyro.collection.flattening import require_enumerable
from gio_pyro.errors import InputError, TrainingError

Array = np.ndarray[Any, np.dtype[Any]]

MAX_COMBINATIONS = 4_096
"""Largest number of combinations of a MultiDiscrete or MultiBinary action; one site ranges over all of them."""

MAX_TANH = 1 - 1e-6
"""Largest |tanh| that is inverted: actions on a bound are encoded as just inside it, to keep site values finite."""


class Actions(ABC):
    """Encoding of the environment's actions as values of the site "action".

    Attributes:
        raw: the environment's action space.
        space: the space of the site: Discrete from 0, or all real vectors, which `decode` squashes by tanh to the
            bounds.
        parts: number of values of each part of a MultiDiscrete or MultiBinary action; empty for other spaces.
    """

    raw: Space[Any]
    space: Space[Any]
    parts: tuple[int, ...] = ()

    @staticmethod
    def of(space: Space[Any]) -> "Actions":
        """Return the encoding of a space.

        Raises:
            InputError: an unsupported space.
        """
        if isinstance(space, Discrete):
            return _DiscreteActions(space)
        if isinstance(space, MultiDiscrete | MultiBinary):
            return _CombinedActions(space)
        if isinstance(space, Box) and space.dtype.kind == "f":
            return _BoxActions(space)
        raise InputError(
            "Expected a Discrete, MultiDiscrete, MultiBinary or float Box action space, but got "
            f"{str(space)[:120]}; wrap the environment."
        )

    @property
    def first(self) -> int:
        """The environment's action that is encoded as 0, for a Discrete space; 0 for other spaces."""
        return int(self.raw.start) if isinstance(self.raw, Discrete) else 0

    @abstractmethod
    def decode(self, site_values: Array) -> Array:
        """Return the environment's actions for site values `[N, ...]`, in Gymnasium's batched form."""

    def decode_one(self, site_values: Array) -> Any:
        """Return the environment's action for site values `[1, ...]`."""
        return np.asarray(self.decode(site_values)[0])

    @abstractmethod
    def encode(self, batch: Any) -> Array:
        """Return the site values `[N, ...]` of N actions of the environment, in Gymnasium's batched form."""

    def parse_mask(self, mask: Any) -> Array | None:
        """Return the action mask of an environment as flags `[A]` of the site's values; None if it is invalid.

        For an action with several parts the mask is a tuple of masks, one for each part, or one vector of all of them;
        a combination is allowed if all its parts are.
        """
        return None

    def mask_shape(self) -> str:
        """Return the expected shape of a mask, in words."""
        return "no shape"


def integer_bounds(space: Space[Any]) -> tuple[Array, Array]:
    """Return the lowest and highest value of each part of a Discrete, MultiDiscrete or MultiBinary space, `[P]`."""
    if isinstance(space, MultiBinary):
        least, count = np.zeros(space.shape, dtype=np.int64), np.full(space.shape, 2)
    else:
        assert isinstance(space, Discrete | MultiDiscrete)
        least, count = np.asarray(space.start), np.asarray(space.n if isinstance(space, Discrete) else space.nvec)
    return least.reshape(-1), (least + count - 1).reshape(-1)


class _DiscreteActions(Actions):
    """A Discrete space with any start, shifted to start at 0."""

    raw: Discrete

    def __init__(self, space: Discrete) -> None:
        require_enumerable(space, int(space.n))
        self.raw, self.space = space, Discrete(int(space.n))

    def decode(self, site_values: Array) -> Array:
        return (site_values + self.first).astype(self.raw.dtype)

    def decode_one(self, site_values: Array) -> int:
        return int(site_values[0]) + self.first

    def encode(self, batch: Any) -> Array:
        return np.asarray(batch, dtype=np.int64) - self.first

    def parse_mask(self, mask: Any) -> Array | None:
        return _mask_flags(mask, int(self.raw.n))

    def mask_shape(self) -> str:
        return f"shape ({self.raw.n},)"


def _mask_flags(mask: Any, count: int) -> Array | None:
    """Return flags `[count]`, or None for another shape or values other than 0 and 1."""
    try:
        given = np.asarray(mask)
    except ValueError:
        return None
    if given.shape != (count,) or given.dtype.kind not in "biuf" or not ((given == 0) | (given == 1)).all():
        return None
    return given.astype(np.bool_)


class _CombinedActions(Actions):
    """A MultiDiscrete or MultiBinary space as one index over all combinations, the last part varying fastest."""

    raw: MultiDiscrete | MultiBinary

    def __init__(self, space: MultiDiscrete | MultiBinary) -> None:
        self._least, most = integer_bounds(space)
        self.parts = tuple((most - self._least + 1).tolist())
        count = math.prod(self.parts)
        if count > MAX_COMBINATIONS:
            raise InputError(
                f"Expected at most {MAX_COMBINATIONS:,} combinations of actions, but {str(space)[:120]} has "
                f"{_format_count(count)}; wrap the environment to take fewer."
            )
        self.raw, self.space = space, Discrete(count)

    def decode(self, site_values: Array) -> Array:
        parts = np.stack(np.unravel_index(site_values, self.parts), axis=-1)
        return (parts + self._least).reshape(len(parts), *self.raw.shape).astype(self.raw.dtype)

    def encode(self, batch: Any) -> Array:
        parts = np.asarray(batch, dtype=np.int64).reshape(len(batch), len(self.parts)) - self._least
        return np.asarray(np.ravel_multi_index(tuple(parts.T), self.parts))

    def parse_mask(self, mask: Any) -> Array | None:
        flags = [part for part in self._flags_of_parts(mask) if part is not None]
        if len(flags) != len(self.parts):
            return None
        whole = np.ones((), dtype=np.bool_)
        for part in flags:
            whole = whole[..., None] & part
        return np.asarray(whole).reshape(-1)

    def mask_shape(self) -> str:
        return f"a tuple of masks of the sizes {self.parts}, or a vector of shape ({sum(self.parts)},)"

    def _flags_of_parts(self, mask: Any) -> list[Array | None]:
        """Return the flags of each part; None, or a shorter list, if the mask is invalid."""
        whole = _mask_flags(mask, sum(self.parts))
        if whole is not None:
            return list(np.split(whole, np.cumsum(self.parts)[:-1]))
        if isinstance(self.raw, MultiBinary):  # the format of MultiBinary.sample: 2 is free, 0 and 1 are fixed
            free = {0: [True, False], 1: [False, True], 2: [True, True]}
            values = np.asarray(mask).reshape(-1).tolist() if np.shape(mask) == self.raw.shape else []
            return [np.array(free[value]) for value in values if value in free]
        parts = _mask_parts(mask, len(self.raw.shape)) if isinstance(mask, tuple | list | np.ndarray) else []
        if len(parts) != len(self.parts):
            return []
        return [_mask_flags(part, size) for part, size in zip(parts, self.parts, strict=True)]


def _mask_parts(mask: Any, depth: int) -> list[Any]:
    """Return the masks of all parts in a flat list; tuples nest like the axes of the space."""
    if depth == 0 or not isinstance(mask, tuple | list | np.ndarray):
        return [mask]
    return [leaf for part in mask for leaf in _mask_parts(part, depth - 1)]


class _BoxActions(Actions):
    """A bounded Box: the site value u is any real vector, the action low + (tanh(u) + 1) / 2 · (high − low)."""

    raw: Box

    def __init__(self, space: Box) -> None:
        self.raw = space
        self.space = Box(-np.inf, np.inf, (math.prod(space.shape),), dtype=np.float32)
        self._low = space.low.astype(np.float64).reshape(-1)
        with np.errstate(over="ignore", invalid="ignore"):
            self._width = space.high.astype(np.float64).reshape(-1) - self._low
        if not np.isfinite(self._width).all():
            raise InputError(
                f"Expected a bounded action space, but got {space}; give it bounds whose difference is a number, for "
                "instance with gymnasium.wrappers.TransformAction."
            )

    def decode(self, site_values: Array) -> Array:
        if np.isnan(site_values).any():
            raise TrainingError("Expected an action of numbers, but the policy gave NaN; lower the learning rate.")
        value = self._low + (np.tanh(site_values.astype(np.float64)) + 1) / 2 * self._width
        shaped = value.reshape(len(value), *self.raw.shape).astype(self.raw.dtype)
        return np.asarray(np.clip(shaped, self.raw.low, self.raw.high))

    def encode(self, batch: Any) -> Array:
        value = np.asarray(batch, dtype=np.float64).reshape(len(batch), len(self._low))
        share = (value - self._low) / np.where(self._width > 0, self._width, 1)
        unit = np.where(self._width > 0, 2 * share - 1, 0)
        return np.asarray(np.arctanh(np.clip(unit, -MAX_TANH, MAX_TANH)), dtype=np.float32)


def _format_count(count: int) -> str:
    """Return a number as text, approximately if large: Python converts at most 4,300 digits."""
    return f"{count:,}" if count < 10**15 else f"2^{count.bit_length() - 1} or more"
