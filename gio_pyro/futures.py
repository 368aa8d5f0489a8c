"""What the agent is paid to control: which part of what follows an action is its future F.

The exact counterparts are in `gio_pyro.tabular`.
"""

from dataclasses import dataclass
from typing import Any, Protocol

from gymnasium import Space
from torch import Tensor

from gio_pyro.types import Transitions


class Future(Protocol):
    """A choice of F: the space it lives in and how to read it from replayed transitions."""

    def space(self, state_space: Space[Any]) -> Space[Any]:
        """Return the space of F."""
        ...

    def of(self, transitions: Transitions) -> Tensor:
        """Return F of each transition, `[B, ...]`."""
        ...


@dataclass(frozen=True)
class NextState:
    """F = s': the state after the action. Its channel does not depend on the policy (theory, section 2)."""

    def space(self, state_space: Space[Any]) -> Space[Any]:
        """Return the state space."""
        return state_space

    def of(self, transitions: Transitions) -> Tensor:
        """Return `transitions.next_state`, `[B, ...]`."""
        return transitions.next_state
