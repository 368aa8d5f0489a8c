"""The world that was learned in, once more, to play in: a copy as it stands, its running statistics held still."""

import copy
from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium.vector import AsyncVectorEnv, VectorEnv

from gio_pyro.collection.copies import CannotCopy, copied
from gio_pyro.collection.layers import SHOWING, chain, inside, is_vector, shows
from gio_pyro.collection.make import OF_THE_VECTOR, Env, Vector, announce
from gio_pyro.collection.stable import StableVector
from gio_pyro.collection.statistics import counting, put, statistics_of
from gio_pyro.errors import InputError, describe_error

PLAIN = (bool, int, float, str, type(None), np.generic)
ANOTHER = "pass another one to play in (environment= in Python, --environment on the command line)"
SHOWN = ("render_mode", "metadata")


def fresh_copy(env: Env | Vector) -> Env | Vector:
    """Return a copy of `env` to play in: attributes that were set on it, wrappers and their statistics included.

    A vector is copied as a whole, with what wraps it. What only shows or films an environment is left out. The copy is
    not reset yet; `env` is not changed. Of a vector in other processes (`AsyncVectorEnv`) it is one environment.

    Raises:
        InputError: part of it can neither be copied nor made again.
    """
    if isinstance(env.unwrapped, AsyncVectorEnv):
        return _out_of_processes(env)
    try:
        twin: Env | Vector = copied(env, _again)
    except CannotCopy as what:
        raise InputError(f"Expected an environment that can be copied, but {what} cannot be; {ANOTHER}.") from what
    return twin


def _again(base: Any) -> Any:
    """Make an environment again that has no wrappers but those of its registration; None where it has no spec."""
    spec = getattr(base, "spec", None)
    if spec is None:
        return None
    try:
        return gym.make_vec(spec) if isinstance(base, VectorEnv) else gym.make(_shown_nowhere(spec))
    except Exception as error:
        raise CannotCopy(f"{spec.id}, which raised {describe_error(error, 150)} when it was made again,") from error


def _shown_nowhere(spec: Any) -> Any:
    """Return a spec without a window and without wrappers that show or film."""
    quiet = copy.copy(spec)
    names = {kind.__name__ for kind in SHOWING}
    quiet.additional_wrappers = tuple(one for one in spec.additional_wrappers if one.name not in names)
    if spec.kwargs.get("render_mode") == "human":
        quiet.kwargs = spec.kwargs | {"render_mode": None}
    return quiet


def _out_of_processes(env: Any) -> Env:
    """Return one environment of a vector in other processes, as it was made there, with its numbers."""
    if env.unwrapped is not env:
        raise InputError(
            f"Expected an environment that can be copied, but {env} is a wrapped AsyncVectorEnv; {ANOTHER}."
        )
    try:
        one: Env = env.env_fns[0]()
        base, around = chain(one)[-1], [vars(layer) for layer in chain(one)[:-1]]
        names = [name for name in vars(base) if not any(name in attributes for attributes in around)]
        _carry({name: env.get_attr(name)[0] for name in names if plain(vars(base)[name])}, base)
        _statistics_from(env, one)
    except Exception as error:
        raise InputError(
            f"Expected an environment that can be made again, but {env} raised {describe_error(error, 150)}; {ANOTHER}."
        ) from error
    return one


def _statistics_from(env: Any, one: Any) -> None:
    """Fetch the running statistics of the first environment; a name leads to the outermost wrapper that has it."""
    for name in ("obs_rms", "return_rms"):
        keeping = [layer for layer in counting(one) if name in vars(layer)]
        if len(keeping) > 1:
            raise InputError(f"two wrappers with {name}")
        for layer in keeping:
            vars(layer)[name] = env.get_attr(name)[0]


def copy_that_renders(env: Any, render_mode: str) -> Env:
    """Return one environment that renders, as Gymnasium makes it again, with the numbers of `env`.

    Raises:
        InputError: Gymnasium cannot make it again, or a vector is wrapped.
    """
    if is_vector(env) and (env.unwrapped is not env or isinstance(env, StableVector)):
        raise InputError("Expected one environment to film, but the wrappers of the vector show others.")
    one = (inside(env) or [env])[0]
    made = _made_again(one.spec or env.spec, {"render_mode": render_mode})
    here, there = ([layer for layer in reversed(chain(each)) if not shows(layer)] for each in (one, made))
    for source, target in zip(here, there, strict=False):
        if type(source) is type(target):
            _carry({name: value for name, value in vars(source).items() if plain(value)}, target)
    put(made, statistics_of(one))
    return made


def plain(value: Any) -> bool:
    """Whether a value is a number, text or an array, or a collection of such."""
    if isinstance(value, np.ndarray):
        return value.dtype.kind in "biufc"
    if isinstance(value, dict):
        return all(plain(item) for item in value.values())
    if isinstance(value, list | tuple):
        return all(plain(item) for item in value)
    return isinstance(value, PLAIN)


def _carry(values: dict[str, Any], target: Any) -> None:
    """Set attributes that the target has."""
    for name, value in values.items():
        if name in vars(target) and name not in SHOWN and plain(vars(target)[name]):
            vars(target)[name] = copy.deepcopy(value)


def _made_again(spec: Any, changed: dict[str, Any]) -> Env:
    if spec is None:
        raise InputError("Expected an environment that Gymnasium can make again, but it has no spec; register it.")
    announce(spec.id)
    try:
        if "num_envs" not in spec.kwargs and "vectorization_mode" not in spec.kwargs:
            return gym.make(_shown_nowhere(spec), **changed)
        kwargs = {name: value for name, value in spec.kwargs.items() if name not in OF_THE_VECTOR}
        single = gym.make(spec.id, **kwargs | changed)
        for wrapper in spec.kwargs.get("wrappers", ()):
            single = wrapper(single)
        return single
    except Exception as error:
        raise InputError(
            f"Expected an environment that Gymnasium can make again, but {spec.id} raised "
            f"{describe_error(error, 150)}; "
            "register it as it is wrapped."
        ) from error
