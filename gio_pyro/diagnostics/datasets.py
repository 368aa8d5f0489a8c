"""Arrays as `xarray.Dataset`s with named dimensions, the groups of what is exported to arviz."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

Names = Mapping[str, Sequence[str]]
"""The names of a vector's dimensions, by the name of its variable."""


def dataset(arrays: Mapping[str, np.ndarray], leading: Sequence[str], names: Names, unit: str = "transition") -> Any:
    """Return one group: each array has the leading dimensions, `unit`, and those of its own values.

    Args:
        arrays: by the name of the variable, `[*leading, unit, ...]`.
        leading: names of the first dimensions, such as chain and draw.
        names: coordinates of vectors; the dimensions of others are numbered.
        unit: the dimension of what is repeated: transitions, or instants of an episode.
    """
    from xarray import Dataset

    variables: dict[str, tuple[list[str], np.ndarray]] = {}
    coords: dict[str, np.ndarray] = {}
    for name, array in arrays.items():
        own = array.ndim - len(leading) - 1
        dims = [f"{name}_dim"] if own == 1 else [f"{name}_dim_{i}" for i in range(own)]
        variables[name] = ([*leading, unit, *dims], array)
        coords |= {dim: np.arange(size) for dim, size in zip(dims, array.shape[-own:], strict=False)}
        if own == 1 and name in names:
            coords[dims[0]] = np.array(names[name])
    first = next(iter(arrays.values()))
    coords |= {dim: np.arange(first.shape[axis]) for axis, dim in enumerate([*leading, unit])}
    return Dataset(variables, coords)
