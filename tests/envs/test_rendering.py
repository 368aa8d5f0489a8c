"""Images of example worlds, for agents and for people.

Cost: under a second.
"""

import gymnasium as gym
import numpy as np
import pytest

from gio_pyro.envs import IDS, KlyubinMaze, Maze, NoisyTV, SlipperyLine
from gio_pyro.envs.rendering import AGENT, COLOURS, DARK, MAX_CHANNELS, channel_colour
from gio_pyro.errors import InputError
from gio_pyro.plotting.grid import grid_of


@pytest.mark.parametrize("id_", IDS)
def test_every_state_has_a_picture_of_its_own(id_: str):
    world = gym.make(id_, observations="pixels").unwrapped
    pictures = [world.picture(state) for state in world.P]
    assert all(image in world.observation_space for image in pictures)
    assert len({image.tobytes() for image in pictures}) == len(world.P)


def test_no_two_channels_have_the_same_colour_nor_that_of_anything_else():
    for channels in (1, 2, 3, 7, MAX_CHANNELS):
        colours = {channel_colour(channel, channels) for channel in range(channels)}
        assert len(colours) == channels
        assert not colours & {AGENT, *COLOURS.values()}


def test_a_picture_of_four_cells():
    image = Maze("S#\n.G").picture(2)
    assert (image.shape, image.dtype) == ((8, 8, 3), np.uint8)
    assert (image[:4, 4:] == COLOURS["#"]).all()
    assert (image[4:, 4:] == COLOURS["G"]).all()
    assert (image[5:7, 1:3] == AGENT).all()
    assert (image[4:, :4] == AGENT).all(-1).sum() == 4
    assert (image[:4, :4] == COLOURS["."]).all()


def test_the_screen_shows_the_channel_around_the_agent_too():
    world = NoisyTV("ST", channels=3)
    for state in range(6):
        assert tuple(world.picture(state)[0, 4].tolist()) == channel_colour(state % 3, 3)


def test_the_north_of_the_maze_of_klyubin_is_up_and_its_walls_are_thin():
    image = KlyubinMaze().picture(0)
    assert (image[37:39, 1:3] == AGENT).all()
    assert (image[31:33, :24] == DARK).all()
    assert (image[31:33, 25:27] != DARK).all()
    assert (image == DARK).all(-1).sum() < 250


def test_pictures_to_look_at_are_larger():
    world = SlipperyLine(length=3, render_mode="rgb_array")
    world.reset(seed=0)
    assert world.render().shape == (24, 72, 3)
    assert world.picture(1, side=5).shape == (5, 15, 3)


def test_text():
    world = NoisyTV("S.\nTG", channels=2, render_mode="ansi")
    world.reset(seed=0)
    world.state = 3
    assert world.render() == "S@\nTG\nchannel 1\n"


def test_text_of_thin_walls():
    world = KlyubinMaze(render_mode="ansi")
    world.state = 0
    lines = world.render().splitlines()
    assert len(lines) == 19
    assert lines[-1] == "@ . . . . . . . . ."
    assert lines[-4] == "- - - - - -   - -  "
    assert lines[-5] == ". . . . . .|.|. . ."


@pytest.mark.parametrize(("state", "side"), [(2, 4), (-1, 4), (0, 3), ("S", 4)])
def test_a_picture_that_there_is_not_is_told_in_a_sentence(state: int, side: int):
    with pytest.raises(InputError, match=r"^Expected a state from 0 to 1 and a side of at least 4 pixels, but got"):
        Maze("S.").picture(state, side=side)


@pytest.mark.parametrize("id_", IDS)
def test_worlds_whose_states_are_cells_are_drawn_as_grids(id_: str):
    env = gym.make(id_)
    grid, desc = grid_of(env), env.unwrapped.desc
    if "NoisyTV" in id_:
        assert grid is None
    else:
        assert (grid.rows, grid.columns) == desc.shape
        assert "".join(grid.labels) == env.unwrapped.layout.marks
