"""Grid worlds as tables: an open grid and the maze of the first empowerment paper."""

import torch

from gio_pyro.errors import InputError, shown
from gio_pyro.tabular.mdp import TabularMDP
from gio_pyro.utils.checks import real, whole

MOVES = ((0, 0), (1, 0), (-1, 0), (0, 1), (0, -1))
"""(rows, columns) of each action: stay, north, south, east, west; row 0 is the southern edge."""

GRID = "a grid of at least 1 x 1 and noise in [0, 1]"
MAX_CELLS = 5_000
"""Maximum number of cells; the table then takes a gigabyte."""

Wall = tuple[tuple[int, int], tuple[int, int]]

KLYUBIN_WALLS: tuple[Wall, ...] = (
    ((1, 0), (2, 0)), ((1, 1), (2, 1)), ((1, 2), (2, 2)), ((1, 3), (2, 3)), ((1, 4), (2, 4)), ((1, 5), (2, 5)),
    ((1, 7), (2, 7)), ((1, 8), (2, 8)), ((2, 5), (2, 6)), ((2, 6), (2, 7)), ((3, 5), (3, 6)), ((3, 6), (3, 7)),
    ((3, 6), (4, 6)), ((5, 2), (6, 2)), ((5, 3), (6, 3)), ((5, 4), (6, 4)), ((6, 4), (6, 5)), ((6, 4), (7, 4)),
    ((7, 4), (7, 5)), ((7, 4), (8, 4)), ((8, 3), (8, 4)), ((8, 3), (9, 3)),
)  # fmt: skip
"""Pairs of cells (row, column) with a wall between them: Klyubin, Polani and Nehaniv (2005)."""


def grid_world(
    rows: int, columns: int, walls: tuple[Wall, ...] = (), *, noise: float = 0.0, discount: float = 0.95
) -> TabularMDP:
    """Return a grid with the actions stay, north, south, east, west and reward 0; state = row · columns + column.

    A move into a wall or off the grid leaves the state unchanged. With probability `noise` one of the other four
    actions, equally likely, is executed instead.

    Raises:
        InputError: an empty grid or one of more than `MAX_CELLS` cells, walls that are not pairs of cells, or noise
            outside [0, 1].
    """
    rows, columns = (whole("a side", side, 1, wanted=GRID) for side in (rows, columns))
    if rows * columns > MAX_CELLS:
        raise InputError(f"Expected a grid of at most {MAX_CELLS:,} cells, but got {rows} x {columns}; take fewer.")
    noise, closed = real("noise", noise, 0, 1, wanted=GRID), _as_walls(walls)
    intended = torch.zeros(rows * columns, len(MOVES), rows * columns, dtype=torch.float64)
    for row in range(rows):
        for column in range(columns):
            for action, (up, right) in enumerate(MOVES):
                to = (row + up, column + right)
                inside = 0 <= to[0] < rows and 0 <= to[1] < columns
                free = inside and frozenset(((row, column), to)) not in closed
                end = to if free else (row, column)
                intended[row * columns + column, action, end[0] * columns + end[1]] = 1.0
    others = intended.sum(1, keepdim=True) - intended
    transition = (1 - noise) * intended + noise / (len(MOVES) - 1) * others
    return TabularMDP(transition, torch.zeros(rows * columns, len(MOVES)), discount=discount)


def _as_walls(walls: object) -> set[frozenset[tuple[int, int]]]:
    """Return walls as unordered pairs of cells; raises `InputError` unless each is two cells (row, column)."""
    try:
        pairs = [tuple((whole("a row", row, 0), whole("a column", column, 0)) for row, column in w) for w in walls]  # type: ignore[attr-defined]
    except (TypeError, ValueError) as error:
        raise _invalid_walls(walls) from error
    if any(len(pair) != 2 for pair in pairs):
        raise _invalid_walls(walls)
    return {frozenset(pair) for pair in pairs}


def _invalid_walls(walls: object) -> InputError:
    return InputError(f"Expected walls as pairs of cells, such as [((0, 0), (0, 1))], but got {shown(walls)}.")


def klyubin_maze(*, noise: float = 0.0, discount: float = 0.95) -> TabularMDP:
    """Return the 10 x 10 maze of Klyubin, Polani and Nehaniv (2005), "Empowerment: a universal agent-centric
    measure of control"; wall positions as transcribed in public reimplementations. See `grid_world`.
    """  # noqa: D205
    return grid_world(10, 10, KLYUBIN_WALLS, noise=noise, discount=discount)
