"""Pieces of episodes: what was seen and done in some successive steps."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from gio_pyro.types import Seen, Sequences


@dataclass(frozen=True)
class Piece:
    """B pieces of T transitions, T + 1 instants: the first observation, and what each action led to."""

    first: Tensor
    """The first observation, `[B, ...]`."""
    action: Tensor
    """`[B, T, ...]`."""
    observation: Tensor
    """What was seen after each action, `[B, T, ...]`."""
    reward: Tensor
    """`[B, T]` reward units."""
    terminated: Tensor
    """`[B, T]` booleans."""
    valid: Tensor
    """`[B, T]` booleans: False after the end of the piece."""
    begins: Tensor
    """`[B]` booleans: the piece begins with its episode."""

    @classmethod
    def of(cls, pieces: Sequences, begins: Tensor) -> "Piece":
        """Return the pieces of sequences of replay, whose states are what was seen."""
        rows = pieces.steps
        return cls(rows.state[:, 0], rows.action, rows.next_state, rows.reward, rows.terminated, pieces.valid, begins)

    def __len__(self) -> int:
        return self.action.shape[1]

    def tensors(self) -> tuple[Tensor, ...]:
        """Return the fields in order; `Piece(*piece.tensors())` equals the piece."""
        return tuple(vars(self).values())

    def instants(self) -> Iterator[tuple[Tensor | None, Seen]]:
        """Yield the action before each of the T + 1 instants, None at the first, and what was seen at it."""
        yield None, Seen(self.first)
        for t in range(len(self)):
            yield self.action[:, t], Seen(self.observation[:, t], self.reward[:, t], self.terminated[:, t])

    def later(self) -> tuple[Tensor, Seen]:
        """Return the actions of all pieces, and what they led to, as one batch `[B · T, ...]`."""
        action, observation, reward, terminated = (
            one.flatten(0, 1) for one in (self.action, self.observation, self.reward, self.terminated)
        )
        return action, Seen(observation, reward, terminated)

    def counted(self, burn_in: int) -> Tensor:
        """Return the instants that count, `[B, T + 1]` booleans: those of the piece after its burn-in.

        A piece that begins with its episode needs none: the belief before is known.
        """
        there = torch.cat([torch.ones_like(self.valid[:, :1]), self.valid], 1)
        late = torch.arange(len(self) + 1, device=there.device) >= burn_in
        return there & (late | self.begins.unsqueeze(1))

    @property
    def last(self) -> Tensor:
        """The number of valid transitions of each piece, `[B]`: the instant of the last of them."""
        return self.valid.sum(1)


def at(beliefs: Tensor, instant: Tensor) -> Tensor:
    """Return the belief of each of B pieces at an instant `[B]`, `[B, D]`, from beliefs `[B, T + 1, D]`."""
    index: Any = instant.view(-1, 1, 1).expand(-1, 1, beliefs.shape[-1])
    return beliefs.gather(1, index).squeeze(1)
