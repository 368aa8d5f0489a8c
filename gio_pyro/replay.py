"""Replay: every transition that was collected, in order, and the same transitions with equal ones merged."""

from collections.abc import Sequence
from dataclasses import fields, replace
from typing import Any

import torch
from torch import Tensor

from gio_pyro.errors import InputError
from gio_pyro.types import Sequences, Transitions

STORED = ("state", "action", "reward", "next_state", "terminated", "truncated", "log_behaviour")
"""The fields of `Transitions` that are kept; the weight of a row that was not merged is 1."""
NOTHING = -1


class Replay:
    """A ring of transitions on one device, grown as it fills.

    Args:
        capacity: the most transitions kept; the oldest go first.
    """

    def __init__(self, capacity: int) -> None:
        if capacity < 1:
            raise InputError(f"Expected room for at least 1 transition, but got {capacity}; raise buffer_size.")
        self.capacity = capacity
        self._rows: dict[str, Tensor] = {}
        self._size = self._added = 0
        self._last: dict[int, int] = {}
        self._merged: Transitions | None = None
        self._unmerged = 0

    def __len__(self) -> int:
        return self._size

    @property
    def bytes(self) -> int:
        """What the storage weighs, in bytes."""
        return sum(rows.nbytes for rows in self._rows.values())

    def add(
        self,
        new: Transitions,
        stream: Sequence[int] | None = None,
        begins: Sequence[bool] | None = None,
        ends: Sequence[bool] | None = None,
    ) -> None:
        """Append transitions `[B, ...]`, all on one device.

        How they hang together is given on the host, so that nothing has to wait for the device.

        Args:
            new: the transitions, in the order of time.
            stream: `[B]` which of several environments each comes from; one environment by default.
            begins: `[B]` whether each does not continue the one before it in its stream, although that did not end.
            ends: `[B]` whether its episode ended with each; read from the transitions by default.
        """
        ends = (new.terminated | new.truncated).tolist() if ends is None else ends
        first = max(len(new) - self.capacity, 0)
        number = self._added + torch.arange(first, len(new), device=new.weight.device)
        self._reserve(new)
        where = number % self.capacity
        for name in STORED:
            self._rows[name][where] = getattr(new, name)[first:]
        self._rows["following"][where] = NOTHING
        self._link(ends, stream, begins)
        if self._size + len(new) > self.capacity:
            self._merged = None
        self._added += len(new)
        self._size = min(self._size + len(new), self.capacity)
        self._unmerged += len(new)

    def _link(self, ends: Sequence[bool], stream: Sequence[int] | None, begins: Sequence[bool] | None) -> None:
        """Note for each row the slot of the one that follows it in its episode."""
        streams = [0] * len(ends) if stream is None else stream
        breaks = [False] * len(ends) if begins is None else begins
        links: dict[int, int] = {}
        for row, end in enumerate(ends):
            last = self._last.pop(int(streams[row]), NOTHING)
            if last != NOTHING and not breaks[row]:
                links[last] = self._added + row
            if not end:
                self._last[int(streams[row])] = self._added + row
        oldest = self._added + len(ends) - self.capacity
        kept = [(a % self.capacity, b % self.capacity) for a, b in links.items() if a >= oldest]
        if kept:
            following = self._rows["following"]
            pairs = torch.tensor(kept, dtype=following.dtype, pin_memory=following.is_cuda)  # pinned: nothing waits
            before, after = pairs.to(following.device, non_blocking=True).unbind(-1)
            following[before.long()] = after

    def _reserve(self, new: Transitions) -> None:
        """Grow the storage by doubling, up to the capacity."""
        have = len(self._rows["reward"]) if self._rows else 0
        need = min(self._size + len(new), self.capacity)
        if need <= have:
            return
        size = min(max(need, 2 * have, 1024), self.capacity)
        for name in (*STORED, "following"):
            like: Tensor = new.weight.int() if name == "following" else getattr(new, name)
            grown = like.new_zeros(size, *like.shape[1:])
            if name in self._rows:
                grown[: self._size] = self._rows[name][: self._size]
            self._rows[name] = grown

    def all(self) -> Transitions:
        """Return all transitions, oldest first; raises `InputError` while there are none."""
        return self.latest(self._size)

    def latest(self, count: int) -> Transitions:
        """Return the last `count` transitions, or as many as there are, oldest first."""
        count = min(count, self._size)
        return self._at(self._latest(count))

    def _latest(self, count: int) -> Tensor:
        return (self._added - count + torch.arange(count, device=self._device())) % self.capacity

    def sample(self, size: int) -> Transitions:
        """Return `size` transitions drawn uniformly with replacement, `[size, ...]`."""
        return self._at(self._drawn(size))

    def sequences(self, size: int | None, length: int) -> Sequences:
        """Return `size` pieces of up to `length` successive transitions, never across the end of an episode.

        Their first rows are drawn uniformly with replacement from all transitions; for None they are all of them,
        oldest first.
        """
        slot = (self._latest(self._size) if size is None else self._drawn(size)).long()
        slots, valid = [slot], [torch.ones_like(slot, dtype=torch.bool)]
        for _ in range(length - 1):
            following = self._rows["following"][slot].long()
            valid.append(valid[-1] & (following != NOTHING))
            slot = torch.where(valid[-1], following, slot)
            slots.append(slot)
        return Sequences(self._at(torch.stack(slots, 1)), torch.stack(valid, 1))

    def _drawn(self, size: int) -> Tensor:
        device = self._device()
        age = torch.randint(self._size, (size,), device=device)
        return (self._added - 1 - age) % self.capacity

    def _at(self, slot: Tensor) -> Transitions:
        rows = {name: self._rows[name][slot] for name in STORED}
        return Transitions(**rows, weight=torch.ones_like(rows["reward"]))

    def _device(self) -> torch.device:
        if self._size == 0:
            raise InputError("Expected a replay with transitions, but it is empty; call learn first.")
        return self._rows["reward"].device

    def batch(self, size: int | None) -> Transitions:
        """Return a sample of `size`, or, for None, the whole replay with equal transitions merged."""
        return self.merged() if size is None else self.sample(size)

    def merged(self) -> Transitions:
        """Return the distinct (state, action, reward, next state, terminated), with the number of each as weight.

        μ is the harmonic mean of the merged rows', so that importance weights sum to the same;
        `truncated` is False. Transitions of other than Discrete states and actions are returned as they are.
        """
        if not (last := self.latest(1)).finite or last.action.is_floating_point():
            return self.all()
        if self._merged is None:
            self._merged = merge(self.all())
        elif self._unmerged:
            self._merged = merge(concatenate(self._merged, self.latest(self._unmerged)))
        self._unmerged = 0
        kind = self._rows["reward"].dtype
        found = self._merged
        return replace(found, weight=found.weight.to(kind), log_behaviour=found.log_behaviour.to(kind))

    def state_dict(self) -> dict[str, Any]:
        """Return copies of the transitions and of how they follow one another, as tensors and plain values."""
        filled = {name: _copy(rows[: self._size]) for name, rows in self._rows.items()}
        once = self._merged
        merged = None if once is None else {f.name: _copy(getattr(once, f.name)) for f in fields(once)}
        last = {str(stream): number for stream, number in self._last.items()}
        return {"rows": filled, "added": self._added, "last": last, "merged": merged, "unmerged": self._unmerged}

    def load_state_dict(self, state: dict[str, Any], device: torch.device) -> None:
        """Take over what `state_dict` returned, onto `device`; the ring goes on where it stood."""
        rows = {name: state["rows"][name].to(device) for name in (*STORED, "following") if state["rows"]}
        self._rows, self._size = rows, len(rows["reward"]) if rows else 0
        self._added = int(state["added"])
        self._last = {int(stream): int(slot) for stream, slot in state["last"].items()}
        merged, self._unmerged = state["merged"], int(state["unmerged"])
        self._merged = None if merged is None else Transitions(**merged).to(device)


def _copy(rows: Tensor) -> Tensor:
    return rows.to("cpu", copy=True)


def concatenate(first: Transitions, second: Transitions) -> Transitions:
    """Return the transitions of both, in order."""
    pairs = {f.name: (getattr(first, f.name), getattr(second, f.name)) for f in fields(first)}
    return Transitions(**{name: torch.cat(pair) for name, pair in pairs.items()})


def merge(rows: Transitions) -> Transitions:
    """Return the distinct transitions of `rows` `[B]` with their summed weights, in float64, whatever the order."""
    return merge_by((rows.state, rows.action, rows.reward, rows.next_state, rows.terminated), rows)[0]


def merge_by(columns: Sequence[Tensor], rows: Transitions) -> tuple[Transitions, Tensor]:
    """Return one of each group of `rows` `[B]` that agree in all `columns` `[B]`, and which rows these are.

    Weights are summed, in float64; `log_behaviour` is the log of the harmonic mean.
    """
    key = torch.stack([column.double() for column in columns], -1)
    distinct, group = torch.unique(key, dim=0, return_inverse=True)
    first = torch.full((len(distinct),), len(rows), device=group.device)
    first = first.scatter_reduce(0, group, torch.arange(len(rows), device=group.device), "amin")
    zero = torch.zeros(len(distinct), dtype=torch.float64, device=group.device)
    weight = zero.index_add(0, group, rows.weight.double())
    inverse = zero.index_add(0, group, rows.weight.double() * (-rows.log_behaviour.double()).exp())
    kept = rows[first]
    log_mean = weight.log() - inverse.log()
    return replace(kept, weight=weight, log_behaviour=log_mean, truncated=torch.zeros_like(kept.truncated)), first
