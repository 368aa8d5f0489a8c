"""Replay: every transition that was collected, in order, and the same transitions with equal ones merged."""

from dataclasses import fields, replace

import torch
from torch import Tensor

from gio_pyro.errors import InputError
from gio_pyro.types import Transitions


class Replay:
    """A ring of transitions on one device.

    Args:
        capacity: the most transitions kept; the oldest go first.
    """

    def __init__(self, capacity: int) -> None:
        if capacity < 1:
            raise InputError(f"Expected room for at least 1 transition, but got {capacity}; raise buffer_size.")
        self.capacity = capacity
        self._rows: Transitions | None = None
        self._size = self._next = 0
        self._merged: Transitions | None = None
        self._unmerged = 0

    def __len__(self) -> int:
        return self._size

    def add(self, new: Transitions) -> None:
        """Append transitions `[B, ...]`."""
        new = new[-self.capacity :]
        self._reserve(new)
        assert self._rows is not None
        where = (self._next + torch.arange(len(new), device=new.weight.device)) % self.capacity
        for field in fields(new):
            getattr(self._rows, field.name)[where] = getattr(new, field.name)
        if self._size + len(new) > self.capacity:
            self._merged = None
        self._next = int((self._next + len(new)) % self.capacity)
        self._size = min(self._size + len(new), self.capacity)
        self._unmerged += len(new)

    def _reserve(self, new: Transitions) -> None:
        """Grow the storage by doubling, up to the capacity."""
        have = 0 if self._rows is None else len(self._rows)
        need = min(self._size + len(new), self.capacity)
        if need <= have:
            return
        size = min(max(need, 2 * have, 1024), self.capacity)
        grown = {}
        for field in fields(new):
            like: Tensor = getattr(new, field.name)
            grown[field.name] = like.new_zeros(size, *like.shape[1:])
            if self._rows is not None:
                grown[field.name][: self._size] = getattr(self._rows, field.name)[: self._size]
        self._rows = Transitions(**grown)

    def all(self) -> Transitions:
        """Return all transitions, oldest first; raises `InputError` while there are none."""
        return self._latest(self._size)

    def _latest(self, count: int) -> Transitions:
        rows = self._filled()
        where = (self._next - count + torch.arange(count, device=rows.weight.device)) % self.capacity
        return rows[where]

    def sample(self, size: int) -> Transitions:
        """Return `size` transitions drawn uniformly with replacement, `[size, ...]`."""
        rows = self._filled()
        age = torch.randint(self._size, (size,), device=rows.weight.device)
        return rows[(self._next - 1 - age) % self.capacity]

    def _filled(self) -> Transitions:
        if self._rows is None or self._size == 0:
            raise InputError("Expected a replay with transitions, but it is empty; call learn first.")
        return self._rows

    def batch(self, size: int | None) -> Transitions:
        """Return a sample of `size`, or, for None, the whole replay with equal transitions merged."""
        return self.merged() if size is None else self.sample(size)

    def merged(self) -> Transitions:
        """Return the distinct (state, action, reward, next state, terminated), with the number of each as weight.

        `behaviour` is the harmonic mean of the merged rows', so that importance weights sum to the same;
        `truncated` is False. Transitions of continuous spaces are returned as they are.
        """
        if self._filled().state.is_floating_point():
            return self.all()
        if self._merged is None:
            self._merged = merge(self.all())
        elif self._unmerged:
            self._merged = merge(concatenate(self._merged, self._latest(self._unmerged)))
        self._unmerged = 0
        kind = self._filled().weight.dtype
        return replace(self._merged, weight=self._merged.weight.to(kind), behaviour=self._merged.behaviour.to(kind))


def concatenate(first: Transitions, second: Transitions) -> Transitions:
    """Return the transitions of both, in order."""
    pairs = {f.name: (getattr(first, f.name), getattr(second, f.name)) for f in fields(first)}
    return Transitions(**{name: torch.cat(pair) for name, pair in pairs.items()})


def merge(rows: Transitions) -> Transitions:
    """Return the distinct transitions of `rows` `[B]` with their summed weights, in float64, whatever the order."""
    columns = (rows.state, rows.action, rows.reward, rows.next_state, rows.terminated)
    key = torch.stack([column.double() for column in columns], -1)
    distinct, group = torch.unique(key, dim=0, return_inverse=True)
    first = torch.full((len(distinct),), len(rows), device=group.device)
    first = first.scatter_reduce(0, group, torch.arange(len(rows), device=group.device), "amin")
    zero = torch.zeros(len(distinct), dtype=torch.float64, device=group.device)
    weight = zero.index_add(0, group, rows.weight.double())
    inverse = zero.index_add(0, group, rows.weight.double() / rows.behaviour.double())
    kept = rows[first]
    return replace(kept, weight=weight, behaviour=weight / inverse, truncated=torch.zeros_like(kept.truncated))
