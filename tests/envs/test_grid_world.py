"""The base class of all example worlds, tested on each of them.

Cost: under a second.
"""

import warnings
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env

from gio_pyro.envs import IDS, KlyubinMaze, Maze, NoisyTV, Rooms, SlipperyLine, SparseMaze
from gio_pyro.errors import InputError

VIEWS = ("state", "coordinates", "pixels")


@pytest.mark.parametrize("observations", VIEWS)
@pytest.mark.parametrize("id_", IDS)
def test_gymnasium_finds_nothing_to_warn_of(id_: str, observations: str):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        check_env(gym.make(id_, observations=observations).unwrapped)


def episode(env: gym.Env[Any, Any], seed: int, steps: int = 60) -> list[Any]:
    observation, _ = env.reset(seed=seed)
    env.action_space.seed(seed)
    seen = [np.asarray(observation).tolist()]
    for _ in range(steps):
        observation, reward, terminated, truncated, _ = env.step(env.action_space.sample())
        seen.append((np.asarray(observation).tolist(), reward, terminated, truncated))
        if terminated:
            break
    return seen


@pytest.mark.parametrize("id_", IDS)
def test_a_seed_says_how_an_episode_goes(id_: str):
    first, again, other = (episode(gym.make(id_), seed) for seed in (3, 3, 4))
    assert first == again
    assert first != other


@pytest.mark.parametrize("id_", IDS)
def test_what_is_observed_changes_nothing_about_the_world(id_: str):
    plain, placed, drawn = (gym.make(id_, observations=kind) for kind in VIEWS)
    number, _ = plain.reset(seed=5)
    place, _ = placed.reset(seed=5)
    image, _ = drawn.reset(seed=5)
    plain.action_space.seed(0)
    for _ in range(20):
        assert number == plain.unwrapped.state == drawn.unwrapped.state
        assert (image == drawn.unwrapped.picture(number)).all()
        columns, channels = plain.unwrapped.layout.columns, plain.unwrapped.channels
        cell = int(place[0]) * columns + int(place[1])
        assert number == (cell if channels is None else cell * channels + int(place[2]))
        action = plain.action_space.sample()
        number, *after = plain.step(action)
        place, *also = placed.step(action)
        image, *same = drawn.step(action)
        assert after == also == same


@pytest.mark.parametrize(
    ("world", "state", "action"),
    [
        (KlyubinMaze(noise=0.4), 15, 1),
        (Maze("S+\n.#", noise=0.3, door=0.4), 0, 2),
        (NoisyTV("ST", channels=4), 6, 4),
        (Rooms(door=0.3), 4 * 9 + 1, 2),
        (SlipperyLine(slip=0.3, length=4), 2, 1),
        (SparseMaze(noise=0.5, useless=1), 0, 1),
    ],
    ids=lambda value: type(value).__name__,
)
def test_steps_are_drawn_as_the_table_says(world: Maze, state: int, action: int):
    world.reset(seed=0)
    draws, counts = 4_000, dict.fromkeys([(s, r, end) for _, s, r, end in world.P[state][action]], 0)
    for _ in range(draws):
        world.state = state
        _, reward, terminated, truncated, _ = world.step(action)
        counts[world.state, reward, terminated] += 1
        assert not truncated
    assert len(counts) > (0 if world.P[state][action][0][0] == 1 else 1)
    for probability, *outcome in world.P[state][action]:
        error = (probability * (1 - probability) / draws) ** 0.5
        assert abs(counts[tuple(outcome)] / draws - probability) <= 4.5 * error


def test_episodes_start_evenly_in_all_starts_and_channels():
    world = NoisyTV("STS", channels=2)
    world.reset(seed=0)
    starts = [world.reset()[0] for _ in range(2_000)]
    assert np.bincount(starts, minlength=6) / 2_000 == pytest.approx(world.initial_state_distrib, abs=0.05)
    assert np.flatnonzero(np.bincount(starts)).tolist() == [0, 1, 4, 5]


@pytest.mark.parametrize("action", [-1, 4, 1.0, "north", None, np.array([1])])
def test_an_action_that_there_is_not_is_told_in_a_sentence(action: Any):
    world = Maze()
    world.reset(seed=0)
    with pytest.raises(InputError, match=r"^Expected an action from 0 \(north\) to 3 \(west\), but got .*; give a who"):
        world.step(action)


@pytest.mark.parametrize("action", [2, np.int64(2), np.array(2)])
def test_whole_numbers_of_any_make_are_actions(action: Any):
    world = Maze("S.")
    world.reset(seed=0)
    assert world.step(action) == (1, 0.0, False, False, {})


def test_a_goal_is_not_left():
    world = SlipperyLine(length=2, slip=0)
    world.reset(seed=0)
    assert world.step(1) == (1, 1.0, True, False, {})
    assert world.step(0) == (1, 0.0, True, False, {})


@pytest.mark.parametrize("id_", IDS)
def test_time_limits_are_gymnasiums(id_: str):
    env = gym.make(id_, max_episode_steps=3)
    env.reset(seed=0)
    ends = [env.step(0)[3] for _ in range(3)]
    assert ends == [False, False, True]
    assert gym.spec(id_).max_episode_steps in (100, 200)


@pytest.mark.parametrize(
    ("view", "sentence"),
    [
        (
            {"observations": "image"},
            "Expected observations to be one of 'state', 'coordinates', 'pixels', but got 'image'.",
        ),
        ({"render_mode": "human"}, "Expected render_mode to be one of None, 'ansi', 'rgb_array', but got 'human'."),
    ],
)
def test_a_view_that_there_is_not_is_told_in_a_sentence(view: dict[str, Any], sentence: str):
    with pytest.raises(InputError) as raised:
        Maze(**view)
    assert str(raised.value) == sentence


def test_without_a_render_mode_nothing_is_rendered():
    assert Maze().render() is None
