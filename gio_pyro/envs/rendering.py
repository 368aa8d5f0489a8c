"""Render a grid world: small images as observations, larger ones for display, and text."""

from functools import lru_cache
from types import MappingProxyType
from typing import Any

import numpy as np

from gio_pyro.envs.maps import DOOR, FLOOR, GOAL, SCREEN, START, WALL, Layout

RGBImage = np.ndarray[Any, np.dtype[np.uint8]]
Colour = tuple[int, int, int]

OBSERVATION_SIDE = 4
"""Side of a cell in observations, pixels."""
RENDER_SIDE = 24
"""Side of a cell in rendered images, pixels."""

BRIGHT, DARK = (238, 238, 232), (58, 60, 68)
COLOURS = MappingProxyType(
    {FLOOR: BRIGHT, START: BRIGHT, SCREEN: BRIGHT, WALL: DARK, GOAL: (70, 170, 90), DOOR: (178, 128, 76)}
)
AGENT = (36, 84, 196)

MAX_CHANNELS = 256
"""Largest number of channels, each of which has its own colour."""


def channel_colour(channel: int, channels: int) -> Colour:
    """Return the colour of a channel: hues equally spaced from red."""
    side, along = divmod(channel * 6 * 255 // channels, 255)
    rising, falling = along, 255 - along
    sides = (
        (255, rising, 0), (falling, 255, 0), (0, 255, rising), (0, falling, 255), (rising, 0, 255), (255, 0, falling)
    )  # fmt: skip
    return sides[side]


def picture(layout: Layout, agent: int, *, screen: Colour | None = None, side: int = OBSERVATION_SIDE) -> RGBImage:
    """Return an RGB image of a layout, uint8 `[rows · side, columns · side, 3]`.

    Args:
        layout: the cells.
        agent: the agent's cell; it is drawn as a smaller square inside.
        screen: colour of television cells.
        side: side of a cell, at least 4 pixels.
    """
    image = _draw_layout(layout, screen, side).copy()
    top, left = _cell_corner(layout, agent, side)
    rim = side // 4
    image[top + rim : top + side - rim, left + rim : left + side - rim] = AGENT
    return image


@lru_cache(maxsize=16)
def _draw_layout(layout: Layout, screen: Colour | None, side: int) -> RGBImage:
    """Return the image without an agent, cached as it is drawn for every step."""
    palette = COLOURS if screen is None else COLOURS | {SCREEN: screen}
    cells = np.array([palette[mark] for mark in layout.marks], dtype=np.uint8)
    image = cells.reshape(layout.rows, layout.columns, 3).repeat(side, axis=0).repeat(side, axis=1)
    if layout.south_first:
        image = image[::-1].copy()
    for pair in layout.barriers:
        _draw_barrier(image, [_cell_corner(layout, cell, side) for cell in sorted(pair)], side)
    return image


def layout_text(layout: Layout, agent: int) -> str:
    """Return a layout as lines of text, with `@` for the agent and `|` and `-` for thin walls between cells."""
    marks = np.array([*layout.marks]).reshape(layout.rows, layout.columns)
    marks[divmod(agent, layout.columns)] = "@"
    if layout.barriers:
        spaced = np.full((2 * layout.rows - 1, 2 * layout.columns - 1), " ")
        spaced[::2, ::2] = marks
        for pair in layout.barriers:
            (row, column), (other_row, other_column) = (divmod(cell, layout.columns) for cell in sorted(pair))
            spaced[row + other_row, column + other_column] = "|" if row == other_row else "-"
        marks = spaced
    return "\n".join("".join(line) for line in (marks[::-1] if layout.south_first else marks))


def _cell_corner(layout: Layout, cell: int, side: int) -> tuple[int, int]:
    """Return the first pixel row and column of a cell."""
    row, column = divmod(cell, layout.columns)
    return (layout.rows - 1 - row if layout.south_first else row) * side, column * side


def _draw_barrier(image: RGBImage, corners: list[tuple[int, int]], side: int) -> None:
    """Draw a thin wall between two cells, along the edges of both."""
    width = max(1, side // 12)
    (top, left), (other_top, other_left) = corners
    if top == other_top:
        image[top : top + side, other_left - width : other_left + width] = DARK
    else:
        edge = max(top, other_top)
        image[edge - width : edge + width, left : left + side] = DARK
