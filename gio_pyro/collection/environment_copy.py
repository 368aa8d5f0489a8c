"""Copy an environment in its current state, or remake it so that it renders."""

import copy
from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium.vector import AsyncVectorEnv, VectorEnv

from gio_pyro.collection.deep_copy import CannotCopy, copy_layers
from gio_pyro.collection.make import VECTOR_ARGUMENTS, Env, Vector, register_example_worlds
from gio_pyro.collection.stable_baselines_vector import StableBaselinesVector
from gio_pyro.collection.wrapper_statistics import layers_with_statistics, load_statistics, read_statistics
from gio_pyro.collection.wrappers import DISPLAY_WRAPPERS, is_display_wrapper, is_vector, sub_envs, wrapper_chain
from gio_pyro.errors import InputError, describe_error

PLAIN_TYPES = (bool, int, float, str, type(None), np.generic)
PASS_ANOTHER = "pass another one to play in (environment= in Python, --environment on the command line)"
RENDER_ATTRIBUTES = ("render_mode", "metadata")


def copy_environment(env: Env | Vector) -> Env | Vector:
    """Return a copy of `env` with its attributes, wrappers and their running statistics.

    Vectors are copied with their wrappers; wrappers that display or record are left out. The copy must be reset before
    use, and `env` is not changed. Of an `AsyncVectorEnv`, one environment is returned.

    Raises:
        InputError: part of it can neither be copied nor remade.
    """
    if isinstance(env.unwrapped, AsyncVectorEnv):
        return _copy_from_processes(env)
    try:
        copied: Env | Vector = copy_layers(env, _remake_env)
    except CannotCopy as what:
        raise InputError(f"Expected an environment that can be copied, but {what} cannot be; {PASS_ANOTHER}.") from what
    return copied


def _remake_env(base: Any) -> Any:
    """Make an environment again from its spec, with the wrappers of its registration; None without a spec."""
    spec = getattr(base, "spec", None)
    if spec is None:
        return None
    try:
        return gym.make_vec(spec) if isinstance(base, VectorEnv) else gym.make(_without_display(spec))
    except Exception as error:
        raise CannotCopy(f"{spec.id}, which raised {describe_error(error, 150)} when it was made again,") from error


def _without_display(spec: Any) -> Any:
    """Return a spec without a window and without wrappers that display or record."""
    quiet = copy.copy(spec)
    names = {kind.__name__ for kind in DISPLAY_WRAPPERS}
    quiet.additional_wrappers = tuple(one for one in spec.additional_wrappers if one.name not in names)
    if spec.kwargs.get("render_mode") == "human":
        quiet.kwargs = spec.kwargs | {"render_mode": None}
    return quiet


def _copy_from_processes(env: Any) -> Env:
    """Return one environment of an `AsyncVectorEnv`, remade by its function, with the same plain attributes."""
    if env.unwrapped is not env:
        raise InputError(
            f"Expected an environment that can be copied, but {env} is a wrapped AsyncVectorEnv; {PASS_ANOTHER}."
        )
    try:
        one: Env = env.env_fns[0]()
        base, around = wrapper_chain(one)[-1], [vars(layer) for layer in wrapper_chain(one)[:-1]]
        names = [name for name in vars(base) if not any(name in attributes for attributes in around)]
        _set_existing_attributes({name: env.get_attr(name)[0] for name in names if is_plain(vars(base)[name])}, base)
        _copy_statistics(env, one)
    except Exception as error:
        raise InputError(
            f"Expected an environment that can be made again, but {env} raised {describe_error(error, 150)}; "
            f"{PASS_ANOTHER}."
        ) from error
    return one


def _copy_statistics(env: Any, one: Any) -> None:
    """Fetch the running statistics of the first environment; `get_attr` reads the outermost wrapper only."""
    for name in ("obs_rms", "return_rms"):
        wrappers = [layer for layer in layers_with_statistics(one) if name in vars(layer)]
        if len(wrappers) > 1:
            raise InputError(f"two wrappers with {name}")
        for layer in wrappers:
            vars(layer)[name] = env.get_attr(name)[0]


def copy_for_rendering(env: Any, render_mode: str) -> Env:
    """Return one environment remade by Gymnasium with a render mode, with the plain attributes of `env`.

    Args:
        env: the environment or a vector of them.
        render_mode: such as "rgb_array".

    Raises:
        InputError: Gymnasium cannot make it again, or the vector is wrapped.
    """
    if is_vector(env) and (env.unwrapped is not env or isinstance(env, StableBaselinesVector)):
        raise InputError("Expected one environment to film, but the wrappers of the vector show others.")
    one = (sub_envs(env) or [env])[0]
    made = _remake_for_rendering(one.spec or env.spec, {"render_mode": render_mode})
    here, there = (
        [layer for layer in reversed(wrapper_chain(each)) if not is_display_wrapper(layer)] for each in (one, made)
    )
    for source, target in zip(here, there, strict=False):
        if type(source) is type(target):
            _set_existing_attributes({name: value for name, value in vars(source).items() if is_plain(value)}, target)
    load_statistics(made, read_statistics(one))
    return made


def is_plain(value: Any) -> bool:
    """Whether a value is a number, text, None or a numeric array, or a collection of these."""
    if isinstance(value, np.ndarray):
        return value.dtype.kind in "biufc"
    if isinstance(value, dict):
        return all(is_plain(item) for item in value.values())
    if isinstance(value, list | tuple):
        return all(is_plain(item) for item in value)
    return isinstance(value, PLAIN_TYPES)


def _set_existing_attributes(values: dict[str, Any], target: Any) -> None:
    """Set the values of those plain attributes that the target already has."""
    for name, value in values.items():
        if name in vars(target) and name not in RENDER_ATTRIBUTES and is_plain(vars(target)[name]):
            vars(target)[name] = copy.deepcopy(value)


def _remake_for_rendering(spec: Any, changed: dict[str, Any]) -> Env:
    if spec is None:
        raise InputError("Expected an environment that Gymnasium can make again, but it has no spec; register it.")
    register_example_worlds(spec.id)
    try:
        if "num_envs" not in spec.kwargs and "vectorization_mode" not in spec.kwargs:
            return gym.make(_without_display(spec), **changed)
        kwargs = {name: value for name, value in spec.kwargs.items() if name not in VECTOR_ARGUMENTS}
        single = gym.make(spec.id, **kwargs | changed)
        for wrapper in spec.kwargs.get("wrappers", ()):
            single = wrapper(single)
        return single
    except Exception as error:
        raise InputError(
            f"Expected an environment that Gymnasium can make again, but {spec.id} raised "
            f"{describe_error(error, 150)}; register it as it is wrapped."
        ) from error
