"""The example worlds with hidden states: a tiger, a T-maze, a test of memory and a lake in fog."""

import numpy as np
from gymnasium.envs.toy_text.frozen_lake import MAPS, FrozenLakeEnv

from gio_pyro.envs.arguments import choice, integer, number, probability
from gio_pyro.envs.hidden import Array, HiddenWorld
from gio_pyro.envs.tables import Table

MAX_LENGTH = 10_000
MAX_DELAY = 1_000
MAX_CUES = 100


class Tiger(HiddenWorld):
    """A tiger behind one of two doors (Kaelbling, Littman and Cassandra 1998): listen, open left or open right.

    Listening costs 1 and names the right side with probability `accuracy`. Opening the door of the tiger costs 100, the
    other one pays 10. State 0 is the tiger on the left, 1 on the right, both at first equally likely.

    Args:
        accuracy: probability of hearing the right side.
        ends: whether opening a door ends the episode, in state 2. Otherwise the tiger is placed anew, and the sound
            that follows says nothing.
        render_mode: `"ansi"` or None.

    Raises:
        InputError: an accuracy outside [0, 1].
    """

    def __init__(self, *, accuracy: float = 0.85, ends: bool = False, render_mode: str | None = None) -> None:
        right, states = probability("accuracy", accuracy), 3 if ends else 2
        table: Table = {}
        for tiger in (0, 1):
            table[tiger] = {0: [(1.0, tiger, -1.0, False)]}
            for door in (0, 1):
                pays = -100.0 if door == tiger else 10.0
                after = [(1.0, 2, pays, True)] if ends else [(0.5, side, pays, False) for side in (0, 1)]
                table[tiger][1 + door] = after
        if ends:
            table[2] = {a: [(1.0, 2, 0.0, True)] for a in range(3)}
        nothing = np.full((states, 2), 0.5)
        heard = nothing.copy()
        heard[:2] = [[right, 1 - right], [1 - right, right]]
        super().__init__(
            table,
            [0.5, 0.5, 0.0][:states],
            np.stack([heard, nothing, nothing]),
            nothing,
            actions=("listen", "open left", "open right"),
            symbols=("heard left", "heard right"),
            render_mode=render_mode,
        )


class TMaze(HiddenWorld):
    """A corridor to a junction, and a cue at its start that names the arm to take there (Bakker 2001).

    Forward and back move along the corridor, left and right end the episode at the junction; any other move leaves the
    agent where it is. The cue is seen in the first cell only. State = cue · (length + 1) + cell; the last one is the
    end.

    Args:
        length: steps from the cue to the junction.
        right: reward for the arm that the cue named.
        wrong: reward for the other one.
        render_mode: `"ansi"` or None.

    Raises:
        InputError: a length below 1, or a reward that is not finite.
    """

    def __init__(
        self, *, length: int = 10, right: float = 1.0, wrong: float = -1.0, render_mode: str | None = None
    ) -> None:
        far = integer("length", length, 1, MAX_LENGTH)
        pays = (number("right", right), number("wrong", wrong))
        table: Table = {}
        end = 2 * (far + 1)
        seen = np.zeros((end + 1, 4))
        for cue in (0, 1):
            for cell in range(far + 1):
                state = cue * (far + 1) + cell
                moves = [min(cell + 1, far) - cell, max(cell - 1, 0) - cell, 0, 0]
                table[state] = {a: [(1.0, state + by, 0.0, False)] for a, by in enumerate(moves)}
                seen[state, cue if cell == 0 else 3 if cell == far else 2] = 1.0
            for arm in (0, 1):
                table[state][2 + arm] = [(1.0, end, pays[int(arm != cue)], True)]
        table[end], seen[end, 2] = {a: [(1.0, end, 0.0, True)] for a in range(4)}, 1.0
        start = [0.5 if state in (0, far + 1) else 0.0 for state in range(end + 1)]
        super().__init__(
            table,
            start,
            seen,
            actions=("forward", "back", "left", "right"),
            symbols=("cue left", "cue right", "corridor", "junction"),
            render_mode=render_mode,
        )


class RepeatFirst(HiddenWorld):
    """Repeat the first symbol when asked, after `delay` random ones (as in POPGym, Morad et al. 2023).

    The first symbol is a cue, drawn uniformly; `delay` symbols follow that are drawn like it and mean nothing, then the
    symbol `asked`. The action at that step pays 1 if it equals the cue, and the episode ends after delay + 2 steps.
    Earlier actions have no effect. State = cue · (delay + 2) + time; the last one is the end.

    Args:
        cues: number of different cues, and of actions.
        delay: number of symbols between the cue and the question.
        render_mode: `"ansi"` or None.

    Raises:
        InputError: fewer than 2 cues, or a negative delay.
    """

    def __init__(self, *, cues: int = 4, delay: int = 20, render_mode: str | None = None) -> None:
        k, wait = integer("cues", cues, 2, MAX_CUES), integer("delay", delay, 0, MAX_DELAY)
        steps = wait + 2
        table: Table = {}
        end = k * steps
        for state in range(end):
            cue, time = divmod(state, steps)
            table[state] = {
                a: [(1.0, end, float(a == cue), True)] if time == steps - 1 else [(1.0, state + 1, 0.0, False)]
                for a in range(k)
            }
        table[end] = {a: [(1.0, end, 0.0, True)] for a in range(k)}
        later = np.zeros((end + 1, k + 1))
        later[:, :k] = 1 / k
        asked = [*range(steps - 1, end, steps), end]
        later[asked] = np.eye(k + 1)[k]
        first = later.copy()
        first[range(0, end, steps)] = np.eye(k + 1)[:k]
        start = np.zeros(end + 1)
        start[range(0, end, steps)] = 1 / k
        super().__init__(
            table,
            start.tolist(),
            later,
            first,
            actions=[f"say {cue}" for cue in range(k)],
            symbols=[*(f"cue {cue}" for cue in range(k)), "asked"],
            render_mode=render_mode,
        )


class NoisyFrozenLake(HiddenWorld):
    """FrozenLake in fog: the cell is seen with probability `accuracy`, otherwise one next to it.

    States, actions, transitions and rewards are those of FrozenLake-v1; the symbols are the cells.

    Args:
        accuracy: probability that the agent sees its own cell, at the start as well. Otherwise it sees one of the two
            to four cells north, south, east or west of it, drawn uniformly.
        map_name: `"4x4"` or `"8x8"`.
        desc: a map of one's own, as FrozenLake-v1 takes it; replaces `map_name`.
        is_slippery: whether moves slip, as in FrozenLake-v1.
        render_mode: `"ansi"` or None.

    Raises:
        InputError: an accuracy outside [0, 1], or an unknown name of a map.
    """

    def __init__(
        self,
        *,
        accuracy: float = 0.8,
        map_name: str = "4x4",
        desc: list[str] | None = None,
        is_slippery: bool = False,
        render_mode: str | None = None,
    ) -> None:
        right = probability("accuracy", accuracy)
        choice("map_name", map_name, tuple(MAPS))
        lake = FrozenLakeEnv(desc=desc, map_name=map_name, is_slippery=is_slippery)
        self.desc = np.asarray(lake.desc)
        rows, columns = self.desc.shape
        super().__init__(
            lake.P,
            lake.initial_state_distrib.tolist(),
            _fog(rows, columns, right),
            actions=("left", "down", "right", "up"),
            symbols=[f"row {row}, column {column}" for row in range(rows) for column in range(columns)],
            render_mode=render_mode,
        )


def _fog(rows: int, columns: int, accuracy: float) -> Array:
    """Return the observation table of a grid, `[S, S]`."""
    seen = np.zeros((rows * columns, rows * columns))
    for cell in range(rows * columns):
        row, column = divmod(cell, columns)
        near = [(row - 1, column), (row + 1, column), (row, column - 1), (row, column + 1)]
        cells = [r * columns + c for r, c in near if 0 <= r < rows and 0 <= c < columns]
        seen[cell, cells] = (1 - accuracy) / max(len(cells), 1)
        seen[cell, cell] = accuracy if cells else 1.0
    return seen
