"""The example worlds: maps with their moves and arguments."""

from typing import Unpack

from gio_pyro.envs.arguments import integer, probability
from gio_pyro.envs.grid_world import GridWorld, View
from gio_pyro.envs.maps import FLOOR, GOAL, PLAIN_MARKS, SCREEN, START, Layout, Map, layout_of
from gio_pyro.envs.rendering import MAX_CHANNELS
from gio_pyro.envs.tables import COMPASS, add_screen, table_of
from gio_pyro.errors import InputError

SMALL_MAP = ("S..#...", ".#.+.#.", ".#.#..G")
ROOMS_MAP = (
    "....#....",
    "....#....",
    "....+....",
    "....#....",
    "##+###+##",
    "....#....",
    "....#....",
    "....+....",
    "S...#....",
)
SPARSE_MAP = (
    "S..#....",
    ".#.#.##.",
    ".#...#..",
    ".###.#.#",
    ".#......",
    "...#.##.",
    ".#.#..#.",
    "...##..G",
)
TELEVISION_MAP = (
    "...#.......",
    ".T.#.......",
    "...S.......",
    "...#.......",
    "...#......G",
)
MAX_USELESS = 10_000
MAX_LENGTH = 10_000


class _MapWorld(GridWorld):
    """Base of worlds with a map, four compass moves and useless actions."""

    def __init__(self, map: Map, view: View, *, noise: float, door: float = 1.0, useless: int = 0) -> None:
        layout, extra = layout_of(map), integer("useless", useless, 0, MAX_USELESS)
        table = table_of(
            layout,
            [*COMPASS.values()],
            noise=probability("noise", noise),
            door=probability("door", door),
            useless=extra,
        )
        super().__init__(layout, table, [*COMPASS, *(f"useless {i + 1}" for i in range(extra))], **view)


class Maze(_MapWorld):
    """A maze with a custom map: actions north, south, east, west and `useless` further ones that do nothing.

    Args:
        map: text or its lines, see `gio_pyro.envs.maps.layout_of`; `#` wall, `.` or space floor, `S` start, `G` goal,
            `+` door.
        noise: probability that another of the four moves is executed instead.
        door: probability that a step into a door succeeds.
        useless: number of further actions without effect.
        view: `observations` and `render_mode`, see `GridWorld`.

    Raises:
        InputError: an invalid map, or an argument out of range.
    """

    def __init__(
        self, map: Map = SMALL_MAP, *, noise: float = 0.0, door: float = 0.5, useless: int = 0, **view: Unpack[View]
    ) -> None:
        super().__init__(map, view, noise=noise, door=door, useless=useless)


class Rooms(_MapWorld):
    """Four rooms with doors that a step enters with probability `door`; the default map has no reward.

    Arguments and errors are those of `Maze`, without `useless`.
    """

    def __init__(self, map: Map = ROOMS_MAP, *, door: float = 0.5, noise: float = 0.0, **view: Unpack[View]) -> None:
        super().__init__(map, view, noise=noise, door=door)


class SparseMaze(_MapWorld):
    """A maze with reward 1 at its only goal, 14 steps from the start, and `useless` actions without effect.

    Within the limit of 200 steps a uniform policy reaches the goal in 19 % of the episodes without useless actions, in
    0.9 % with 10 and in 0.001 % with 40. Arguments and errors are those of `Maze`, without `map` and `door`.
    """

    def __init__(self, *, useless: int = 0, noise: float = 0.0, **view: Unpack[View]) -> None:
        super().__init__(SPARSE_MAP, view, noise=noise, useless=useless)


class KlyubinMaze(GridWorld):
    """The maze of `gio_pyro.tabular.klyubin_maze`, state by state: stay, north, south, east, west; reward 0.

    Row 0 is the southern edge. Episodes start anywhere.

    Args:
        noise: probability that another of the five actions is executed instead.
        view: `observations` and `render_mode`, see `GridWorld`.

    Raises:
        InputError: noise outside [0, 1].
    """

    def __init__(self, *, noise: float = 0.0, **view: Unpack[View]) -> None:
        from gio_pyro.tabular.grids import KLYUBIN_WALLS, MOVES

        rows = columns = 10
        walls = frozenset(frozenset(row * columns + column for row, column in wall) for wall in KLYUBIN_WALLS)
        layout = Layout(rows, columns, FLOOR * rows * columns, walls, south_first=True)
        table = table_of(layout, MOVES, noise=probability("noise", noise))
        super().__init__(layout, table, ("stay", "north", "south", "east", "west"), **view)


class NoisyTV(GridWorld):
    """A room with a goal and a television, whose channel is random: unpredictable, but not controllable.

    The actions are north, south, east, west and watch. Watching in a cell `T` draws the channel uniformly; elsewhere it
    has no effect. Other actions leave the channel unchanged.

    Args:
        map: as in `Maze`, with at least one `T`.
        channels: their number; state = cell · channels + channel.
        noise: probability that another of the four moves is executed instead; watching is exempt.
        view: `observations` and `render_mode`, see `GridWorld`.

    Raises:
        InputError: an invalid map or one without a television, or an argument out of range.
    """

    def __init__(
        self, map: Map = TELEVISION_MAP, *, channels: int = 6, noise: float = 0.0, **view: Unpack[View]
    ) -> None:
        layout = layout_of(map, marks=PLAIN_MARKS + SCREEN)
        screens = layout.cells(SCREEN)
        if not screens:
            raise InputError(f"Expected a map with a television, but got none; mark a cell of floor with {SCREEN}.")
        number = integer("channels", channels, 1, MAX_CHANNELS)
        plain = table_of(layout, [*COMPASS.values()], noise=probability("noise", noise))
        table = add_screen(plain, screens, number)
        super().__init__(layout, table, [*COMPASS, "watch"], channels=number, **view)


class SlipperyLine(GridWorld):
    """States in a line with the actions left and right, and reward 1 at the right end.

    Args:
        length: number of states; an episode starts in the first and terminates in the last.
        slip: probability of moving in the other direction.
        view: `observations` and `render_mode`, see `GridWorld`.

    Raises:
        InputError: a length below 2, or a slip outside [0, 1].
    """

    def __init__(self, *, length: int = 8, slip: float = 0.1, **view: Unpack[View]) -> None:
        layout = layout_of([START + FLOOR * (integer("length", length, 2, MAX_LENGTH) - 2) + GOAL])
        table = table_of(layout, ((0, -1), (0, 1)), noise=probability("slip", slip))
        super().__init__(layout, table, ("left", "right"), **view)
