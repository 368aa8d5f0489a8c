"""What is remembered of action masks, as functions of states."""

from collections.abc import Hashable
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from gio_pyro.collection.actions import Array


class TableMasks(nn.Module):
    """The latest mask that the environment gave in each of finitely many states; all actions are allowed before that.

    Args:
        states: S, the number of states.
        actions: A, the number of actions.
    """

    allowed: Tensor

    def __init__(self, states: int, actions: int) -> None:
        super().__init__()
        self.register_buffer("allowed", torch.ones(states, actions, dtype=torch.bool))
        self.host: Array = np.ones((states, actions), dtype=np.bool_)
        self.seen = False

    def forward(self, state: Tensor) -> Tensor | None:
        """Return the masks of states `[B]`, `[B, A]`; None while no action was ever forbidden."""
        return self.allowed[state] if self.seen else None

    def key(self, state: int) -> Hashable:
        """Return a hashable key of a state and its current mask."""
        return (state, self.host[state].tobytes()) if self.seen else state

    def learn(self, state: int, flags: Array) -> None:
        """Store the mask `[A]` of a state."""
        if not np.array_equal(self.host[state], flags):
            self.host[state] = flags
            self.allowed[state] = torch.as_tensor(flags, device=self.allowed.device)
            self.seen = True

    def _load_from_state_dict(self, *given: Any) -> None:
        super()._load_from_state_dict(*given)
        self.host = self.allowed.numpy(force=True).copy()
        self.seen = not bool(self.host.all())


class LastNumbers(nn.Module):
    """Masks that are the last A numbers of a state.

    Args:
        count: A, the number of actions.
    """

    def __init__(self, count: int) -> None:
        super().__init__()
        self.count = count

    def forward(self, state: Tensor) -> Tensor:
        """Return the masks of states `[B, n + A]`, `[B, A]`; all True for a state whose mask forbids everything."""
        flags = state[..., -self.count :] > 0.5
        return flags | ~flags.any(-1, keepdim=True)
