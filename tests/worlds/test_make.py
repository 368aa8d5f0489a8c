"""Environments from ids, what is refused, and fresh copies."""

import threading
from collections.abc import Callable
from functools import partial
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.envs.registration import EnvSpec
from gymnasium.spaces import Box, Graph, MultiBinary, MultiDiscrete, Text

from gio_pyro.environments import fresh_copy, make_env
from gio_pyro.errors import InputError
from tests.worlds.places import Diary, DiaryVector, Script

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


def test_a_fresh_copy_is_another_environment_of_the_same_kind():
    env = gym.make("FrozenLake-v1", is_slippery=False)
    copy = fresh_copy(env)
    assert copy.unwrapped is not env.unwrapped
    assert copy.unwrapped.P[0] == env.unwrapped.P[0]


def test_a_fresh_copy_may_be_made_to_render():
    assert fresh_copy(gym.make("FrozenLake-v1"), render_mode="rgb_array").render_mode == "rgb_array"
    assert fresh_copy(gym.make("FrozenLake-v1", render_mode="ansi")).render_mode == "ansi"


@pytest.mark.parametrize("mode", ["sync", "async"])
def test_a_fresh_copy_of_a_vector_is_one_of_its_environments(mode: str):
    wrapper = gym.wrappers.TimeAwareObservation
    env = gym.make_vec(
        "FrozenLake-v1", 2, vectorization_mode=mode, is_slippery=False, map_name="8x8", wrappers=[wrapper]
    )
    copy = fresh_copy(env)
    env.close()
    assert isinstance(copy, gym.Env)
    assert copy.unwrapped.P[0][0][0][0] == 1.0
    assert copy.observation_space == env.single_observation_space


def test_a_fresh_copy_of_a_custom_vector_is_made_from_its_spec():
    copy = fresh_copy(gym.make_vec("CartPole-v1", 3))
    assert isinstance(copy, gym.Env)
    assert copy.spec.max_episode_steps == 500


def test_a_fresh_copy_of_a_vector_made_by_hand_is_made_from_its_environments():
    env = gym.vector.SyncVectorEnv([partial(gym.make, "FrozenLake-v1", map_name="8x8")] * 2)
    assert fresh_copy(env, render_mode="rgb_array").observation_space.n == 64


class Mine(gym.Wrapper[Any, Any, Any, Any]):
    """A wrapper that Gymnasium cannot make again: it does not record its arguments."""


@pytest.mark.parametrize("make", [lambda: Script(THREE), lambda: Mine(gym.make("CartPole-v1"))])
def test_what_gymnasium_cannot_make_again_is_copied(make: Callable[[], Any]):
    env = make()
    env.reset(seed=0)
    copied = fresh_copy(env)
    assert type(copied) is type(env)
    assert copied.unwrapped is not env.unwrapped
    first, _ = copied.reset(seed=1)
    assert copied.observation_space.contains(first)


def test_a_copy_and_its_original_step_apart():
    env = Mine(gym.make("CartPole-v1"))
    env.reset(seed=0)
    before = env.unwrapped.state
    fresh_copy(env).step(1)
    assert env.unwrapped.state is before


def test_one_of_the_environments_of_a_vector_without_a_spec_is_copied():
    assert isinstance(fresh_copy(gym.vector.SyncVectorEnv([Diary])), Diary)


def test_a_vector_without_a_spec_whose_environments_are_out_of_reach_is_refused():
    env = gym.make_vec("CartPole-v1", 3)
    env.unwrapped.spec = None
    with pytest.raises(InputError, match="it has no spec"):
        fresh_copy(env)


def test_what_can_neither_be_made_again_nor_copied_is_refused():
    env = Mine(gym.make("CartPole-v1"))
    env.lock = threading.Lock()
    with pytest.raises(InputError, match="that Gymnasium can make again, but CartPole-v1 raised ValueError"):
        fresh_copy(env)


def test_a_copy_cannot_be_made_to_render():
    with pytest.raises(InputError, match="it has no spec"):
        fresh_copy(Script(THREE), render_mode="rgb_array")


def test_an_unbounded_action_space_is_given_bounds_as_the_error_says():
    env = Script(THREE)
    env.action_space = Box(-np.inf, np.inf, (2,), dtype=np.float32)
    bounded = gym.wrappers.TransformAction(env, lambda action: action, Box(-1, 1, (2,), dtype=np.float32))
    assert make_env(bounded) is bounded
