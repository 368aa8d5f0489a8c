"""Flatten batches of nested observations to vectors, as `gymnasium.spaces.flatten` does for one observation."""

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from gymnasium import Space
from gymnasium.spaces import Box, Dict, Discrete, MultiBinary, MultiDiscrete, Tuple
from torch import Tensor

from gio_pyro.errors import InputError, describe_error

Array = np.ndarray[Any, np.dtype[Any]]
Path = tuple[str | int, ...]

MAX_VALUES = 1_000_000
"""Largest number of values of a Discrete space, which becomes a table or one-hot inputs."""


@dataclass(frozen=True)
class Leaf:
    """One entry of a nested space."""

    path: Path
    """Its keys and indices."""
    space: Space[Any]
    low: Array
    """Bounds of the flat entry, `[d]` float32."""
    high: Array
    encode: Callable[[Any], Array]
    """Maps a batch of values to `[N, d]` float32."""


def flat_leaves(space: Space[Any], path: Path = ()) -> tuple[list[Leaf], list[str]]:
    """Return the entries of a space in the order of `gymnasium.spaces.flatten`, and the names of unsupported ones."""
    if isinstance(space, Dict | Tuple):
        inner = space.spaces.items() if isinstance(space, Dict) else enumerate(space.spaces)
        found = [flat_leaves(part, (*path, key)) for key, part in inner]
        return [leaf for leaves, _ in found for leaf in leaves], [name for _, names in found for name in names]
    if isinstance(space, Box):
        low, high = as_float32(space.low).reshape(-1), as_float32(space.high).reshape(-1)
        return [Leaf(path, space, low, high, partial(_flatten_batch, space.shape, math.prod(space.shape)))], []
    if isinstance(space, MultiBinary):
        zero = np.zeros(math.prod(space.shape), dtype=np.float32)
        return [Leaf(path, space, zero, zero + 1, partial(_flatten_batch, space.shape, math.prod(space.shape)))], []
    if isinstance(space, Discrete):
        return [_one_hot_leaf(path, space, np.array([space.start]), np.array([space.n]))], []
    if isinstance(space, MultiDiscrete):
        return [_one_hot_leaf(path, space, space.start.reshape(-1), space.nvec.reshape(-1))], []
    return [], [path_text(path)]


def path_text(path: Path) -> str:
    """Return a path as text."""
    return "/".join(map(str, path))


def entry_at(tree: Any, path: Path) -> Any:
    """Return the entry of an observation at a path; raises `InputError` if it is missing."""
    try:
        for key in path:
            tree = tree[key]
    except (KeyError, IndexError, TypeError) as error:
        raise InputError(f"Expected an observation with the entry {path_text(path)}, but it is missing.") from error
    return tree


def as_array(values: Any, shape: tuple[int, ...]) -> Array:
    """Return an observation, or a batch of them, as an array; raises `InputError` if that is impossible."""
    try:
        return np.asarray(values.numpy(force=True) if isinstance(values, Tensor) else values)
    except ValueError as error:
        raise InputError(
            f"Expected observations of shape {shape}, but got rows of different shapes; give arrays of that shape."
        ) from error
    except Exception as error:
        raise InputError(
            f"Expected observations of shape {shape}, but reading them raised {describe_error(error)}; "
            f"give arrays of numbers."
        ) from error


def numeric_batch(batch: Any, shape: tuple[int, ...]) -> Array:
    """Return a batch as a numeric array `[N, *shape]`; raises `InputError` for other values or shapes."""
    given = as_array(batch, shape)
    if given.dtype.kind not in "biuf":
        raise InputError(
            f"Expected observations of numbers, but got {given.dtype}: {str(batch)[:80]}; give arrays of numbers."
        )
    if given.ndim == 0 or given.shape[1:] != shape:
        got = given.shape[1:] if given.ndim else "a number"
        raise InputError(f"Expected observations of shape {shape}, but got {got}; give one, or a batch of them.")
    return given


def require_equal_rows(parts: list[Array]) -> None:
    """Raise `InputError` if the entries of a batch differ in their number of rows."""
    if len({len(part) for part in parts}) > 1:
        rows = ", ".join(str(len(part)) for part in parts)
        raise InputError(f"Expected as many rows of each entry, but got {rows}; give one of each for an observation.")


def require_enumerable(space: Space[Any], count: int) -> None:
    """Raise `InputError` if a space has more than `MAX_VALUES` values."""
    if count > MAX_VALUES:
        raise InputError(f"Expected at most {MAX_VALUES:,} values, but {space} has {count:,}; wrap the environment.")


def as_float32(values: Array) -> Array:
    """Return a copy in float32, in C order; values beyond its range become infinite."""
    if values.dtype != np.float64:
        return values.astype(np.float32, order="C")
    with np.errstate(over="ignore"):
        return values.astype(np.float32, order="C")


def _flatten_batch(shape: tuple[int, ...], width: int, batch: Any) -> Array:
    given = numeric_batch(batch, shape)
    return as_float32(given).reshape(len(given), width)


def _one_hot_leaf(path: Path, space: Discrete | MultiDiscrete, first: Array, sizes: Array) -> Leaf:
    require_enumerable(space, sum(sizes.tolist()))
    zero = np.zeros(int(sizes.sum()), dtype=np.float32)
    encode = partial(_one_hot, space.shape or (), first, first + sizes - 1, np.cumsum(sizes) - sizes - first, len(zero))
    return Leaf(path, space, zero, zero + 1, encode)


def _one_hot(shape: tuple[int, ...], first: Array, last: Array, shift: Array, width: int, batch: Any) -> Array:
    given = numeric_batch(batch, shape)
    value = given.reshape(len(given), len(first))
    if not ((value >= first) & (value <= last)).all() or (value.dtype.kind == "f" and (value % 1).any()):
        raise InputError(
            f"Expected an observation between {first.tolist()} and {last.tolist()}, but got {value.tolist()[:3]}; give "
            "whole numbers of the space."
        )
    hot = np.zeros((len(value), width), dtype=np.float32)
    hot[np.arange(len(value))[:, None], value.astype(np.int64) + shift] = 1
    return hot
