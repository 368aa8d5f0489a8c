"""Transitions of finite worlds with equal ones merged: their distinct rows, and how often each occurs."""

from collections.abc import Sequence
from dataclasses import fields, replace
from typing import Any

import torch
from torch import Tensor

from gio_pyro.types import UNKNOWN, Transitions

LINKS = ("stream", "episode", "time")
"""The fields of where a transition belongs; a row that stands for several has none."""
AT_ONCE = 10_000
"""Removed transitions after which a `Merged` is brought up to date."""


class Merged:
    """The distinct transitions of a replay that grows at one end and may shrink at the other.

    Only what was added and removed since is sorted. Everything that is kept is a sum over equal transitions, so that
    removal is subtraction: counts and links are whole numbers, and Σ 1/μ is in float64.

    Attributes:
        sums: a row for each distinct transition: `weight` is its count, `log_behaviour` is −log of the mean of 1/μ,
            and its stream, episode and time are sums, those of a single transition where the count is 1. None before
            the first use.
        missing: how many of the newest transitions are not in it.
    """

    def __init__(self) -> None:
        self.sums: Transitions | None = None
        self.missing = 0
        self._gone: list[Transitions] = []

    def add(self, count: int) -> None:
        """Note `count` new transitions."""
        self.missing += count

    def remove(self, rows: Transitions) -> None:
        """Note that transitions `[B]`, which it has counted, are no longer in replay."""
        links = {name: -getattr(rows, name) for name in LINKS}
        self._gone.append(replace(rows, weight=-rows.weight, **links))

    @property
    def outdated(self) -> bool:
        """Whether many transitions were removed since it was last brought up to date."""
        return sum(map(len, self._gone)) >= AT_ONCE

    def rows(self, newest: Transitions) -> Transitions:
        """Return the distinct transitions, in the order of their values.

        Args:
            newest: the `missing` newest transitions.
        """
        if self.sums is None:
            self.sums = _summed(newest)
        elif len(newest) or self._gone:
            self.sums = _summed(concatenate(self.sums, newest, *self._gone))
            if self._gone:
                self.sums = self.sums[self.sums.weight > 0.5]
        self.missing, self._gone = 0, []
        links = {name: getattr(self.sums, name).where(self.sums.weight < 1.5, UNKNOWN) for name in LINKS}
        return replace(self.sums, **links)

    def state_dict(self) -> dict[str, Any]:
        """Return copies of what it holds, as tensors and plain values."""
        sums = None if self.sums is None else _copies(self.sums)
        gone = _copies(concatenate(*self._gone)) if self._gone else None
        return {"merged": sums, "unmerged": self.missing, "gone": gone}

    def load_state_dict(self, state: dict[str, Any], device: torch.device) -> None:
        """Restore what `state_dict` returned, on `device`; that of an older checkpoint is computed anew."""
        sums, self.missing, gone = state["merged"], int(state["unmerged"]), state.get("gone")
        self.sums = None if sums is None else Transitions(**sums).to(device)
        if self.sums is not None and bool(((self.sums.weight > 1) & (self.sums.time == UNKNOWN)).any()):
            self.sums = None  # an older one, without sums of links
        self._gone = [] if gone is None or self.sums is None else [Transitions(**gone).to(device)]


def _copies(rows: Transitions) -> dict[str, Tensor]:
    return {f.name: getattr(rows, f.name).to("cpu", copy=True) for f in fields(rows)}


def _summed(rows: Transitions) -> Transitions:
    """Return a row for each distinct transition of `rows` `[B]`, the sums of their weights and links."""
    merged, _, group = _grouped(_columns(rows), rows)
    zero = torch.zeros(len(merged), dtype=torch.int64, device=group.device)
    return replace(merged, **{name: zero.index_add(0, group, getattr(rows, name)) for name in LINKS})


def concatenate(*parts: Transitions) -> Transitions:
    """Return the transitions of all parts, in order."""
    return Transitions(*(torch.cat(field) for field in zip(*(part.tensors() for part in parts), strict=True)))


def merge(rows: Transitions) -> Transitions:
    """Return the distinct transitions of `rows` `[B]` with their weights summed in float64, whatever their order."""
    return merge_by(_columns(rows), rows)[0]


def _columns(rows: Transitions) -> tuple[Tensor, ...]:
    return rows.state, rows.action, rows.reward, rows.next_state, rows.terminated


def can_be_merged(rows: Transitions) -> bool:
    """Return whether states and actions are those of Discrete spaces, so that equal transitions can be merged."""
    return rows.finite and not rows.action.is_floating_point()


def mean_of_equal(rows: Transitions, among: Transitions, values: Tensor, otherwise: Tensor) -> Tensor:
    """Return the mean of the `values` `[M]` of transitions that equal each row, `[B]`; `otherwise` where none does."""
    both = [torch.stack([column.double() for column in _columns(part)], -1) for part in (rows, among)]
    groups = torch.unique(torch.cat(both), dim=0, return_inverse=True)[1]
    mine, theirs = groups[: len(rows)], groups[len(rows) :]
    zero, value = torch.zeros(int(groups.max()) + 1, dtype=torch.float64, device=values.device), values.double()
    total, count = zero.index_add(0, theirs, value), zero.index_add(0, theirs, torch.ones_like(value))
    return torch.where(count[mine] > 0, (total / count.clamp_min(1))[mine], otherwise.double()).to(otherwise)


def merge_by(columns: Sequence[Tensor], rows: Transitions) -> tuple[Transitions, Tensor]:
    """Return one of each group of `rows` `[B]` that agree in all `columns` `[B]`, and which rows these are.

    Weights are summed, in float64; `log_behaviour` is the log of the harmonic mean. A row that stands for several has
    no stream, episode and time.
    """
    merged, first, group = _grouped(columns, rows)
    alone = torch.bincount(group, minlength=len(first)) == 1
    return replace(merged, **{name: getattr(merged, name).where(alone, UNKNOWN) for name in LINKS}), first


def _grouped(columns: Sequence[Tensor], rows: Transitions) -> tuple[Transitions, Tensor, Tensor]:
    """Return the first row of each group with the weight of the group, which row it is, and the group of each row."""
    key = torch.stack([column.double() for column in columns], -1)
    distinct, group = torch.unique(key, dim=0, return_inverse=True)
    first = torch.full((len(distinct),), len(rows), device=group.device)
    first = first.scatter_reduce(0, group, torch.arange(len(rows), device=group.device), "amin")
    zero = torch.zeros(len(distinct), dtype=torch.float64, device=group.device)
    weight = zero.index_add(0, group, rows.weight.double())
    inverse = zero.index_add(0, group, rows.weight.double() * (-rows.log_behaviour.double()).exp())
    kept = rows[first]
    log_behaviour, truncated = weight.log() - inverse.log(), torch.zeros_like(kept.truncated)
    return replace(kept, weight=weight, log_behaviour=log_behaviour, truncated=truncated), first, group
