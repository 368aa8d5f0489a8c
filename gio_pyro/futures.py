"""What the agent is paid to control: which part of what follows an action is its future F.

The exact counterparts are in `gio_pyro.tabular`.
"""

from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Protocol

from gymnasium import Space
from torch import Tensor

from gio_pyro.errors import InputError
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


FUTURES = MappingProxyType({"NextState": NextState})
"""The futures that are known by name."""


def future_from(future: str | Future | None) -> Future:
    """Return the future of that name, the given one, or the next state for None; raises `InputError` for others."""
    if future is None:
        return NextState()
    if isinstance(future, str):
        if future not in FUTURES:
            known = ", ".join(FUTURES)
            raise InputError(f"Expected a future among {known}, but got {future!r}; name one, or pass one.")
        return FUTURES[future]()
    if isinstance(future, type) or not (hasattr(future, "space") and hasattr(future, "of")):
        raise InputError(f"Expected a future with the methods space and of, such as NextState(), but got {future!r}.")
    return future
