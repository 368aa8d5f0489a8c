"""The trivial member: what is seen is the state."""

from collections.abc import Callable
from typing import Any

import torch
from gymnasium import Space
from torch import Tensor, nn

from gio_pyro.collection import Behaviour
from gio_pyro.collection.choosing import Memory
from gio_pyro.collection.environment_adapter import Array
from gio_pyro.data.replay_buffer import Replay
from gio_pyro.nn.gradient_step import Figures
from gio_pyro.types import Transitions


class Observed(nn.Module):
    """No beliefs: what is seen is the state. Its methods are the interface of every member.

    Attributes:
        learns: whether there are programs to fit.
    """

    learns = False

    def __init__(self) -> None:
        super().__init__()
        self.optimisers: dict[str, torch.optim.Optimizer] = {}

    @property
    def names(self) -> dict[str, str]:
        """Names of the programs by kind."""
        return {}

    def space(self, observations: Space[Any]) -> Space[Any]:
        """Return the space of states, given that of what is seen."""
        return observations

    def replay(self, capacity: int, images: int | None) -> Any:
        """Return the replay that everything reads."""
        return Replay(capacity, images)

    def behaviour(self, inner: Behaviour) -> Behaviour:
        """Return what collects, given what acts on states."""
        return inner

    def elsewhere(self, inner: Behaviour, environments: int) -> Behaviour:
        """Return what acts in as many other environments, whose beliefs are their own."""
        return inner

    def recall(self, seen: Tensor, memory: Memory, begins: Array | None) -> Tensor:
        """Return the states of N episodes `[N, ...]` from what is seen now and what was remembered."""
        return seen

    def remember(self, state: Tensor, action: Tensor) -> Memory:
        """Return what to remember of N episodes for the next step, None without a memory."""
        return None

    def observe(self, rows: Transitions) -> None:
        """Update input statistics with new transitions of what was seen."""

    def expect(self, updates: int) -> None:
        """Say how many updates are to come, which decides what is worth compiling."""

    def update(self, replay: Any, steps: int, samples: int = 0) -> Figures:
        """Take gradient steps on the programs; return the figures of the last."""
        return {}

    def rewarded(self, rows: Transitions, replay: Any, alpha: Tensor | float) -> Transitions:
        """Return replayed transitions with the world model's terms of the bound in their reward; α is the temperature.

        Args:
            rows: transitions of `replay`, `[B, ...]`.
            replay: where what was seen in them is kept.
            alpha: reward units per nat.
        """
        return rows

    def bound(self, rows: Transitions, replay: Any) -> dict[str, float]:
        """Return the means of the world model's terms of the bound over replayed transitions, nats, for the report."""
        return {}

    def imagination(self, pay: Callable[[Transitions], Transitions]) -> Any:
        """Return what planners roll out in place of the fitted model; None without a world model.

        Args:
            pay: from transitions with the environment's reward to those with the reward that the agent maximises.
        """
        return None

    def metrics(self) -> dict[str, float]:
        """Return figures for the report."""
        return {}
