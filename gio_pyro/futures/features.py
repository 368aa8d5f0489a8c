"""A user's function of another future."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from gymnasium import Space
from torch import Tensor

from gio_pyro import tabular
from gio_pyro.errors import InputError
from gio_pyro.futures.base import Future, exact_of, steps_of
from gio_pyro.types import Policy, Sequences, Transitions, finite


@dataclass(frozen=True)
class Features:
    """F = φ(F'), a function of another future F'. Exact counterpart: `tabular.features`.

    It carries at most the information of F'. Replay is read, and weighted, as for F'.
    """

    future: Future
    """F'."""
    function: Callable[[Tensor], Tensor]
    """φ, from F' `[B, ...]` to values `[B, ...]` of the space `to`; a torch function that waits for no device."""
    to: Space[Any]
    """Discrete or Box."""

    def __post_init__(self) -> None:
        if not callable(self.function):
            raise InputError(f"Expected features to be a function of a future, but got {self.function!r}.")
        if not isinstance(self.to, Space):
            raise InputError(
                f"Expected the Gymnasium space of the features, but got {self.to!r}; Discrete(n) or a Box."
            )

    @property
    def steps(self) -> int:
        """Those of F': 0 where single transitions will do."""
        return steps_of(self.future)

    def space(self, state_space: Space[Any]) -> Space[Any]:
        """Return `to`, once F' has accepted the states."""
        self.future.space(state_space)
        return self.to

    def of(self, transitions: Transitions) -> Tensor:
        """Return φ(F') of each transition."""
        return self.function(self.future.of(transitions))

    def read(self, pieces: Sequences, state_space: Space[Any]) -> Tensor:
        """Return φ(F') of each piece."""
        return self.function(self.future.read(pieces, state_space))  # type: ignore[attr-defined]

    def weight(self, policy: Policy, pieces: Sequences) -> Tensor:
        """Return how much each piece counts, as for F'."""
        weight: Tensor = self.future.weight(policy, pieces)  # type: ignore[attr-defined]
        return weight

    def exact(self) -> tabular.Future:
        """Return the exact counterpart, of a function from one Discrete space to another.

        Raises:
            InputError: F' has no exact counterpart, or the features are not Discrete.
        """
        inner, size = exact_of(self.future), finite(self.to, "feature")

        def future(mdp: tabular.TabularMDP, policy: Tensor) -> Tensor:
            channel = inner(mdp, policy)
            label = self.function(torch.arange(channel.shape[-1]))
            return tabular.grouped(channel, label.to(channel.device), size)

        return future
