"""Environments from command-line flags: an id, its arguments, wrappers, and a number of copies."""

from __future__ import annotations

import importlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import gymnasium as gym
from gymnasium.utils import RecordConstructorArgs

from gio_pyro.checkpointing import specs
from gio_pyro.collection import Env
from gio_pyro.collection.make import Vector, creation_errors
from gio_pyro.errors import InputError, describe_error

AnyWrapper = gym.Wrapper[Any, Any, Any, Any]
Wrap = Callable[[Env], AnyWrapper]


def make_environment(
    name: str, arguments: Mapping[str, Any], wrappers: Sequence[str] = (), vector: Mapping[str, Any] | None = None
) -> Env | Vector:
    """Make an environment.

    Args:
        name: its id, or `module:id` where importing the module registers it.
        arguments: keyword arguments of each environment.
        wrappers: `package.module:Name` of each wrapper, the innermost first.
        vector: further arguments of `gymnasium.make_vec`; None for a single environment.

    Raises:
        InputError: an unknown id, arguments that it does not take, or a wrapper that does not fit.
    """
    wrap_all = [find_wrapper(wrapper) for wrapper in wrappers]
    with creation_errors(name, dict(arguments)):
        if vector is not None:
            return gym.make_vec(name, **vector, **arguments, wrappers=wrap_all)
        env: Env = gym.make(name, **arguments)
    for wrap in wrap_all:
        env = wrap(env)
    return env


def vector_arguments(count: int | None) -> dict[str, Any] | None:
    """Return the `vector` arguments of `make_environment` for `count` copies; raises `InputError` for less than 1."""
    if count is not None and count < 1:
        raise InputError(f"Expected at least 1 environment, but got {count}.")
    return None if count in (None, 1) else {"num_envs": count, "vectorization_mode": "sync"}


def remake_environment(record: dict[str, Any] | None, name: str | None, wrappers: Sequence[str]) -> Env | Vector | None:
    """Make the environment of a run from its record, where the user names its id or wrappers; else return None.

    Args:
        record: what the checkpoint holds of the environment: id, arguments, wrappers, number of copies.
        name: the id given by the user, or `module:id`.
        wrappers: `package.module:Name` of each wrapper given by the user.

    Raises:
        InputError: an id or wrappers other than those of the run.
    """
    if (name is None and not wrappers) or (name is None and record is None):
        return None
    if record is not None and name not in (None, record["id"], _with_module(name, record["id"])):
        raise InputError(f"Expected {record['id']}, which the run is of, but got {name}; leave the id out.")
    recorded = record or {}
    if recorded.get("around"):
        return None
    if recorded:
        specs.require_registered(recorded, named=name is not None)
    made = make_environment(name or recorded["id"], recorded.get("kwargs", {}), wrappers, recorded.get("vector"))
    new = specs.environment_record(made)
    if recorded and new is not None and new.get("wrappers", []) != recorded.get("wrappers", []):
        expected, got = (", ".join(r.get("wrappers", [])) or "no wrapper" for r in (recorded, new))
        raise InputError(f"Expected the run's own wrappers, {expected}, but got {got}; name them with --wrapper.")
    return made


def other_environment(
    own: Env | Vector, name: str | None, arguments: Mapping[str, Any], wrappers: Sequence[str]
) -> Env | Vector | None:
    """Make another environment to evaluate a run in, or return None where neither an id nor arguments are given.

    Args:
        own: the run's environment, whose id and arguments are the defaults.
        name: an id, or `module:id`.
        arguments: keyword arguments of the environment.
        wrappers: `package.module:Name` of each wrapper, the innermost first.

    Raises:
        InputError: an unknown id, arguments that it does not take, a wrapper that does not fit, or no id at all.
    """
    if name is None and not arguments:
        return None
    record = specs.environment_record(own) if name is None else {}
    if record is None:
        raise InputError("Expected --environment ID beside --env.NAME, since the run's own environment has no id.")
    return make_environment(name or record["id"], {**record.get("kwargs", {}), **arguments}, wrappers)


def _with_module(name: str | None, id_: str) -> str:
    return f"{(name or '').partition(':')[0]}:{id_}"


def find_wrapper(name: str) -> Wrap:
    """Import a wrapper, so adapted that Gymnasium can recreate it from the environment's spec.

    Raises:
        InputError: it does not exist, or cannot be imported.
    """
    place, _, attribute = name.rpartition(":")
    if not place:
        raise InputError(f"Expected a wrapper as package.module:Name, but got {name!r}; say which module has it.")
    try:
        kind = getattr(importlib.import_module(place), attribute)
    except Exception as error:
        raise InputError(
            f"Expected a wrapper package.module:Name, but {name!r} raised {describe_error(error)}."
        ) from error
    if not isinstance(kind, type) or not issubclass(kind, gym.Wrapper):
        raise InputError(f"Expected {name} to be a gymnasium.Wrapper, but got {kind!r}.")
    return _recording(kind)


def _recording(kind: type[AnyWrapper]) -> Wrap:
    """Return the wrapper, recording in the environment's spec that it takes no arguments but the environment."""

    def start(self: Any, env: Env) -> None:
        RecordConstructorArgs.__init__(self)
        kind.__init__(self, env)

    names = {"__init__": start, "__module__": kind.__module__}
    recording = type(kind.__name__, (kind, RecordConstructorArgs), names)

    def wrap(env: Env) -> AnyWrapper:
        try:
            wrapped: AnyWrapper = recording(env)
        except Exception as error:
            raise InputError(
                f"Expected {kind.__name__} to wrap the environment, but it raised {describe_error(error)}."
            ) from error
        return wrapped

    wrap.__module__, wrap.__qualname__ = kind.__module__, kind.__name__
    return wrap
