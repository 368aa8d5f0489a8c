"""CartPole and Pendulum with part of their state hidden."""

import gymnasium as gym
import numpy as np
import pytest

from gio_pyro.envs.partial_views import rod_picture


@pytest.mark.parametrize(
    ("id_", "whole", "kept"),
    [("CartPolePositions", "CartPole-v1", [0, 2]), ("PendulumAngle", "Pendulum-v1", [0, 1])],
)
def test_it_goes_as_the_whole_one_does(id_: str, whole: str, kept: list[int]):
    hidden, seen = gym.make(f"gio/{id_}-v0"), gym.make(whole)
    part, info = hidden.reset(seed=3)
    state, _ = seen.reset(seed=3)
    seen.action_space.seed(0)
    for _ in range(10):
        assert (part == state[kept]).all()
        assert (info["state"] == state).all()
        action = seen.action_space.sample()
        state, *expected, _ = seen.step(action)
        part, *after, info = hidden.step(action)
        assert after == expected
    assert gym.spec(f"gio/{id_}-v0").max_episode_steps == gym.spec(whole).max_episode_steps


def test_the_picture_is_of_the_angle():
    env = gym.make("gio/PendulumPixels-v0")
    picture, info = env.reset(seed=3)
    assert (picture.shape, picture.dtype) == ((24, 24, 1), np.uint8)
    assert (picture == rod_picture(*info["state"][:2])).all()


def test_a_rod_that_stands_points_up():
    """3 pixels wide, from the middle (row 11.5) up 9 pixels; symmetric."""
    up = rod_picture(1.0, 0.0)[..., 0]
    assert (up == up[:, ::-1]).all()
    assert up[5, 11] == up[5, 12] == 255
    assert up[14:].max() == 0
    assert up[2:4, 11].min() > 0
    assert (rod_picture(-1.0, 0.0)[..., 0] == up[::-1]).all()


def test_a_positive_angle_leans_to_the_left():
    """As Gymnasium draws it: anticlockwise."""
    left = rod_picture(0.0, 1.0)[..., 0]
    assert left[11, 5] == 255
    assert left[11, 18] == 0
    assert (rod_picture(0.0, -1.0)[..., 0] == left[:, ::-1]).all()


def test_small_changes_of_the_angle_show():
    angles = np.linspace(-np.pi, np.pi, 200, endpoint=False)
    pictures = [rod_picture(np.cos(angle), np.sin(angle)) for angle in angles]
    assert len({picture.tobytes() for picture in pictures}) == 200
