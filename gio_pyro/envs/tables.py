"""From layouts to transition tables, in the convention of Gymnasium's toy-text worlds."""

from collections.abc import Collection, Sequence
from types import MappingProxyType

from gio_pyro.envs.maps import DOOR, GOAL, Layout, Move
from gio_pyro.errors import InputError

Outcome = tuple[float, int, float, bool]
"""(probability, next state, reward, terminated)."""
Table = dict[int, dict[int, list[Outcome]]]
"""`table[s][a]`: what may follow, with probabilities above 0 that sum to 1."""
CellProbabilities = dict[int, float]
"""The probability of each cell that may be entered."""

COMPASS = MappingProxyType({"north": (-1, 0), "south": (1, 0), "east": (0, 1), "west": (0, -1)})
"""The four moves of a map whose row 0 is at the top."""
GOAL_REWARD = 1.0
"""For entering a goal, which ends the episode."""


def table_of(
    layout: Layout, moves: Sequence[Move], *, noise: float = 0.0, door: float = 1.0, useless: int = 0
) -> Table:
    """Return the table of a layout whose states are its cells and whose actions are the moves, then the useless ones.

    Walls and goals are left by no action. Entering a goal pays 1 and terminates; nothing else is paid.

    Args:
        layout: the cells.
        moves: two or more.
        noise: the probability that another of the moves, equally likely, is carried out instead of the one chosen.
        door: the probability that a step into a door succeeds; the agent stays where it is otherwise.
        useless: how many further actions leave the agent where it is, whatever the noise.

    Raises:
        InputError: a start from which no goal can be reached, or a goal that no start reaches.
    """
    table: Table = {}
    for cell in range(len(layout.marks)):
        carried_out = [_move_outcome(layout, cell, move, door) for move in moves]
        chances = [_noisy_move(carried_out, i, noise) for i in range(len(moves))] + [{cell: 1.0}] * useless
        table[cell] = {action: _outcomes(layout, cell, into) for action, into in enumerate(chances)}
    _check_goals(layout, table)
    return table


def add_screen(table: Table, screens: Collection[int], channels: int) -> Table:
    """Return the table of a world with a screen and one more action, the last, which changes its channel.

    The state is cell · channels + channel. The new action draws each channel with the same probability in the cells
    `screens`, and does nothing elsewhere; every other action leaves the channel as it is.
    """
    shown: Table = {}
    for cell, rows in table.items():
        ended = rows[0][0][3] and rows[0][0][1] == cell
        for channel in range(channels):
            state = cell * channels + channel
            after = {
                action: [(p, to * channels + channel, reward, done) for p, to, reward, done in row]
                for action, row in rows.items()
            }
            drawn = range(cell * channels, (cell + 1) * channels) if cell in screens else (state,)
            after[len(rows)] = [(1 / len(drawn), to, 0.0, ended) for to in drawn]
            shown[state] = after
    return shown


def reachable_states(table: Table, start: int) -> set[int]:
    """Return the states that an episode from `start` can be in, the one that ends it included."""
    found, waiting = {start}, [start]
    while waiting:
        for row in table[waiting.pop()].values():
            for _, state, _, _ in row:
                if state not in found:
                    found.add(state)
                    waiting.append(state)
    return found


def _move_outcome(layout: Layout, cell: int, move: Move, door: float) -> CellProbabilities:
    """Where a move leads that is carried out."""
    to = layout.neighbour(cell, move)
    if to == cell or layout.marks[to] != DOOR:
        return {to: 1.0}
    return {to: door, cell: 1 - door}


def _noisy_move(carried_out: Sequence[CellProbabilities], chosen: int, noise: float) -> CellProbabilities:
    """Where a move leads that is chosen."""
    chances: CellProbabilities = {}
    for move, landing in enumerate(carried_out):
        weight = 1 - noise if move == chosen else noise / (len(carried_out) - 1)
        for to, chance in landing.items():
            chances[to] = chances.get(to, 0.0) + weight * chance
    return {to: chance for to, chance in chances.items() if chance > 0}


def _outcomes(layout: Layout, cell: int, chances: CellProbabilities) -> list[Outcome]:
    goals = {to: layout.marks[to] == GOAL for to in chances}
    return [(p, to, GOAL_REWARD if goals[to] and to != cell else 0.0, goals[to]) for to, p in chances.items()]


def _check_goals(layout: Layout, table: Table) -> None:
    goals = set(layout.cells(GOAL))
    missed = set(goals)
    for start in layout.starts if goals else ():
        seen = reachable_states(table, start) & goals
        if not seen:
            raise InputError(
                f"Expected a goal that can be reached from every start, but none can from {layout.place(start)}; open "
                "a way through the walls or doors."
            )
        missed -= seen
    if missed:
        raise InputError(
            f"Expected goals that can be reached, but no start leads to the one at {layout.place(min(missed))}; open "
            "a way to it or take it out."
        )
