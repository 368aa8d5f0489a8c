"""Maps as text and as lines, and errors in maps.

Cost: under a second.
"""

from typing import Any

import pytest

from gio_pyro.envs.maps import PLAIN_MARKS, Layout, layout_of
from gio_pyro.errors import InputError

NORTH, SOUTH, EAST, WEST = (-1, 0), (1, 0), (0, 1), (0, -1)


def test_text_and_lines_are_the_same_map():
    expected = Layout(2, 3, "S.#..G")
    assert layout_of("S.#\n..G") == layout_of(["S.#", "..G"]) == layout_of(("S #", "  G")) == expected


def test_text_between_triple_quotes_loses_the_margin_that_its_lines_share():
    drawn = """
        #S#
        #.G
    """
    assert layout_of(drawn) == Layout(2, 3, "#S##.G")


def test_a_single_line_keeps_its_spaces():
    assert layout_of("  S").marks == "..S"


def test_starts_are_those_marked_or_all_of_the_floor():
    assert layout_of("S.\n.S").starts == (0, 3)
    assert Layout(1, 3, ".#.").starts == (0, 2)


@pytest.mark.parametrize(
    ("cell", "move", "to"),
    [(0, EAST, 1), (0, NORTH, 0), (0, WEST, 0), (0, SOUTH, 3), (1, EAST, 1), (4, NORTH, 1), (4, SOUTH, 4)],
)
def test_moves_lead_to_neighbours_unless_something_is_in_the_way(cell: int, move: tuple[int, int], to: int):
    assert layout_of("S.#\n...").neighbour(cell, move) == to


def test_walls_and_goals_are_left_by_no_move():
    layout = layout_of("S#G\n...")
    assert [layout.neighbour(cell, SOUTH) for cell in range(3)] == [3, 1, 2]


def test_a_thin_wall_stops_from_both_sides():
    layout = Layout(1, 2, "..", frozenset([frozenset((0, 1))]))
    assert (layout.neighbour(0, EAST), layout.neighbour(1, WEST)) == (0, 1)


@pytest.mark.parametrize(
    ("given", "sentence"),
    [
        ("", "Expected a map of at least one cell, but got an empty one; draw a line for each row."),
        ("\n\n", "Expected a map of at least one cell, but got an empty one; draw a line for each row."),
        ([], "Expected a map of at least one cell, but got an empty one; draw a line for each row."),
        ([""], "Expected a map of at least one cell, but got an empty one; draw a line for each row."),
        (
            "S..\n..",
            "Expected rows of 3 characters, as many as row 0 has, but row 1 has 2; fill the shorter one up with #.",
        ),
        (
            "S..\n.x.",
            "Expected a map of # . S G + or a space, but got 'x' at row 1, column 1; draw one of these there.",
        ),
        (
            "S.T",
            "Expected a map of # . S G + or a space, but got 'T' at row 0, column 2; a television stands in "
            "gio/NoisyTV-v0 only.",
        ),
        ("..G", "Expected a map with at least one start, but got none; mark a cell of floor with S."),
        (5, "Expected a map as text or as a list of its lines, but got 5; draw one as text."),
        (["S.", 3], "Expected a map as text or as a list of its lines, but got ['S.', 3]; draw one as text."),
        (b"S.", "Expected a map as text or as a list of its lines, but got b'S.'; draw one as text."),
    ],
)
def test_what_is_no_map_is_told_in_a_sentence(given: Any, sentence: str):
    with pytest.raises(InputError) as raised:
        layout_of(given)
    assert str(raised.value) == sentence


def test_a_shorter_first_row_is_what_to_fill_up():
    with pytest.raises(InputError, match="Expected rows of 2 characters, as many as row 0 has, but row 1 has 3"):
        layout_of("S.\n...")


def test_the_plain_characters():
    assert PLAIN_MARKS == "#.SG+"
