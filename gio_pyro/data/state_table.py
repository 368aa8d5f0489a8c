"""States of a ring of transitions, each kept once: a next state is the state of the transition that follows.

The table has two parts. The first has a row for each slot of the ring, the state of its transition. The second has the
next states that are the state of no transition: the last ones of episodes, and those of episodes that still run. Each
slot has the number of the row of the table where its next state is.
"""

from collections.abc import Sequence

import torch
from torch import Tensor

SPARE = 1.03
"""Most rows of the second part for each that is needed if the ring fills as it has so far."""
LEAST = 16
"""Fewest rows of the second part."""
WORDS = {1: torch.uint8, 2: torch.int16, 4: torch.int32, 8: torch.int64}
"""Integers by their bytes."""


class StateTable:
    """The states and next states of a ring, on the device of the first ones.

    Attributes:
        slots: the number of slots.
    """

    def __init__(self) -> None:
        self.slots = 0
        self._table = torch.empty(0)
        self._next = torch.empty(0, dtype=torch.int32)
        self._free: list[int] = []

    @property
    def bytes(self) -> int:
        """The size of the storage in bytes."""
        return self._table.nbytes + self._next.nbytes

    def grow(self, slots: int, used: int, like: Tensor) -> None:
        """Make the ring larger.

        Args:
            slots: the new number of slots.
            used: slots in use, the first ones.
            like: states `[B, ...]` of the kind to be stored.
        """
        extra = max(self._extra, LEAST)
        table = like.new_zeros(slots + extra, *like.shape[1:])
        following = torch.full((slots,), -1, dtype=torch.int32, device=like.device)
        if self.slots:
            table[:used], table[slots : slots + self._extra] = self._table[:used], self._table[self.slots :]
            old = self._next[:used]
            following[:used] = torch.where(old >= self.slots, old + (slots - self.slots), old)
        self._free += range(self._extra, extra)
        self._table, self._next, self.slots = table, following, slots

    @property
    def _extra(self) -> int:
        return len(self._table) - self.slots

    def write(
        self,
        slot: Sequence[int],
        state: Tensor,
        next_state: Tensor,
        after: Sequence[tuple[int, int]],
        within: Sequence[tuple[int, int]],
    ) -> None:
        """Write transitions, in place of older ones; whether states are equal is read from the device once.

        Args:
            slot: `[B]` where to.
            state: `[B, ...]`.
            next_state: `[B, ...]`.
            after: pairs of a slot and the index, among the B, of the transition that follows the one there.
            within: pairs of indices of successive transitions among the B.
        """
        where, before = self._sent(slot), self._sent([a for a, _ in after])
        freed, led, same = self._read(where, before, state, next_state, after, within)
        continued = [number for number, equal in enumerate(same[: len(after)]) if equal]
        self._release([*freed, *(led[number] for number in continued)])
        rows = {a: slot[b] for (a, b), equal in zip(within, same[len(after) :], strict=True) if equal}
        alone = [number for number in range(len(slot)) if number not in rows]
        self._reserve(len(alone), max(slot) + 1)
        rows |= {number: self.slots + self._free.pop() for number in alone}
        self._table[where] = state
        last = next_state if len(alone) == len(slot) else next_state[self._sent(alone)]
        self._table[self._sent([rows[number] for number in alone])] = last
        self._next[where] = self._sent([rows[number] for number in range(len(slot))]).int()
        if continued:
            earlier = before if len(continued) == len(before) else before[self._sent(continued)]
            self._next[earlier] = self._sent([slot[after[number][1]] for number in continued]).int()

    def _read(
        self,
        where: Tensor,
        before: Tensor,
        state: Tensor,
        next_state: Tensor,
        after: Sequence[tuple[int, int]],
        within: Sequence[tuple[int, int]],
    ) -> tuple[list[int], list[int], list[int]]:
        """Return the numbers in slots `where` and `before`, and whether the pairs of `write` continue, on the host."""
        led = self._next[before]
        followers = self._sent([b for _, b in (*after, *within)])
        found = state if len(followers) == len(state) == 1 else state[followers]
        expected = self._table[led]
        if within:
            expected = torch.cat([expected, next_state[self._sent([a for a, _ in within])]])
        read: list[int] = torch.cat([self._next[where], led, _equal(expected, found).int()]).tolist()
        return read[: len(where)], read[len(where) : len(where) + len(led)], read[len(where) + len(led) :]

    def _sent(self, numbers: Sequence[int]) -> Tensor:
        return torch.tensor(numbers, dtype=torch.int64, device=self._next.device)

    def _release(self, rows: Sequence[int]) -> None:
        self._free += [row - self.slots for row in rows if row >= self.slots]

    def _reserve(self, count: int, used: int) -> None:
        """Make room for `count` next states in the second part, with `used` slots in use."""
        if count <= len(self._free):
            return
        need = self._extra - len(self._free) + count
        extra = max(need, min(2 * self._extra, int(SPARE * need * self.slots / used)))
        self._free += range(self._extra, extra)
        more = self._table.new_zeros(extra - self._extra, *self._table.shape[1:])
        self._table = torch.cat([self._table, more])

    def states(self, slot: Tensor) -> Tensor:
        """Return the states in slots `[B]`, `[B, ...]`."""
        return self._table[slot]

    def next_states(self, slot: Tensor) -> Tensor:
        """Return the next states in slots `[B]`, `[B, ...]`."""
        return self._table[self._next[slot]]

    def load(self, state: Tensor, next_state: Tensor, following: Tensor) -> None:
        """Replace everything by the states of a ring.

        Args:
            state: `[N, ...]`.
            next_state: `[N, ...]`.
            following: `[N]` integers, how many slots later the next transition of the episode is; 0 if there is none.
        """
        slot = torch.arange(len(state), device=state.device)
        later = (slot + following) % len(state)
        shared = (following > 0) & _equal(next_state, state[later])
        alone = slot[~shared]
        extra = max(int(SPARE * len(alone)), LEAST)
        self.slots, self._free = len(state), [*range(len(alone), extra)]
        self._table = torch.cat([state, next_state[alone], state.new_zeros(extra - len(alone), *state.shape[1:])])
        later[alone] = self.slots + torch.arange(len(alone), device=state.device)
        self._next = later.int()


def _equal(one: Tensor, other: Tensor) -> Tensor:
    """Return which of N tensors have the same bits as the other, `[N]` booleans."""
    kind = WORDS[one.element_size()]
    same = one.contiguous().view(kind) == other.contiguous().view(kind)
    return same.flatten(1).all(1) if same.ndim > 1 else same
