"""What an environment was like, in short: whether one that is made again is the same world."""

import hashlib
from collections.abc import Iterator, Mapping
from types import FunctionType, MethodType
from typing import Any

import numpy as np
from gymnasium.wrappers import TimeLimit

from gio_pyro.collection.fresh import plain
from gio_pyro.collection.layers import chain, inside, wrapped

MOST = 1_000_000
"""Bytes of an attribute; what is larger is not looked at."""
ENVIRONMENTS = 16
"""Of a vector, at most this many are looked at."""
OWN_RANDOM = "_np_random"
FLAGS = ("NoneType", "bool", "int")

Traits = dict[str, str]
"""For each attribute, named by its place, what identifies its value."""


def traits(env: Any) -> Traits:
    """Return what identifies the attributes of the innermost environments, and of wrappers that are not Gymnasium's."""
    found: Traits = {}
    for number, each in enumerate([chain(env), *map(chain, inside(env)[:ENVIRONMENTS])]):
        for depth, layer in enumerate(each):
            place = f"{number}.{depth}.{type(layer).__name__}"
            found |= {f"{place}.{name}": digest for name, digest in _digests(layer)}
    return found


def _digests(layer: Any) -> Iterator[tuple[str, str]]:
    if isinstance(layer, TimeLimit):
        yield "_max_episode_steps", str(layer._max_episode_steps)
    home = type(layer).__module__
    if home.startswith("gymnasium.vector") or (wrapped(layer) is not None and home.partition(".")[0] == "gymnasium"):
        return
    for name, value in vars(layer).items():
        if isinstance(value, FunctionType | MethodType):
            yield name, f"function {value.__qualname__}"
        elif not name.startswith(OWN_RANDOM) and plain(value):
            parts = list(_parts(value))
            if sum(map(len, parts)) <= MOST:
                yield name, f"{type(value).__name__} {hashlib.sha256(b'|'.join(parts)).hexdigest()[:16]}"


def _parts(value: Any) -> Iterator[bytes]:
    """Give a plain value piece by piece."""
    if isinstance(value, np.ndarray | np.generic):
        yield f"{value.dtype}{np.shape(value)}".encode()
        yield value.tobytes() if value.nbytes <= MOST else bytes(MOST + 1)
    elif isinstance(value, Mapping):
        yield b"{"
        for key, item in value.items():
            yield repr(key).encode()
            yield from _parts(item)
        yield b"}"
    elif isinstance(value, list | tuple):
        yield b"["
        for item in value:
            yield from _parts(item)
        yield b"]"
    else:
        yield repr(value).encode()


def since(made: Traits, env: Any, episodes: int) -> dict[str, list[Any]]:
    """Return what identifies each attribute now, and whether it is as it was when the agent was made.

    Flags and counts that are, although no episode has ended yet, say nothing and are left out.
    """
    found: dict[str, list[Any]] = {place: [one, one == made.get(place)] for place, one in traits(env).items()}
    if episodes:
        return found
    return {place: one for place, one in found.items() if not (one[1] and one[0].partition(" ")[0] in FLAGS)}


def is_wrapper(place: str, env: Any) -> bool:
    """Whether an attribute is of a wrapper; the step limit belongs to what is wrapped."""
    number, depth, _ = place.split(".", 2)
    each = [chain(env), *map(chain, inside(env))][int(number)]
    return int(depth) + 1 < len(each) and not place.endswith("._max_episode_steps")


def said(place: str) -> str:
    """Return an attribute's place as `Class.name`."""
    return place.split(".", 2)[2]
