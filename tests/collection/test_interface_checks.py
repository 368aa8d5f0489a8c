"""Results of reset and step: unambiguous ones are converted, others are errors that name the fault."""

from collections.abc import Callable
from decimal import Decimal
from fractions import Fraction
from functools import partial
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
import torch
from gymnasium.spaces import Box, Discrete
from gymnasium.vector import AutoresetMode, SyncVectorEnv

from gio_pyro.collection import make_env
from gio_pyro.collection.evaluate import play_episodes
from gio_pyro.errors import InputError
from tests.collection.environments import DiaryVector, collect

STEP = (np.zeros(2, "f"), 1.0, False, False, {})
FIELDS = ("observation", "reward", "terminated", "truncated", "info")


class World(gym.Env[Any, Any]):
    """Returns given results."""

    observation_space, action_space = Box(-1, 1, (2,)), Discrete(2)

    def __init__(self, step: Any = STEP, first: Any = (STEP[0], {}), **changed: Any) -> None:
        self.given = (
            tuple(changed.get(name, value) for name, value in zip(FIELDS, step, strict=True)) if changed else step
        )
        self.first = first

    def reset(self, *, seed: int | None = None, options: Any = None) -> Any:
        return self.first

    def step(self, action: Any) -> Any:
        return self.given


class NoSeed(World):
    def reset(self) -> Any:  # type: ignore[override]
        return self.first


def a_few_steps(env: Any) -> Any:
    return collect(env, 3)


def played(env: Any) -> Any:
    return play_episodes(lambda *_, **__: (0, None), env, 1, deterministic=True, seed=0, max_steps=3)


def several(make: Callable[[], Any]) -> Any:
    return collect(SyncVectorEnv([make, World], autoreset_mode=AutoresetMode.SAME_STEP), 4)


WAYS = [lambda make: a_few_steps(make()), several, lambda make: played(make())]


@pytest.mark.parametrize("way", WAYS, ids=["alone", "in a vector", "played"])
@pytest.mark.parametrize(
    ("make", "words"),
    [
        (partial(World, first=STEP[0]), r"reset to return \(observation, info\).*got ndarray of shape \(2,\)"),
        (partial(World, first=(1, 2, 3)), r"\(observation, info\).*got a tuple of 3"),
        (partial(World, first=(STEP[0], 7)), r"\(observation, info\), info a dictionary.*tuple of 2 \(ndarray, int\)"),
        (
            partial(World, step=STEP[:4]),
            r"five things \(observation, reward, terminated, truncated, info\).*tuple of 4",
        ),
        (partial(World, step=None), "five things .*but got None"),
        (partial(World, info=7), "five things .*tuple of 5 .*, int"),
        (NoSeed, r"reset takes seed= and options=.*NoSeed.reset\(\) got"),
        (
            lambda: gym.wrappers.TimeLimit(World(step=STEP[:4]), 9),
            "return .observation, reward, terminated, truncated, i",
        ),
        (lambda: gym.wrappers.RecordEpisodeStatistics(World(first=STEP[0])), "observation, info|five"),
        (lambda: gym.wrappers.TimeLimit(NoSeed(), 9), "reset takes seed= and options="),
        *(
            (partial(World, reward=bad), "reward to be a number")
            for bad in (None, "1", np.zeros(2), 1j, [], {}, object(), torch.zeros(2), np.array("1"), [1.0, 2.0])
        ),
        *(
            (partial(World, **{name: bad}), f"{name} to be True or False")
            for bad in (None, "yes", 2, np.zeros(2, bool), np.nan, {})
            for name in ("terminated", "truncated")
        ),
    ],
)
def test_what_breaks_the_interface_is_named(way: Any, make: Callable[[], Any], words: str):
    with pytest.raises(InputError, match=words) as caught:
        way(make)
    assert len(str(caught.value)) <= 300
    assert "it raised" not in str(caught.value)


@pytest.mark.parametrize("way", WAYS[:2], ids=["alone", "in a vector"])
@pytest.mark.parametrize(
    "reward",
    [
        1,
        np.float32(1),
        True,
        np.array(1.0),
        np.ones(1, "f"),
        [1.0],
        torch.ones(1),
        Decimal(1),
        Fraction(1),
        np.ones((1, 1)),
    ],
    ids=repr,
)
def test_a_reward_may_be_any_one_number(way: Any, reward: Any):
    assert set(way(partial(World, reward=reward)).rows.reward.tolist()) == {1.0}


@pytest.mark.parametrize("way", WAYS[:2], ids=["alone", "in a vector"])
@pytest.mark.parametrize("kind", [bool, np.bool_, int, float, np.array, torch.tensor, lambda x: np.array([x])])
def test_a_flag_may_be_any_boolean(way: Any, kind: Callable[[bool], Any]):
    rows = way(partial(World, terminated=kind(True), truncated=kind(False))).rows
    assert rows.terminated.any()
    assert not rows.truncated.any()


def test_an_info_may_be_missing():
    assert len(a_few_steps(World(info=None, first=(STEP[0], None))).rows) == 3


class Told(DiaryVector):
    """Changes what a step gives."""

    def __init__(self, change: Callable[..., Any]) -> None:
        super().__init__(3, None)
        self.change = change

    def step(self, actions: Any) -> Any:
        return self.change(*super().step(actions))


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda o, r, *rest: (o, r[:2], *rest), r"3 numbers as rewards.*ndarray of shape \(2,\)"),
        (lambda o, r, *rest: (o, [None] * 3, *rest), "reward to be a number"),
        (lambda o, r, *rest: (o, r.astype(complex), *rest), "3 numbers as rewards"),
        (lambda o, r, t, *rest: (o, r, None, *rest), "terminated to be 3 booleans.*None"),
        (lambda o, r, t, c, i: (o, r, t, c[:2], i), "truncated to be 3 booleans"),
        (lambda o, r, t, c, i: (o, r, t, c + 2, i), "truncated to be 3 booleans"),
        (lambda o, r, t, c, i: (o, r, t, i), "five things"),
    ],
)
def test_a_vector_that_breaks_the_interface_is_named(change: Callable[..., Any], words: str):
    with pytest.raises(InputError, match=words):
        collect(Told(change), 3)


@pytest.mark.parametrize(
    "change",
    [
        lambda o, r, t, c, i: (o, r[:, None], t[:, None], c.astype(int), None),
        lambda o, r, t, c, i: (o, torch.tensor(r), t.tolist(), torch.tensor(c), [{}] * 3),
        lambda o, r, t, c, i: (o, [np.ones(1) * x for x in r], t, c, i),
    ],
)
def test_a_vector_may_give_lists_tensors_and_columns(change: Callable[..., Any]):
    given, plain = collect(Told(change), 60), collect(DiaryVector(3, None), 60)
    for name in ("reward", "terminated", "truncated"):
        assert torch.equal(getattr(given.rows, name), getattr(plain.rows, name))


class OldGym:
    """Has the methods of an environment and is none."""

    def reset(self) -> Any: ...
    def step(self, action: Any) -> Any: ...


@pytest.mark.parametrize(
    ("thing", "words"),
    [
        (OldGym(), "OldGym; wrap one of old Gym.*shimmy"),
        (World, r"the class World; .*World\(\)"),
        ([World()], "a list; .*vector"),
    ],
)
def test_what_is_no_environment_is_told_how_to_become_one(thing: Any, words: str):
    with pytest.raises(InputError, match=words):
        make_env(thing)
