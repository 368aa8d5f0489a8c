"""Operations on nested observations (dictionaries and tuples), and conversion between compatible spaces."""

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from gymnasium import Space
from gymnasium.spaces import Box, Dict, Discrete, MultiBinary, MultiDiscrete, Tuple

from gio_pyro.errors import InputError, shown

Array = np.ndarray[Any, np.dtype[Any]]


def tree_map(change: Callable[..., Any], *trees: Any) -> Any:
    """Apply `change` to corresponding leaves of trees with the same structure; returns a tree of the results."""
    first = trees[0]
    if isinstance(first, Mapping):
        return {key: tree_map(change, *(tree[key] for tree in trees)) for key in first}
    if isinstance(first, tuple):
        return tuple(tree_map(change, *parts) for parts in zip(*trees, strict=True))
    return change(*trees)


def copy_tree(tree: Any) -> Any:
    """Return a copy of a batch of observations."""
    return tree_map(np.array, tree)


def set_row(tree: Any, row: int, one: Any) -> None:
    """Write one observation into a row of a batch, in place."""
    if isinstance(tree, Mapping | tuple):
        for key in tree if isinstance(tree, Mapping) else range(len(tree)):
            set_row(tree[key], row, one[key])
        return
    tree[row] = one


class SpaceConverter:
    """Converts observations of wrapped environments to those of the space that a reward was made with.

    Images may be channels-first where the reward has channels last, as in `VecTransposeImage` of Stable-Baselines3; Box
    bounds may differ, as they do with normalised observations.

    Args:
        theirs: observation and action space of one wrapped environment.
        mine: observation and action space of the reward.

    Raises:
        InputError: incompatible spaces.
    """

    def __init__(self, theirs: tuple[Space[Any], Space[Any]], mine: tuple[Space[Any], Space[Any]]) -> None:
        if not (isinstance(theirs, tuple) and len(theirs) == 2 and all(isinstance(one, Space) for one in theirs)):
            raise InputError(f"Expected spaces as the observation and the action space, but got {shown(theirs)}.")
        for name, given, made in zip(("observations", "actions"), theirs, mine, strict=True):
            if not _compatible(given, made):
                raise InputError(
                    f"Expected {name} of {_describe_space(made)}, of which the reward was made, but the environments "
                    f"have {_describe_space(given)}; make the reward from what it wraps."
                )
        self.theirs, self.mine = theirs[0], mine[0]

    def __call__(self, tree: Any) -> Any:
        """Return a batch of observations in the reward's layout."""
        return _convert(tree, self.theirs, self.mine)


def _convert(tree: Any, theirs: Space[Any], mine: Space[Any]) -> Any:
    if isinstance(mine, Dict) and isinstance(theirs, Dict):
        return {key: _convert(tree[key], theirs[key], part) for key, part in mine.spaces.items()}
    if isinstance(mine, Tuple) and isinstance(theirs, Tuple):
        return tuple(map(_convert, tree, theirs.spaces, mine.spaces))
    array = np.asarray(tree).reshape(-1, *(theirs.shape or ()))
    return array if theirs.shape == mine.shape else np.moveaxis(array, 1, -1)


def _compatible(theirs: Space[Any], mine: Space[Any]) -> bool:
    if isinstance(mine, Dict | Tuple):
        if type(theirs) is not type(mine) or _sub_spaces(theirs).keys() != _sub_spaces(mine).keys():
            return False
        return all(_compatible(_sub_spaces(theirs)[key], part) for key, part in _sub_spaces(mine).items())
    if isinstance(mine, Box):
        if not isinstance(theirs, Box) or (mine.dtype == np.uint8) != (theirs.dtype == np.uint8):
            return False
        return theirs.shape == mine.shape or (len(mine.shape) == 3 and theirs.shape == (mine.shape[2], *mine.shape[:2]))
    if isinstance(mine, Discrete | MultiDiscrete | MultiBinary):
        return bool(theirs == mine)
    return type(theirs) is type(mine)


def _sub_spaces(space: Any) -> dict[Any, Space[Any]]:
    return dict(space.spaces.items() if isinstance(space, Dict) else enumerate(space.spaces))


def _describe_space(space: Space[Any]) -> str:
    """Return a short description of a space: shapes of nested and array spaces."""
    if isinstance(space, Dict | Tuple):
        parts = ", ".join(f"{key}: {_describe_space(part)}" for key, part in _sub_spaces(space).items())
        return f"{type(space).__name__}({parts})"[:90]
    return f"{space.dtype} Box{space.shape}" if isinstance(space, Box) else " ".join(str(space).split())[:90]
