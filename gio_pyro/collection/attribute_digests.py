"""Digests of an environment's attributes, to detect that a remade environment differs from the one trained in."""

import hashlib
from collections.abc import Iterator, Mapping
from types import FunctionType, MethodType
from typing import Any

import numpy as np
from gymnasium.wrappers import TimeLimit

from gio_pyro.collection.environment_copy import is_plain
from gio_pyro.collection.wrappers import sub_envs, wrapped_env, wrapper_chain

MAX_BYTES = 1_000_000
"""Largest attribute that is compared, bytes."""
MAX_ENVIRONMENTS = 16
"""Number of environments of a vector that are compared, at most."""
GENERATOR_PREFIX = "_np_random"
FLAG_TYPES = ("NoneType", "bool", "int")

Digests = dict[str, str]
"""The digest of each attribute by its place, `environment.depth.Class.name`."""


def attribute_digests(env: Any) -> Digests:
    """Return digests of the attributes of innermost environments and of wrappers outside Gymnasium."""
    found: Digests = {}
    for number, each in enumerate([wrapper_chain(env), *map(wrapper_chain, sub_envs(env)[:MAX_ENVIRONMENTS])]):
        for depth, layer in enumerate(each):
            place = f"{number}.{depth}.{type(layer).__name__}"
            found |= {f"{place}.{name}": digest for name, digest in _layer_digests(layer)}
    return found


def _layer_digests(layer: Any) -> Iterator[tuple[str, str]]:
    if isinstance(layer, TimeLimit):
        yield "_max_episode_steps", str(layer._max_episode_steps)
    home = type(layer).__module__
    if home.startswith("gymnasium.vector") or (
        wrapped_env(layer) is not None and home.partition(".")[0] == "gymnasium"
    ):
        return
    for name, value in vars(layer).items():
        if isinstance(value, FunctionType | MethodType):
            yield name, f"function {value.__qualname__}"
        elif not name.startswith(GENERATOR_PREFIX) and is_plain(value):
            parts = list(_value_bytes(value))
            if sum(map(len, parts)) <= MAX_BYTES:
                yield name, f"{type(value).__name__} {hashlib.sha256(b'|'.join(parts)).hexdigest()[:16]}"


def _value_bytes(value: Any) -> Iterator[bytes]:
    """Yield the bytes of a plain value piece by piece."""
    if isinstance(value, np.ndarray | np.generic):
        yield f"{value.dtype}{np.shape(value)}".encode()
        yield value.tobytes() if value.nbytes <= MAX_BYTES else bytes(MAX_BYTES + 1)
    elif isinstance(value, Mapping):
        yield b"{"
        for key, item in value.items():
            yield repr(key).encode()
            yield from _value_bytes(item)
        yield b"}"
    elif isinstance(value, list | tuple):
        yield b"["
        for item in value:
            yield from _value_bytes(item)
        yield b"]"
    else:
        yield repr(value).encode()


def digests_since(made: Digests, env: Any, episodes: int) -> dict[str, list[Any]]:
    """Return the current digest of each attribute, and whether it is unchanged since the agent was made.

    As long as no episode has ended, unchanged flags and counts are left out: they may still change.

    Args:
        made: the digests when the agent was made.
        env: the environment now.
        episodes: number of episodes that have ended.
    """
    found: dict[str, list[Any]] = {
        place: [one, one == made.get(place)] for place, one in attribute_digests(env).items()
    }
    if episodes:
        return found
    return {place: one for place, one in found.items() if not (one[1] and one[0].partition(" ")[0] in FLAG_TYPES)}


def belongs_to_wrapper(place: str, env: Any) -> bool:
    """Whether an attribute belongs to a wrapper; the step limit counts as the environment's."""
    number, depth, _ = place.split(".", 2)
    each = [wrapper_chain(env), *map(wrapper_chain, sub_envs(env))][int(number)]
    return int(depth) + 1 < len(each) and not place.endswith("._max_episode_steps")


def attribute_name(place: str) -> str:
    """Return `Class.name` for an attribute's place."""
    return place.split(".", 2)[2]
