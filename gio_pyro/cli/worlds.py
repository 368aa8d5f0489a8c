"""Environments as the command line names them: an id with arguments, wrappers, how many, and the same again later."""

from __future__ import annotations

import importlib
import json
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

FLAG = "--env."
PYTHONS = {"True": True, "False": False, "None": None}
"""Words of Python that are none of JSON."""


def rewritten(arguments: Sequence[str]) -> list[str]:
    """Return command-line arguments with each `--env.NAME=VALUE`, or `--env.NAME VALUE`, as `--env-arg NAME=VALUE`."""
    found: list[str] = []
    waiting = list(reversed(arguments))
    while waiting:
        argument = waiting.pop()
        if not argument.startswith(FLAG):
            found.append(argument)
            continue
        name, equals, value = argument.removeprefix(FLAG).partition("=")
        if name and not equals and waiting and not waiting[-1].startswith("--"):
            equals, value = "=", waiting.pop()
        found += ["--env-arg", f"{name.replace('-', '_')}{equals}{value}"]
    return found


def parsed(given: Sequence[str]) -> dict[str, Any]:
    """Return the arguments of `NAME=VALUE` texts, the values as JSON where they are JSON and as text where not.

    Raises:
        InputError: text without a name or value.
    """
    arguments: dict[str, Any] = {}
    for text in given:
        name, _, value = text.partition("=")
        if not name.isidentifier() or not value:
            raise InputError(f"Expected --env.NAME=VALUE, but got --env.{text}; for text that is empty give '\"\"'.")
        arguments[name] = _value(value)
    return arguments


def _value(text: str) -> Any:
    if text in PYTHONS:
        return PYTHONS[text]
    try:
        return json.loads(text)
    except ValueError:
        return text


def world(
    name: str, arguments: Mapping[str, Any], wrappers: Sequence[str] = (), vector: Mapping[str, Any] | None = None
) -> Env | Vector:
    """Make an environment.

    Args:
        name: its id, or `module:id` where importing the module registers it.
        arguments: those of a single environment.
        wrappers: `package.module:Name` of each wrapper, the innermost first.
        vector: further arguments of `gymnasium.make_vec`; None for a single environment.

    Raises:
        InputError: an unknown id, arguments it does not take, or a wrapper that does not fit.
    """
    kinds = [wrapper_named(wrapper) for wrapper in wrappers]
    with creation_errors(name, dict(arguments)):
        if vector is not None:
            return gym.make_vec(name, **vector, **arguments, wrappers=kinds)
        env: Env = gym.make(name, **arguments)
    for kind in kinds:
        env = kind(env)
    return env


def several(count: int | None) -> dict[str, Any] | None:
    """Return the further arguments of `count` environments stepped together; raises `InputError` for less than 1."""
    if count is not None and count < 1:
        raise InputError(f"Expected at least 1 environment, but got {count}.")
    return None if count in (None, 1) else {"num_envs": count, "vectorization_mode": "sync"}


def again(record: dict[str, Any] | None, name: str | None, wrappers: Sequence[str]) -> Env | Vector | None:
    """Return the environment of a run where its id or its wrappers are named again, None where they are not.

    Its arguments and its number are those of the record.

    Raises:
        InputError: the environment or the wrappers are others than the run's.
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
    made = world(name or recorded["id"], recorded.get("kwargs", {}), wrappers, recorded.get("vector"))
    now = specs.environment_record(made)
    if recorded and now is not None and now.get("wrappers", []) != recorded.get("wrappers", []):
        expected, got = (", ".join(r.get("wrappers", [])) or "no wrapper" for r in (recorded, now))
        raise InputError(f"Expected the run's own wrappers, {expected}, but got {got}; name them with --wrapper.")
    return made


def another(
    own: Env | Vector, name: str | None, arguments: Mapping[str, Any], wrappers: Sequence[str]
) -> Env | Vector | None:
    """Return the environment that a run is to be judged in instead of its own, None where none is named.

    Args:
        own: the run's; without a name, its id and arguments are taken, but for those given.
        name: an id, or `module:id`.
        arguments: of the environment.
        wrappers: `package.module:Name` of each, the innermost first.

    Raises:
        InputError: an unknown id, arguments it does not take, a wrapper that does not fit, or no id to take.
    """
    if name is None and not arguments:
        return None
    record = specs.environment_record(own) if name is None else {}
    if record is None:
        raise InputError("Expected --environment ID beside --env.NAME, since the run's own environment has no id.")
    return world(name or record["id"], {**record.get("kwargs", {}), **arguments}, wrappers)


def _with_module(name: str | None, id_: str) -> str:
    return f"{(name or '').partition(':')[0]}:{id_}"


def wrapper_named(name: str) -> Wrap:
    """Return the wrapper of that name, made so that Gymnasium can make it again.

    Raises:
        InputError: there is none, or it cannot be imported.
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
    return _remade(kind)


def _remade(kind: type[AnyWrapper]) -> Wrap:
    """The same wrapper, recording in the environment's spec that it was made from the environment alone."""

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
