"""The layout of grid worlds for drawing."""

from dataclasses import dataclass
from typing import Any

import gymnasium as gym
import numpy as np


@dataclass(frozen=True)
class Grid:
    """Rows, columns and labels of a grid world; state s is the cell (s // columns, s % columns)."""

    rows: int
    columns: int
    labels: tuple[str, ...]
    """A label for each cell, as `S`, `F`, `H` and `G` in FrozenLake; possibly empty."""
    barriers: frozenset[frozenset[int]] = frozenset()
    """Pairs of neighbouring cells with a thin wall between them."""
    south_first: bool = False
    """Whether row 0 is at the bottom of a picture, not at the top."""


def grid_of(env: gym.Env[Any, Any] | gym.vector.VectorEnv[Any, Any, Any]) -> Grid | None:
    """Return the grid of an environment with one state for each cell (FrozenLake, CliffWalking), or None."""
    world = env.unwrapped
    count = int(getattr(env.observation_space, "n", 0))
    marks = getattr(world, "desc", None)
    if marks is not None and np.ndim(marks) == 2 and np.size(marks) == count:
        rows, columns = np.shape(marks)
        layout = getattr(world, "layout", None)
        barriers: frozenset[frozenset[int]] = getattr(layout, "barriers", frozenset())
        labels, south_first = (
            tuple(_text(mark) for mark in np.ravel(marks)),
            bool(getattr(layout, "south_first", False)),
        )
        return Grid(rows, columns, labels, barriers, south_first)
    shape = getattr(world, "shape", None)
    if isinstance(shape, tuple) and len(shape) == 2 and int(np.prod(shape)) == count:
        return Grid(int(shape[0]), int(shape[1]), ("",) * count)
    return None


def _text(mark: object) -> str:
    return mark.decode() if isinstance(mark, bytes) else str(mark)
