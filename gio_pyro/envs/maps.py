"""Read a map drawn in text as a layout of cells."""

from collections.abc import Sequence
from dataclasses import dataclass
from textwrap import dedent

from gio_pyro.errors import InputError, shown

WALL, FLOOR, START, GOAL, DOOR, SCREEN = "#.SG+T"
PLAIN_MARKS = WALL + FLOOR + START + GOAL + DOOR
"""Characters allowed in a map without a television."""

Map = str | Sequence[str]
"""Text with line breaks, or its lines."""
Move = tuple[int, int]
"""Displacement (rows, columns)."""


@dataclass(frozen=True)
class Layout:
    """A grid of cells, numbered row by row from 0: cell = row · columns + column."""

    rows: int
    columns: int
    marks: str
    """One character for each cell, row by row."""
    barriers: frozenset[frozenset[int]] = frozenset()
    """Pairs of neighbouring cells separated by a thin wall."""
    south_first: bool = False
    """Whether row 0 is drawn at the bottom."""

    def cells(self, mark: str) -> tuple[int, ...]:
        """Return the cells with that mark."""
        return tuple(cell for cell, found in enumerate(self.marks) if found == mark)

    @property
    def starts(self) -> tuple[int, ...]:
        """The start cells: those with a start mark, or all floor cells if there is none."""
        return self.cells(START) or self.cells(FLOOR)

    def neighbour(self, cell: int, move: Move) -> int:
        """Return the cell that a move leads to: `cell` itself if a wall or the edge blocks it, or in a wall or goal."""
        row, column = cell // self.columns + move[0], cell % self.columns + move[1]
        if not (0 <= row < self.rows and 0 <= column < self.columns) or self.marks[cell] in (WALL, GOAL):
            return cell
        to = row * self.columns + column
        return cell if self.marks[to] == WALL or frozenset((cell, to)) in self.barriers else to

    def place(self, cell: int) -> str:
        """Return the position of a cell, in words."""
        return f"row {cell // self.columns}, column {cell % self.columns}"


def layout_of(map: Map, *, marks: str = PLAIN_MARKS) -> Layout:
    """Read a map: one line for each row, one character for each cell.

    Args:
        map: text with line breaks, or a list of lines. Text that begins with a line break, as in triple quotes, is
            dedented and stripped of blank lines at both ends.
        marks: the allowed characters; a space is floor, too.

    Raises:
        InputError: not text, an empty map, lines of different lengths, an unknown character, or no start.
    """
    lines = _lines(map)
    if not lines or not lines[0]:
        raise InputError("Expected a map of at least one cell, but got an empty one; draw a line for each row.")
    for row, line in enumerate(lines):
        if len(line) != len(lines[0]):
            raise InputError(
                f"Expected rows of {len(lines[0])} characters, as many as row 0 has, but row {row} has {len(line)}; "
                f"fill the shorter one up with {WALL}."
            )
    layout = Layout(len(lines), len(lines[0]), "".join(lines).replace(" ", FLOOR))
    _check_marks(layout, marks)
    return layout


def _lines(map: Map) -> list[str]:
    if isinstance(map, str):
        text = dedent(map).strip("\n") if map.startswith("\n") else map
        return text.splitlines()
    if not isinstance(map, Sequence) or not all(isinstance(line, str) for line in map):
        raise InputError(f"Expected a map as text or as a list of its lines, but got {shown(map)}; draw one as text.")
    return list(map)


def _check_marks(layout: Layout, marks: str) -> None:
    for cell, mark in enumerate(layout.marks):
        if mark not in marks:
            known = f"{' '.join(marks)} or a space"
            advice = "a television stands in gio/NoisyTV-v0 only" if mark == SCREEN else "draw one of these there"
            raise InputError(f"Expected a map of {known}, but got {shown(mark)} at {layout.place(cell)}; {advice}.")
    if START not in layout.marks:
        raise InputError(f"Expected a map with at least one start, but got none; mark a cell of floor with {START}.")
