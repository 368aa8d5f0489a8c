"""Transitions as they would be if a goal had been meant (Andrychowicz et al., 2017, arXiv 1707.01495)."""

from collections.abc import Callable
from dataclasses import replace
from typing import Protocol

from torch import Tensor

from gio_pyro.types import Transitions

Read = Callable[[Transitions], Tensor]
"""The signal of each transition, `[B]`."""


class Goals(Protocol):
    """What goals are, in one kind of space."""

    def join(self, state: Tensor, goal: Tensor) -> Tensor:
        """Return the pairs, `[B, ...]` each."""
        ...

    def reached(self, state: Tensor, goal: Tensor) -> Tensor:
        """Return whether each state `[B, ...]` is its goal `[B, ...]`."""
        ...


def meant(goals: Goals, rows: Transitions, goal: Tensor) -> Transitions:
    """Return transitions `[B]` over pairs of state and goal: reward 1 and the end where they arrive at it."""
    there = goals.reached(rows.next_state, goal)
    return replace(
        rows,
        state=goals.join(rows.state, goal),
        next_state=goals.join(rows.next_state, goal),
        reward=there.to(rows.reward),
        terminated=rows.terminated | there,
    )
