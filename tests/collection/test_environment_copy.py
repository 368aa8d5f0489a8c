"""Copies of environments: state, frozen statistics, and what cannot be copied."""

import threading
from collections.abc import Callable
from functools import partial
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from gymnasium import wrappers
from gymnasium.envs.registration import EnvSpec
from gymnasium.vector import AsyncVectorEnv, SyncVectorEnv

from gio_pyro.collection import copy_environment, copy_for_rendering
from gio_pyro.collection.evaluation_environment import evaluation_environment
from gio_pyro.collection.wrapper_statistics import unnormalised_rewards
from gio_pyro.errors import InputError
from tests.collection.environments import Diary, Script

THREE = [(1, 0.0, False, False), (2, 0.5, False, False), (3, 1.0, True, False)]


class Mine(gym.Wrapper[Any, Any, Any, Any]):
    """A wrapper that Gymnasium cannot make again: it does not record its arguments."""


class Constructed(gym.utils.EzPickle, Script):
    """`copy.deepcopy` makes a new one of these, of its arguments."""

    def __init__(self, steps: Any, gravity: float = 9.8) -> None:
        gym.utils.EzPickle.__init__(self, steps, gravity)
        Script.__init__(self, steps)
        self.gravity = gravity


class Locked(Script):
    """Holds what cannot be copied."""

    def __init__(self, sizes: Any = THREE) -> None:
        super().__init__(sizes)
        self.lock, self.size, self.window = threading.Lock(), 1, None

    def reset(self, **arguments: Any) -> Any:
        self.bodies = [threading.Lock()]  # as Box2D's, which are there from the first episode on
        return super().reset(**arguments)


def cart() -> Any:
    return gym.make("CartPole-v1")


def played(env: Any, seed: int = 3) -> Any:
    env.reset(seed=seed)
    for _ in range(4):
        env.step(env.action_space.sample())
    return env


def normalised(**kwargs: Any) -> Any:
    return wrappers.NormalizeObservation(cart(), **kwargs)


def vector(*around: Callable[[Any], Any], inside: Any = ()) -> Any:
    env = gym.make_vec("CartPole-v1", 2, vectorization_mode="sync", wrappers=inside)
    for wrap in around:
        env = wrap(env)
    return env


def test_a_copy_is_another_environment_with_what_was_set_on_it():
    env = played(cart())
    env.unwrapped.gravity, env.unwrapped.note = 3.0, {"a": [1]}
    env.set_wrapper_attr("_max_episode_steps", 7)
    state, twin = env.unwrapped.state, copy_environment(env)
    assert (twin.unwrapped.gravity, twin._max_episode_steps, twin.spec.id) == (3.0, 7, "CartPole-v1")
    assert twin.unwrapped.note == env.unwrapped.note
    assert twin.unwrapped.note["a"] is not env.unwrapped.note["a"]
    played(twin, 4)
    assert env.unwrapped.state is state


def test_what_makes_itself_anew_when_it_is_copied_is_copied_as_it_stands():
    env = Constructed(THREE)
    env.gravity = 3.0
    assert copy_environment(env).gravity == 3.0


@pytest.mark.parametrize("make", [lambda: Script(THREE), lambda: Mine(cart()), lambda: Mine(Diary(2))])
def test_what_gymnasium_cannot_make_again_is_copied(make: Callable[[], Any]):
    env = played(make())
    twin = copy_environment(env)
    assert type(twin) is type(env)
    assert twin.unwrapped is not env.unwrapped
    assert twin.observation_space.contains(twin.reset(seed=1)[0])


@pytest.mark.parametrize("depth", [0, 1])
def test_functions_mean_the_copy_where_they_meant_the_environment(depth: int):
    """Of variables, those that a function assigns to are its own; what it only changes inside is shared."""
    env, seen, counted = cart(), list[Any](), 0
    inner: Any = env.unwrapped.step

    def taken(action: Any) -> Any:
        nonlocal counted
        counted += 1
        seen.append(env.unwrapped.state)
        return inner(action)

    env.unwrapped.step = taken if depth == 0 else lambda action: taken(action)
    played(env)
    state, steps = env.unwrapped.state, len(seen)
    twin = played(copy_environment(env), 8)
    assert env.unwrapped.state is state
    assert (counted, len(seen)) == (steps, 2 * steps)
    assert np.array_equal(twin.unwrapped.state[:1], twin.unwrapped.state[:1])
    assert not np.array_equal(seen[-1], seen[steps - 1])


def test_a_vector_is_copied_as_a_whole_with_what_is_around_and_inside():
    env = vector(
        partial(wrappers.vector.TransformObservation, func=lambda seen: 100 * seen),
        wrappers.vector.RecordEpisodeStatistics,
        inside=[wrappers.TimeAwareObservation],
    )
    env.unwrapped.envs[1].unwrapped.gravity = 3.0
    played(env)
    before = env.unwrapped.envs[0].unwrapped.state
    twin = copy_environment(env)
    assert str(twin) == str(env)
    assert [one.unwrapped.gravity for one in twin.unwrapped.envs] == [9.8, 3.0]
    assert np.abs(twin.reset(seed=0)[0]).max() > 1
    played(twin)
    assert env.unwrapped.envs[0].unwrapped.state is before


def test_a_custom_vector_is_copied_with_or_without_a_spec():
    env = gym.make_vec("CartPole-v1", 3)
    env.gravity, env.unwrapped.spec = 3.0, None
    twin = copy_environment(env)
    assert (twin.gravity, twin.num_envs) == (3.0, 3)


def gravity(value: float) -> Any:
    env = cart()
    env.unwrapped.gravity = value
    return env


def test_of_environments_in_other_processes_one_is_made_again_with_its_numbers_and_statistics():
    env = AsyncVectorEnv([partial(normalised, epsilon=1e-6)] * 2)
    try:
        env.set_attr("gravity", [3.0, 3.0])
        played(env)
        twin = copy_environment(env)
        assert isinstance(twin, gym.Env)
        assert twin.unwrapped.gravity == 3.0
        assert twin.obs_rms.count > 4
        assert np.array_equal(twin.obs_rms.mean, env.get_attr("obs_rms")[0].mean)
        with pytest.raises(InputError, match=r"is a wrapped AsyncVectorEnv; pass another .*environment="):
            copy_environment(wrappers.vector.RecordEpisodeStatistics(env))
    finally:
        env.close()


def test_what_only_shows_or_films_is_left_out():
    """Neither windows nor the videos of training are touched; RecordVideo itself asks for moviepy."""
    shown = object.__new__(wrappers.RecordVideo)
    gym.Wrapper.__init__(shown, gym.make("CartPole-v1", render_mode="rgb_array"))
    shown.writer = threading.Lock()
    twin = copy_environment(Mine(shown))
    assert isinstance(twin.env, wrappers.TimeLimit)
    assert copy_environment(gym.make("CartPole-v1", render_mode="human")).render_mode is None


@pytest.mark.parametrize("registered", [True, False])
def test_what_cannot_be_copied_comes_from_one_made_again_or_is_refused(
    monkeypatch: pytest.MonkeyPatch, registered: bool
):
    monkeypatch.setitem(gym.registry, "Locked-v0", EnvSpec(id="Locked-v0", entry_point=Locked))
    env = Mine(gym.make("Locked-v0", disable_env_checker=True)) if registered else Mine(Locked())
    env.reset()
    env.unwrapped.size, env.unwrapped.window = 5, threading.Lock()
    if not registered:
        with pytest.raises(InputError, match=r"but Locked\.lock cannot be; pass another one to play in \(environment="):
            copy_environment(env)
        return
    twin = copy_environment(env).unwrapped
    assert (twin.size, twin.window) == (5, None)
    assert twin.lock is not env.unwrapped.lock
    assert twin.bodies[0] is not env.unwrapped.bodies[0]
    env.unwrapped.extra = threading.Lock()
    with pytest.raises(InputError, match=r"Locked\.extra cannot be"):
        copy_environment(env)


def test_what_releases_something_when_it_is_deleted_is_not_copied():
    class Handle:
        def __del__(self) -> None:
            pass

    env = Script(THREE)
    env.handles = [Handle()]
    with pytest.raises(InputError, match=r"Script\.handles cannot be"):
        copy_environment(env)


class TestRendering:
    def test_it_is_made_again_to_render_with_its_numbers(self):
        env = gym.make("FrozenLake-v1", map_name="8x8")
        env.unwrapped.P[0][0] = [(1.0, 5, 0.0, False)]
        twin = copy_for_rendering(SyncVectorEnv([lambda: env]), "rgb_array")
        assert twin.render_mode == "rgb_array"
        assert twin.unwrapped.P[0][0] == [(1.0, 5, 0.0, False)]

    @pytest.mark.parametrize("env", [Script(THREE), vector(wrappers.vector.RecordEpisodeStatistics)])
    def test_others_are_refused(self, env: Any):
        with pytest.raises(InputError, match=r"it has no spec|the wrappers of the vector"):
            copy_for_rendering(env, "rgb_array")


NORMALISING: dict[str, Callable[[], Any]] = {
    "one": normalised,
    "vector": partial(vector, wrappers.vector.NormalizeObservation),
    "inside": partial(vector, inside=[wrappers.NormalizeObservation]),
}


def sums(env: Any) -> list[Any]:
    return [env.obs_rms] if hasattr(env, "obs_rms") else [one.obs_rms for one in env.envs]


@pytest.mark.parametrize("make", NORMALISING.values(), ids=NORMALISING)
def test_statistics_stand_still_in_a_copy_and_go_on_in_training(make: Callable[[], Any]):
    env = played(make())
    before = [(one.mean.copy(), one.var.copy(), one.count) for one in sums(env)]
    with evaluation_environment(env, None) as twin:
        shown = played(twin, 9).reset(seed=9)[0].reshape(-1, 4)
        raw = np.stack([cart().reset(seed=9 + i)[0] for i in range(len(shown))])
        own = sums(twin) * (1 if len(sums(twin)) == len(raw) else len(raw))
        expected = [(seen - one.mean) / np.sqrt(one.var + 1e-8) for seen, one in zip(raw, own, strict=True)]
        np.testing.assert_allclose(shown, expected, rtol=1e-5)
        assert [one.count for one in sums(twin)] == [count for *_, count in before]
    for one, (mean, var, count) in zip(sums(env), before, strict=True):
        assert np.array_equal(one.mean, mean)
        assert np.array_equal(one.var, var)
        assert one.count == count
    played(env)
    assert sums(env)[0].count > before[0][2]


@pytest.mark.parametrize("make", NORMALISING.values(), ids=NORMALISING)
def test_a_given_environment_that_has_seen_nothing_borrows_the_statistics(make: Callable[[], Any]):
    env, given = played(played(make())), normalised()
    with evaluation_environment(env, given) as twin:
        assert twin is given
        assert np.array_equal(given.obs_rms.mean, sums(env)[0].mean)
        played(given)
    assert (given.obs_rms.count, given.update_running_mean) == (1e-4, True)
    counted = played(normalised())
    with evaluation_environment(env, counted):
        assert not np.array_equal(counted.obs_rms.mean, sums(env)[0].mean)


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ("Acrobot-v1", "the observation space that was learned with, Box"),
        ("Nowhere-v0", "a registered environment"),
        (3, "an environment id or a gymnasium.Env"),
        (wrappers.RescaleAction(gym.make("Pendulum-v1"), -1, 1), "observation space that was learned with"),
    ],
)
def test_a_given_environment_of_other_spaces_is_refused(given: Any, words: str):
    with pytest.raises(InputError, match=words), evaluation_environment(cart(), given):
        pass


def test_a_given_environment_of_other_actions_is_refused():
    scaled = wrappers.RescaleAction(gym.make("Pendulum-v1"), -1, 1)
    with (
        pytest.raises(InputError, match="the action space that was learned with"),
        evaluation_environment(gym.make("Pendulum-v1"), scaled),
    ):
        pass


REWARDED: dict[str, Callable[[Any], Any]] = {
    "above": lambda env: wrappers.TransformReward(wrappers.NormalizeReward(env), lambda reward: 7 * reward),
    "twice": lambda env: wrappers.NormalizeReward(wrappers.NormalizeReward(env)),
    "below": lambda env: wrappers.NormalizeReward(wrappers.TransformReward(env, lambda reward: reward)),
}


@pytest.mark.parametrize("wrap", REWARDED.values(), ids=REWARDED)
@pytest.mark.parametrize("count", [None, 3])
def test_rewards_are_read_below_what_normalises_them(wrap: Callable[[Any], Any], count: int | None):
    env: Any = wrap(cart()) if count is None else SyncVectorEnv([lambda: wrap(cart())] * count)
    layout = str(env)
    with unnormalised_rewards(env) as below:
        env.reset(seed=0)
        for _ in range(3):
            given = env.step(env.action_space.sample())[1]
            assert np.all(np.asarray(below(given)) == 1.0)
            assert not np.any(np.asarray(given) == 1.0)
    assert str(env) == layout


def test_rewards_of_a_vector_are_read_below_what_normalises_them_and_others_as_they_come():
    env = wrappers.vector.NormalizeReward(vector())
    with unnormalised_rewards(env) as below:
        env.reset(seed=0)
        assert below(env.step(env.action_space.sample())[1]).tolist() == [1.0, 1.0]
    scaled = wrappers.TransformReward(cart(), lambda reward: 5 * reward)
    with unnormalised_rewards(scaled) as below:
        assert below(5.0) == 5.0
