"""The environment to evaluate a policy in: a copy of the training environment, or another one with its spaces."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from gymnasium import Space
from gymnasium.spaces import Box, Dict, Tuple

from gio_pyro.collection.environment_copy import copy_environment
from gio_pyro.collection.make import Env, Vector, make_env, single_spaces
from gio_pyro.collection.wrapper_statistics import (
    freeze_statistics,
    has_empty_statistics,
    load_statistics,
    read_statistics,
)
from gio_pyro.errors import InputError


@contextmanager
def evaluation_environment(own: Env | Vector, given: str | Env | Vector | None) -> Iterator[Env | Vector]:
    """Yield the environment to evaluate in, with its running statistics frozen.

    Args:
        own: the training environment; not changed.
        given: another environment, or its id; None for a copy of `own`. If its running statistics are still empty, it
            uses those of `own` meanwhile. It is closed only if it was made here.

    Raises:
        InputError: `own` cannot be copied, or `given` has other spaces.
    """
    env = copy_environment(own) if given is None else make_env(given)
    made_here = given is None or isinstance(given, str)
    before = read_statistics(env)
    try:
        if given is not None:
            require_same_spaces(env, own)
            if has_empty_statistics(env):
                load_statistics(env, read_statistics(own))
        with freeze_statistics(env):
            yield env
    finally:
        if made_here:
            env.close()
        else:
            load_statistics(env, before)


def require_same_spaces(env: Env | Vector, own: Env | Vector) -> None:
    """Raise `InputError` unless an environment has the observations and actions of the training environment `own`."""
    for name, mine, theirs in zip(("observation", "action"), single_spaces(own), single_spaces(env), strict=True):
        if not (same_observations(mine, theirs) if name == "observation" else mine == theirs):
            raise InputError(
                f"Expected an environment with the {name} space that was learned with, {str(mine)[:80]}, but got "
                f"{str(theirs)[:80]}; pass one with the same spaces."
            )


def same_observations(one: Space[Any], other: Space[Any]) -> bool:
    """Whether observations of both spaces have the same structure, shapes and dtypes; Box bounds may differ."""
    if isinstance(one, Box) and isinstance(other, Box):
        return one.shape == other.shape and one.dtype == other.dtype
    if isinstance(one, Dict) and isinstance(other, Dict):
        return one.keys() == other.keys() and all(same_observations(one[key], other[key]) for key in one)
    if isinstance(one, Tuple) and isinstance(other, Tuple):
        return len(one) == len(other) and all(map(same_observations, one, other))
    return bool(one == other)
