"""Which environments are drawn as a grid, and as what."""

from dataclasses import dataclass

import numpy as np

from gio_pyro.collection.make import Env, Vector


@dataclass(frozen=True)
class Grid:
    """The layout of a grid world whose state s stands at (s // columns, s % columns)."""

    rows: int
    columns: int
    labels: tuple[str, ...]
    """One mark for each cell, possibly empty."""


def grid_of(env: Env | Vector) -> Grid | None:
    """Return the grid of a toy-text world with one state for each cell, or None where there is none to draw."""
    world = env.unwrapped
    count = int(getattr(env.observation_space, "n", 0))
    marks = getattr(world, "desc", None)
    if marks is not None and np.ndim(marks) == 2 and np.size(marks) == count:
        rows, columns = np.shape(marks)
        return Grid(rows, columns, tuple(_text(mark) for mark in np.ravel(marks)))
    shape = getattr(world, "shape", None)
    if isinstance(shape, tuple) and len(shape) == 2 and int(np.prod(shape)) == count:
        return Grid(int(shape[0]), int(shape[1]), ("",) * count)
    return None


def _text(mark: object) -> str:
    return mark.decode() if isinstance(mark, bytes) else str(mark)
