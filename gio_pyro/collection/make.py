"""Make environments from ids, and check their spaces before training."""

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
"""Prefix of the ids of the example worlds."""
VECTOR_ARGUMENTS = ("num_envs", "vectorization_mode", "vector_kwargs", "wrappers")
"""Arguments of `gymnasium.make_vec` that it stores in the spec, beside those of the single environment."""


def make_env(environment: str | Env | Vector, **kwargs: Any) -> Env | Vector:
    """Return an environment or a vector of them, made from its id if a string is given, with supported spaces.

    A `VecEnv` of Stable-Baselines3 is wrapped as a `StableBaselinesVector`.

    Args:
        environment: an id, an environment or a vector.
        kwargs: arguments of the environment, with an id only.

    Raises:
        InputError: an unknown id, invalid arguments, or unsupported spaces.
    """
    env = _make(environment, kwargs) if isinstance(environment, str) else environment
    env = StableBaselinesVector(env) if is_vec_env(env) else env
    if not isinstance(env, gym.Env | VectorEnv):
        raise InputError(f"Expected an environment id or a gymnasium.Env, but got {_describe_type(env)}.")
    try:
        observation_space, action_space = single_spaces(env)
    except AttributeError as error:
        raise InputError(
            f"Expected an environment with an observation_space and an action_space, but got {describe_error(error)}; "
            f"set both in {type(env).__name__}.__init__."
        ) from error
    Observations.of(observation_space, quiet=True)
    Actions.of(action_space)
    return env


def _describe_type(thing: object) -> str:
    """Describe an object that is not an environment, and how to make one of it."""
    if isinstance(thing, type):
        return f"the class {thing.__name__}; make one of it, {thing.__name__}()"
    if isinstance(thing, list | tuple):
        return f"a {type(thing).__name__}; several are a vector, such as gymnasium.vector.SyncVectorEnv"
    kind = f"{type(thing).__module__}.{type(thing).__name__}" if hasattr(thing, "step") else type(thing).__name__
    return f"{kind}; wrap one of old Gym or dm_control with shimmy" if hasattr(thing, "step") else kind


def single_spaces(env: Env | Vector) -> tuple[gym.Space[Any], gym.Space[Any]]:
    """Return the observation and action space of an environment, or of one environment of a vector."""
    if isinstance(env, VectorEnv):
        return env.single_observation_space, env.single_action_space
    return env.observation_space, env.action_space


def _make(name: str, kwargs: dict[str, Any]) -> Env:
    with creation_errors(name, kwargs):
        return gym.make(name, **kwargs)


@contextmanager
def creation_errors(name: str, kwargs: dict[str, Any]) -> Iterator[None]:
    """Turn exceptions that Gymnasium raises when it makes an environment into one-sentence `InputError`s."""
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
    """Register the example worlds with Gymnasium if an id is one of theirs; otherwise they are not imported."""
    if name.startswith(EXAMPLE_PREFIX):
        from gio_pyro.envs import register

        register()


def _unregistered(name: str, error: Exception) -> bool:
    """Whether the id is at fault: unknown, of an unknown version, malformed, or of a missing module."""
    module, colon, id_ = name.rpartition(":")
    if id_ in gym.registry:
        return False
    unknown = isinstance(error, gym.error.UnregisteredEnv | gym.error.DeprecatedEnv) or type(error) is gym.error.Error
    return unknown or (bool(colon) and module not in sys.modules)
