"""Build transition tables from layouts, in the format of Gymnasium's toy-text environments."""

from collections.abc import Collection, Sequence
from types import MappingProxyType

from numpy.random import Generator

from gio_pyro.envs.maps import DOOR, GOAL, Layout, Move
from gio_pyro.errors import InputError

Outcome = tuple[float, int, float, bool]
"""(probability, next state, reward, terminated)."""
Table = dict[int, dict[int, list[Outcome]]]
"""`table[s][a]`: the possible outcomes, with probabilities above 0 that sum to 1."""
CellProbabilities = dict[int, float]
"""Probabilities of the successor cells."""

COMPASS = MappingProxyType({"north": (-1, 0), "south": (1, 0), "east": (0, 1), "west": (0, -1)})
"""The four moves of a map whose row 0 is at the top."""
GOAL_REWARD = 1.0
"""Reward for entering a goal, which ends the episode."""


def table_of(
    layout: Layout, moves: Sequence[Move], *, noise: float = 0.0, door: float = 1.0, useless: int = 0
) -> Table:
    """Return the transition table of a layout: states are its cells, actions the moves followed by useless ones.

    No action leaves a wall or a goal. Entering a goal gives reward 1 and terminates; all other rewards are 0.

    Args:
        layout: the cells.
        moves: two or more.
        noise: probability that one of the other moves, drawn uniformly, is executed instead.
        door: probability that a step into a door succeeds; otherwise the agent stays.
        useless: number of further actions with which the agent stays, whatever the noise.

    Raises:
        InputError: a start from which no goal can be reached, or a goal that no start reaches.
    """
    table: Table = {}
    for cell in range(len(layout.marks)):
        carried_out = [_move_outcome(layout, cell, move, door) for move in moves]
        chances = [_noisy_move(carried_out, i, noise) for i in range(len(moves))] + [{cell: 1.0}] * useless
        table[cell] = {action: _cell_outcomes(layout, cell, into) for action, into in enumerate(chances)}
    _check_goals(layout, table)
    return table


def add_screen(table: Table, screens: Collection[int], channels: int) -> Table:
    """Return the table extended by a screen, with a last action that changes its channel.

    The state becomes cell · channels + channel. The new action draws a channel uniformly in the cells `screens` and has
    no effect elsewhere; other actions leave the channel unchanged.
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


def draw(row: Sequence[Outcome], random: Generator) -> Outcome:
    """Draw an outcome from a row of the table, with one number of the generator."""
    rest = random.random()
    for outcome in row:
        rest -= outcome[0]
        if rest < 0:
            return outcome
    return row[-1]


def reachable_states(table: Table, start: int) -> set[int]:
    """Return the states reachable from `start`, terminal ones included."""
    found, waiting = {start}, [start]
    while waiting:
        for row in table[waiting.pop()].values():
            for _, state, _, _ in row:
                if state not in found:
                    found.add(state)
                    waiting.append(state)
    return found


def _move_outcome(layout: Layout, cell: int, move: Move, door: float) -> CellProbabilities:
    """Return the successors of an executed move."""
    to = layout.neighbour(cell, move)
    if to == cell or layout.marks[to] != DOOR:
        return {to: 1.0}
    return {to: door, cell: 1 - door}


def _noisy_move(carried_out: Sequence[CellProbabilities], chosen: int, noise: float) -> CellProbabilities:
    """Return the successors of a chosen move, which noise may replace by another."""
    chances: CellProbabilities = {}
    for move, landing in enumerate(carried_out):
        weight = 1 - noise if move == chosen else noise / (len(carried_out) - 1)
        for to, chance in landing.items():
            chances[to] = chances.get(to, 0.0) + weight * chance
    return {to: chance for to, chance in chances.items() if chance > 0}


def _cell_outcomes(layout: Layout, cell: int, chances: CellProbabilities) -> list[Outcome]:
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
