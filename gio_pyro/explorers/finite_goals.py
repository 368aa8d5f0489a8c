"""Goals among finitely many states: what is worth going to, what can be got to, what was learned on the way."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from gymnasium.spaces import Discrete
from torch import Tensor, nn

from gio_pyro.data.replay_buffer import Replay
from gio_pyro.errors import InputError
from gio_pyro.explorers.hindsight import Read, meant
from gio_pyro.types import Transitions

MOST_STATES = 1_000
"""Above this many states, pairs of them are too many for a table."""
MOST_GOALS = 64
"""Goals that one improvement learns about; where more states are known, as many of them are drawn."""


@dataclass(frozen=True)
class Graph:
    """What is known of a world: its transitions, and what the signal says of each state."""

    rows: Transitions
    """The distinct ones, `[B]`."""
    value: Tensor
    """`[S]`: the mean signal of the transitions that arrived in each state; NaN where none did."""

    def within(self, state: int, steps: int) -> Tensor:
        """Return which states can be arrived at from `state` in 1 to `steps` known transitions, `[S]` booleans.

        Where an episode ends the way ends, too.
        """
        start, end, on = self.rows.state, self.rows.next_state, ~self.rows.terminated
        here, arrived = torch.zeros_like(self.value, dtype=torch.bool), torch.zeros_like(self.value, dtype=torch.bool)
        here[state] = True
        for _ in range(steps):
            before = arrived.clone()
            arrived[end[here[start]]] = True
            here[end[here[start] & on]] = True
            if torch.equal(before, arrived):
                break
        return arrived


class FiniteGoals(nn.Module):
    """A pair of a state and a goal is one of S · S values, state · S + goal.

    Args:
        space: of states.
        horizon: steps within which a goal must be known to be reachable.

    Raises:
        InputError: more than `MOST_STATES` states.
    """

    def __init__(self, space: Discrete, horizon: int) -> None:
        super().__init__()
        self.states, self.horizon = int(space.n), horizon
        if self.states > MOST_STATES:
            raise InputError(
                f"Expected at most {MOST_STATES} states to set goals among, but got {self.states}; take the explorer "
                "Signal."
            )
        self.pairs = Discrete(self.states**2)
        self.optimisers: dict[str, torch.optim.Optimizer] = {}

    def empty(self, count: int) -> Tensor:
        """Return room for goals, `[count]`."""
        return torch.zeros(count, dtype=torch.int64)

    def goals_of(self, state: Tensor) -> Tensor:
        """Return the goals to be in each state `[B]`: the states themselves."""
        return state

    def learn(self, replay: Replay) -> None:
        """Learn from replay; there is nothing to learn."""

    def join(self, state: Tensor, goal: Tensor) -> Tensor:
        """Return the pairs, `[B]` each."""
        return state * self.states + goal

    def state_of(self, pairs: Tensor) -> Tensor:
        """Return the states of pairs, `[B]` each."""
        return pairs // self.states

    def reached(self, state: Tensor, goal: Tensor) -> Tensor:
        """Return whether each state `[B]` is the goal `[B]`."""
        return state == goal

    def observe(self, state: Tensor) -> None:
        """Finite states need no scale."""

    def survey(self, replay: Replay, signal: Read) -> Graph:
        """Return what replay knows, and what the signal says of it now."""
        rows = replay.merged()
        zero = torch.zeros(self.states, dtype=rows.weight.dtype, device=rows.weight.device)
        total = zero.index_add(0, rows.next_state, rows.weight * signal(rows).to(zero))
        return Graph(rows, total / zero.index_add(0, rows.next_state, rows.weight))

    def candidates(self, graph: Graph, state: Tensor) -> tuple[Tensor, Tensor]:
        """Return the goals that are known to be reachable from one state, and how much each is worth, `[K]` each."""
        goal = graph.within(int(state), self.horizon).nonzero().flatten()
        goal = goal[goal != state]
        return goal, graph.value[goal]

    def relabelled(self, replay: Replay, size: int | None) -> Transitions:
        """Return every known transition, once with each known goal: reward 1 and the end where it arrives there.

        Args:
            replay: where from.
            size: not asked: tables learn from everything at once.
        """
        rows = replay.merged()
        goals = torch.unique(rows.next_state)
        if len(goals) > MOST_GOALS:
            goals = goals[torch.randperm(len(goals), device=goals.device)[:MOST_GOALS]]
        every = torch.arange(len(rows), device=goals.device).repeat_interleave(len(goals))
        goal = goals.repeat(len(rows))
        return meant(self, rows[every], goal)
