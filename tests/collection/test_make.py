"""Making environments from ids, and errors."""

from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.envs.registration import EnvSpec
from gymnasium.spaces import Box, Graph, MultiBinary, MultiDiscrete, Text

from gio_pyro.collection import make_env
from gio_pyro.errors import InputError
from tests.collection.environments import Diary, DiaryVector, Script

THREE = [(1, 0.0, False, False), (2, 0.5, False, False), (3, 1.0, True, False)]


@pytest.mark.parametrize("env", [Script(THREE), Diary(), DiaryVector(2, None)])
def test_an_environment_passes_through(env: Any):
    assert make_env(env) is env


@pytest.mark.parametrize("name", ["FrozenLake-v1", "CartPole-v1", "Pendulum-v1", "Blackjack-v1"])
def test_an_id_is_made(name: str):
    assert make_env(name).spec.id == name


def test_arguments_are_passed_on():
    assert make_env("FrozenLake-v1", map_name="8x8").observation_space.n == 64


@pytest.mark.parametrize("name", ["NoSuchWorld-v0", "not an id", "no_such_module:World-v0"])
def test_an_unknown_id_is_refused(name: str):
    with pytest.raises(InputError, match="a registered environment, but got"):
        make_env(name)


def test_an_argument_that_the_environment_does_not_take_is_refused():
    with pytest.raises(InputError, match="arguments that FrozenLake-v1 takes"):
        make_env("FrozenLake-v1", wheels=4)


@pytest.mark.parametrize("name", ["FrozenLake-v1", "FrozenLake", "gymnasium:FrozenLake-v1"])
@pytest.mark.filterwarnings("ignore:.*Using the latest versioned environment")
def test_what_making_raises_is_not_said_of_the_id(name: str):
    with pytest.raises(InputError, match=f"^Expected to make {name} with .*, but it raised KeyError: '9x9'.$"):
        make_env(name, map_name="9x9")


@pytest.mark.parametrize("error", [TypeError("no length"), gym.error.Error("no window"), ModuleNotFoundError("mujoco")])
def test_what_a_constructor_raises_is_not_said_of_id_or_arguments(monkeypatch: pytest.MonkeyPatch, error: Exception):
    def fail() -> None:
        raise error

    monkeypatch.setitem(gym.registry, "Failing-v0", EnvSpec(id="Failing-v0", entry_point=fail))
    with pytest.raises(
        InputError, match=f"^Expected to make Failing-v0, but it raised {type(error).__name__}: {error}"
    ):
        make_env("Failing-v0")


@pytest.mark.parametrize("thing", [None, 3, object(), [Diary()]])
def test_what_is_no_environment_is_refused(thing: Any):
    with pytest.raises(InputError, match=r"an environment id or a gymnasium.Env, but got"):
        make_env(thing)


@pytest.mark.parametrize(
    ("name", "space", "words"),
    [
        ("observation", Text(5), "Expected an observation space of numbers, but got Text"),
        ("observation", Graph(Box(0, 1), None), "Expected an observation space of numbers, but got Graph"),
        ("action", Box(-np.inf, np.inf, (2,)), "Expected a bounded action space, but got Box.*TransformAction"),
        (
            "action",
            Box(0, 9, (2,), dtype=np.int64),
            "Expected a Discrete, MultiDiscrete, MultiBinary or float Box",
        ),
        ("action", Text(5), "Expected a Discrete, MultiDiscrete, MultiBinary or float Box"),
        ("action", MultiBinary(13), "at most 4,096 combinations of actions, but .* has 8,192"),
        ("action", MultiBinary(20_000), r"at most 4,096 combinations of actions, but .* has 2\^20000 or more"),
        ("action", MultiDiscrete([100, 100]), "at most 4,096 combinations of actions, but .* has 10,000"),
    ],
)
def test_a_space_that_is_not_supported_is_refused(name: str, space: gym.Space[Any], words: str):
    env = Script(THREE)
    setattr(env, f"{name}_space", space)
    with pytest.raises(InputError, match=words):
        make_env(env)


@pytest.mark.parametrize("has", [[], ["observation_space"], ["action_space"]], ids=str)
def test_an_environment_without_spaces_is_refused(has: list[str]):
    bare: Any = gym.Env()
    for name in has:
        setattr(bare, name, MultiDiscrete([3]))
    with pytest.raises(
        InputError, match=r"^Expected an environment with an observation_space and an action_space, but"
    ):
        make_env(bare)


def test_an_unbounded_action_space_is_given_bounds_as_the_error_says():
    env = Script(THREE)
    env.action_space = Box(-np.inf, np.inf, (2,), dtype=np.float32)
    bounded = gym.wrappers.TransformAction(env, lambda action: action, Box(-1, 1, (2,), dtype=np.float32))
    assert make_env(bounded) is bounded
