"""Where a policy is judged: a copy of the world that it learned in, or another world that the caller names."""

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
    """Give the environment to play in; its running statistics are held still meanwhile.

    Args:
        own: what was learned in; it is not changed.
        given: another environment, or its id; a copy of `own` where None. One that keeps running statistics and has
            seen nothing yet takes those of `own` while it is played. It is closed only if it was made here.

    Raises:
        InputError: `own` cannot be copied, or `given` is no environment with the same spaces.
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
    """Raise `InputError` for an environment whose observations or actions are not those that were learned with."""
    for name, mine, theirs in zip(("observation", "action"), single_spaces(own), single_spaces(env), strict=True):
        if not (same_observations(mine, theirs) if name == "observation" else mine == theirs):
            raise InputError(
                f"Expected an environment with the {name} space that was learned with, {str(mine)[:80]}, but got "
                f"{str(theirs)[:80]}; pass one with the same spaces."
            )


def same_observations(one: Space[Any], other: Space[Any]) -> bool:
    """Whether observations of both spaces have the same form; the bounds of a Box may differ."""
    if isinstance(one, Box) and isinstance(other, Box):
        return one.shape == other.shape and one.dtype == other.dtype
    if isinstance(one, Dict) and isinstance(other, Dict):
        return one.keys() == other.keys() and all(same_observations(one[key], other[key]) for key in one)
    if isinstance(one, Tuple) and isinstance(other, Tuple):
        return len(one) == len(other) and all(map(same_observations, one, other))
    return bool(one == other)
