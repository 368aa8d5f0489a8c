"""Specifications of environments, programs and futures as text, read from a checkpoint without running code.

Only names in this library or in Gymnasium's registry are instantiated; the caller passes anything else again.
"""

from __future__ import annotations

import importlib
import json
import re
from collections.abc import Iterator
from typing import Any

from gymnasium.envs.registration import EnvSpec
from gymnasium.vector import VectorEnv

from gio_pyro.collection.make import VECTOR_ARGUMENTS, Env, Vector, register_example_worlds
from gio_pyro.collection.wrappers import wrapper_chain
from gio_pyro.errors import CheckpointError, article, describe_error
from gio_pyro.futures import FUTURES, FutureLike, unwrapped_future, written
from gio_pyro.programs import reference
from gio_pyro.programs.imports import HOMES
from gio_pyro.programs.registry import is_import_path
from gio_pyro.types import PyroProgram
from gio_pyro.utils.calls import to_builtin

INSTANCE_PREFIX = "an instance of "
"""Prefix of the class of a program passed as an instance, whose configuration is not recorded."""


def environment_record(env: Env | Vector) -> dict[str, Any] | None:
    """Return the id and plain arguments that remake the environment, or None if they cannot.

    For a vector of `gymnasium.make_vec`, "vector" has its further arguments. Wrappers are code: "wrappers" lists their
    names, "around" those of a vector, and a wrapped environment must be passed again when the agent is loaded.
    """
    spec = env.spec
    if spec is None:
        return None
    wrappers = [w.entry_point for w in spec.additional_wrappers]
    wrappers += [reference(wrapper) for wrapper in spec.kwargs.get("wrappers", ())]
    try:
        given = _arguments(spec)
    except TypeError:
        return None
    vector = {name: given.pop(name) for name in VECTOR_ARGUMENTS if name in given}
    around = [reference(type(layer)) for layer in wrapper_chain(env)[:-1]] if isinstance(env, VectorEnv) else []
    record = {"id": spec.id, "kwargs": given}
    for name, value in (("vector", vector), ("wrappers", wrappers), ("around", around)):
        record |= {name: value} if value else {}
    return record


def registered_arguments(record: dict[str, Any] | None) -> list[str]:
    """Return the names of the arguments in the record of an environment that it is registered with, by value."""
    import gymnasium as gym

    registered = None if record is None else gym.registry.get(record["id"])
    if record is None or registered is None:
        return []
    try:
        own = _arguments(registered)
    except TypeError:
        return []
    return [name for name, value in record["kwargs"].items() if name in own and own[name] == value]


def _arguments(spec: EnvSpec) -> dict[str, Any]:
    """Return the arguments of a specification as plain values; raise `TypeError` if there are others."""
    limit = {} if spec.max_episode_steps is None else {"max_episode_steps": spec.max_episode_steps}
    arguments = {name: value for name, value in spec.kwargs.items() if name != "wrappers"}
    plain: dict[str, Any] = json.loads(json.dumps(limit | arguments, default=_json_default))
    return plain


def _json_default(item: Any) -> Any:
    found = to_builtin(item)
    if found is item:
        raise TypeError
    return found


def environment_from(record: dict[str, Any] | None) -> Env | Vector:
    """Make the environment of a record.

    Raises:
        CheckpointError: the record has no id, one unknown to Gymnasium, or wrappers.
    """
    import gymnasium as gym

    if record is None:
        raise _unknown_environment("an environment without an id")
    if record.get("around"):
        raise _unknown_environment(f"a vector of {record['id']!r} wrapped in {', '.join(record['around'])}")
    if record.get("wrappers"):
        raise _unknown_environment(
            f"{record['id']!r} wrapped in {', '.join(record['wrappers'])}", with_=", with --wrapper"
        )
    require_registered(record)
    try:
        if record.get("vector"):
            return gym.make_vec(record["id"], **record["vector"], **record["kwargs"])
        return gym.make(record["id"], **record["kwargs"])
    except Exception as error:
        raise CheckpointError(
            f"Expected an environment that Gymnasium can make again, but {record['id']} raised {describe_error(error)}."
        ) from error


def require_registered(record: dict[str, Any], *, named: bool = False) -> None:
    """Raise `CheckpointError` if making the environment of a record would import a module that only the file names.

    Args:
        record: see `environment_record`.
        named: whether the user passed the id on this call; the arguments are still those of the file.
    """
    import gymnasium as gym

    register_example_worlds(record["id"])
    if not named and (":" in record["id"] or record["id"] not in gym.registry):
        raise _unknown_environment(repr(record["id"]))
    for text in _all_text([record.get("kwargs"), record.get("vector")]):
        if MODULE_REFERENCE.fullmatch(text):
            raise CheckpointError(
                f"Expected arguments of {record['id']} that name no code, but the checkpoint has {text[:80]!r}; make "
                "the environment yourself and pass it (environment= in Python)."
            )


def _all_text(value: Any) -> Iterator[str]:
    """Yield all strings in nested plain values."""
    if isinstance(value, str):
        yield value
    elif isinstance(value, dict | list | tuple):
        for item in (*value, *value.values()) if isinstance(value, dict) else value:
            yield from _all_text(item)


MODULE_REFERENCE = re.compile(r"\s*[\w./\\-]+:[\w./-]+\s*")
"""Matches strings that could name an id or a class in a module, `module:Name`."""


def _unknown_environment(named: str, with_: str = "") -> CheckpointError:
    return CheckpointError(
        f"Expected an environment that Gymnasium knows, but the checkpoint was trained on {named}; name it again "
        f"(environment= in Python, its id or module:id on the command line{with_})."
    )


def program_record(program: str | PyroProgram, kind: str) -> str:
    """Return the name of a program of this library, or the import path of another one or of an instance's class."""
    if not isinstance(program, str) and not hasattr(program, "__qualname__"):
        return INSTANCE_PREFIX + reference(program)
    name = program if isinstance(program, str) else reference(program)
    short = name.rpartition(":")[2]
    home = importlib.import_module(HOMES[kind])
    if short not in home.__all__:
        return name
    return short if name in (short, f"{HOMES[kind]}:{short}", reference(getattr(home, short))) else name


def program_from(name: str, kind: str) -> str:
    """Return the name of one of this library's programs; raises `CheckpointError` for any other."""
    if name.startswith(INSTANCE_PREFIX):
        raise CheckpointError(
            f"Expected a {kind} that its name alone makes again, but the checkpoint was trained with {name}; pass one "
            f"like it again ({kind}= in Python)."
        )
    if name not in importlib.import_module(HOMES[kind]).__all__:
        raise CheckpointError(
            f"Expected a {kind} of gio_pyro, but the checkpoint was trained with {name!r}; name it again ({kind}= in "
            f"Python, --{kind} on the command line)."
        )
    return name


def kind_from(name: str | None, again: str | None, noun: str) -> str | None:
    """Return the specification of a signal or explorer: that of the checkpoint if it is of this library, else `again`.

    Args:
        name: the specification in the checkpoint.
        again: the specification passed on this call, if any.
        noun: "signal" or "explorer".

    Raises:
        CheckpointError: a custom one was not passed again, or a different one was.
    """
    if again is not None and _bare_name(again) != _bare_name(name or "none"):
        raise CheckpointError(
            f"Expected {noun} {_bare_name(name or 'none')[:80]} as in training, but got {again[:80]}; name that."
        )
    if again is None and name is not None and is_import_path(name):
        raise CheckpointError(
            f"Expected {article(noun)} of gio_pyro, but the checkpoint was trained with {name[:300]!r}; name it again "
            f"({noun}= in Python, --{noun} on the command line)."
        )
    return name if again is None else again


def _bare_name(text: str) -> str:
    """Return a specification without file or module, but with its arguments."""
    name, bracket, rest = text.partition("(")
    return name.rpartition(":")[2] + bracket + rest


def future_record(future: FutureLike) -> str:
    """Return the specification of a future of this library, or the import path of another one's class."""
    return written(future) or reference(unwrapped_future(future))


def future_named(name: str) -> str:
    """Return the specification of a future of this library; raises `CheckpointError` for any other."""
    if name.partition("(")[0] not in FUTURES:
        raise CheckpointError(
            f"Expected a future of gio_pyro, but the checkpoint was trained with {name!r}; pass it again (future= in "
            "Python, --future on the command line)."
        )
    return name
