"""Which actions a state allows: flags for each value of the site "action", True where it may be taken.

A policy says so itself: what it may not do has the log-probability `ILLEGAL`, whose exponential is exactly 0 and which,
unlike −∞, may be multiplied by 0. Whatever reads a policy reads the mask with it (`legal`).
"""

import math
from collections.abc import Callable, Hashable
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

Array = np.ndarray[Any, np.dtype[Any]]
Allowed = Callable[[Tensor], Tensor | None]
"""`allowed(state [B, ...])` returns flags `[B, A]`, or None where every action is allowed in every state."""

ILLEGAL = -1e9
"""Nats: log-probability of an action that is not allowed."""


def legal(log_pi: Tensor) -> Tensor:
    """Return which actions a policy may take, as its log-probabilities say, booleans of the same shape."""
    return log_pi > ILLEGAL / 2


def restricted(logits: Tensor, allowed: Tensor | None) -> Tensor:
    """Return log-probabilities ∝ exp(logits) over allowed actions, `ILLEGAL` for the others; `[B, A]` each."""
    if allowed is None:
        return logits
    return torch.log_softmax(logits.masked_fill(~allowed, -math.inf), -1).masked_fill(~allowed, ILLEGAL)


def evenly(log_pi: Tensor) -> Tensor:
    """Return logits that are even over what a policy may take, `[B, A]`: 0, or `ILLEGAL`."""
    return torch.zeros_like(log_pi).masked_fill(~legal(log_pi), ILLEGAL)


class TableMasks(nn.Module):
    """The masks of finite states, learned from what the environment said when it was there; all allowed until then.

    A state whose mask changes has the latest one.

    Args:
        states: S.
        actions: A.
    """

    allowed: Tensor

    def __init__(self, states: int, actions: int) -> None:
        super().__init__()
        self.register_buffer("allowed", torch.ones(states, actions, dtype=torch.bool))
        self.host: Array = np.ones((states, actions), dtype=np.bool_)
        self.seen = False

    def forward(self, state: Tensor) -> Tensor | None:
        """Return the flags of states `[B]`, `[B, A]`; None as long as no mask forbade anything."""
        return self.allowed[state] if self.seen else None

    def key(self, state: int) -> Hashable:
        """Return what stands for a state and its present mask."""
        return (state, self.host[state].tobytes()) if self.seen else state

    def learn(self, state: int, flags: Array) -> None:
        """Take the mask `[A]` of a state."""
        if not np.array_equal(self.host[state], flags):
            self.host[state] = flags
            self.allowed[state] = torch.as_tensor(flags, device=self.allowed.device)
            self.seen = True

    def _load_from_state_dict(self, *given: Any) -> None:
        super()._load_from_state_dict(*given)
        self.host = self.allowed.numpy(force=True).copy()
        self.seen = not bool(self.host.all())


class LastNumbers(nn.Module):
    """The masks of states whose last numbers are the mask.

    Args:
        count: A.
    """

    def __init__(self, count: int) -> None:
        super().__init__()
        self.count = count

    def forward(self, state: Tensor) -> Tensor:
        """Return the flags of states `[B, n + A]`, `[B, A]`; of a state with none all are True."""
        flags = state[..., -self.count :] > 0.5
        return flags | ~flags.any(-1, keepdim=True)
