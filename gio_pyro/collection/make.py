"""Environments from ids, checked before anything is learned."""

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import gymnasium as gym
from gymnasium.vector import VectorEnv

from gio_pyro.collection.actions import Actions
from gio_pyro.collection.observations import Observations
from gio_pyro.collection.stable_baselines_vector import StableBaselinesVector, is_vec_env
from gio_pyro.errors import InputError, describe_error, shown

Env = gym.Env[Any, Any]
Vector = VectorEnv[Any, Any, Any]

EXAMPLE_PREFIX = "gio/"
"""What the ids of the example worlds begin with."""
VECTOR_ARGUMENTS = ("num_envs", "vectorization_mode", "vector_kwargs", "wrappers")
"""What `gymnasium.make_vec` keeps in a spec beside the arguments of the single environment."""


def make_env(environment: str | Env | Vector, **kwargs: Any) -> Env | Vector:
    """Return the environment, made from its id where a string is given; a vector of environments passes through.

    A `VecEnv` of Stable-Baselines3 becomes a `StableVector`.

    Raises:
        InputError: an unknown id, arguments it does not take, or spaces that are not supported.
    """
    env = _make(environment, kwargs) if isinstance(environment, str) else environment
    env = StableBaselinesVector(env) if is_vec_env(env) else env
    if not isinstance(env, gym.Env | VectorEnv):
        raise InputError(f"Expected an environment id or a gymnasium.Env, but got {_describe_type(env)}.")
    try:
        observation_space, action_space = single_spaces(env)
    except AttributeError as error:
        raise InputError(
            f"Expected an environment with an observation_space and an action_space, but got "
            f"{describe_error(error)}; set both "
            f"in {type(env).__name__}.__init__."
        ) from error
    Observations.of(observation_space, quiet=True)
    Actions.of(action_space)
    return env


def _describe_type(thing: object) -> str:
    """Return what something is that is no environment, and what would make one of it."""
    if isinstance(thing, type):
        return f"the class {thing.__name__}; make one of it, {thing.__name__}()"
    if isinstance(thing, list | tuple):
        return f"a {type(thing).__name__}; several are a vector, such as gymnasium.vector.SyncVectorEnv"
    kind = f"{type(thing).__module__}.{type(thing).__name__}" if hasattr(thing, "step") else type(thing).__name__
    return f"{kind}; wrap one of old Gym or dm_control with shimmy" if hasattr(thing, "step") else kind


def single_spaces(env: Env | Vector) -> tuple[gym.Space[Any], gym.Space[Any]]:
    """Return the observation and the action space of one environment, also of a vector of them."""
    if isinstance(env, VectorEnv):
        return env.single_observation_space, env.single_action_space
    return env.observation_space, env.action_space


def _make(name: str, kwargs: dict[str, Any]) -> Env:
    with creation_errors(name, kwargs):
        return gym.make(name, **kwargs)


@contextmanager
def creation_errors(name: str, kwargs: dict[str, Any]) -> Iterator[None]:
    """Say in one sentence, as an `InputError`, what Gymnasium raises when it makes an environment."""
    register_example_worlds(name)
    try:
        yield
    except InputError:
        raise
    except Exception as error:
        text = describe_error(error, 200)
        if _unregistered(name, error):
            raise InputError(f"Expected a registered environment, but got {shown(name)}: {text}.") from error
        if isinstance(error, TypeError) and "unexpected keyword argument" in text:
            raise InputError(f"Expected arguments that {name} takes, but got {kwargs}: {text}.") from error
        given = f" with {kwargs}" if kwargs else ""
        raise InputError(f"Expected to make {name}{given}, but it raised {text}.") from error


def register_example_worlds(name: str) -> None:
    """Make Gymnasium know the example worlds where an id is one of theirs; for others they are not even imported."""
    if name.startswith(EXAMPLE_PREFIX):
        from gio_pyro.envs import register

        register()


def _unregistered(name: str, error: Exception) -> bool:
    """Whether it is the name that Gymnasium did not find: no such id or version, a malformed one, a module missing."""
    module, colon, id_ = name.rpartition(":")
    if id_ in gym.registry:
        return False
    unknown = isinstance(error, gym.error.UnregisteredEnv | gym.error.DeprecatedEnv) or type(error) is gym.error.Error
    return unknown or (bool(colon) and module not in sys.modules)
