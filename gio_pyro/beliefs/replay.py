"""Replay of what was seen, read as transitions between beliefs, which are computed anew at each reading."""

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from gio_pyro.beliefs.pieces import Piece, at
from gio_pyro.data.replay_buffer import Replay
from gio_pyro.types import Sequences, Transitions

AT_ONCE = 4_096
"""Transitions whose beliefs are computed together."""

Along = Callable[[Piece], Tensor]
"""From pieces of episodes to the beliefs at their T + 1 instants, `[B, T + 1, D]`."""


class BelievedReplay:
    """The interface of a `Replay`, with beliefs as its states.

    The belief at a transition is that of the filter after the last `burn_in` transitions before it, or after all of its
    episode where these are fewer; so it is never older than the filter.

    Args:
        seen: what was seen.
        along: the filter along pieces of episodes.
        burn_in: transitions that a belief is computed from.
        along_samples: the same for what is drawn ahead, by default `along`.
    """

    finite = False

    def __init__(self, seen: Replay, along: Along, burn_in: int, along_samples: Along | None = None) -> None:
        self.seen, self.along, self.burn_in = seen, along, burn_in
        self.along_samples = along_samples or along
        self._drawn: list[Transitions] = []

    def __len__(self) -> int:
        return len(self.seen)

    def __getattr__(self, name: str) -> Any:
        if name == "seen":
            raise AttributeError(name)
        return getattr(self.seen, name)

    def latest(self, count: int) -> Transitions:
        """Return the last `count` transitions, or as many as there are, oldest first."""
        return self.believed(self.seen.latest(count))

    def sample(self, size: int) -> Transitions:
        """Return `size` transitions drawn uniformly with replacement."""
        if self._drawn and len(self._drawn[-1]) == size:
            return self._drawn.pop()
        return self.believed(self.seen.sample(size))

    def draw(self, samples: int, size: int) -> None:
        """Draw the next samples at once, since the filter takes hardly longer for all of them than for one."""
        rows = self.believed(self.seen.sample(samples * size), self.along_samples)
        self._drawn = [rows[first : first + size] for first in range(0, len(rows), size)]

    def forget(self) -> None:
        """Drop samples that were drawn but not read: their beliefs are of an older filter."""
        self._drawn.clear()

    def batch(self, size: int | None) -> Transitions:
        """Return a sample of `size`, or all transitions."""
        return self.all() if size is None else self.sample(size)

    def all(self) -> Transitions:
        """Return all transitions, oldest first."""
        return self.believed(self.seen.all())

    def merged(self) -> Transitions:
        """Return all transitions: beliefs are seldom equal."""
        return self.all()

    def numbered(self, time: Tensor) -> Transitions:
        """Return the transitions of these numbers."""
        return self.believed(self.seen.numbered(time))

    def sequences(self, size: int | None, length: int, *, newest: bool = False) -> Sequences:
        """Return sequences of successive transitions as `Replay.sequences` does."""
        found = self.seen.sequences(size, length, newest=newest)
        rows = self.believed(found.steps.flat())
        shaped = [tensor.unflatten(0, found.valid.shape) for tensor in rows.tensors()]
        return Sequences(Transitions(*shaped), found.valid)

    @torch.no_grad()
    def believed(self, rows: Transitions, along: Along | None = None) -> Transitions:
        """Return transitions `[B]` of what was seen with the beliefs before and after them as their states."""
        along = along or self.along
        parts = [self._believed(rows[first : first + AT_ONCE], along) for first in range(0, len(rows), AT_ONCE)]
        state, after = (torch.cat(both) for both in zip(*parts, strict=True))
        return replace(rows, state=state, next_state=after)

    def _believed(self, rows: Transitions, along: Along) -> Sequence[Tensor]:
        piece = Piece.of(*self.seen.histories(rows.time, self.burn_in + 1))
        beliefs = along(piece)
        return at(beliefs, piece.last - 1), at(beliefs, piece.last)
