"""What was done and where it led: sequences of actions taken without looking, and the states that they ended in."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields

import torch
from torch import Tensor

from gio_pyro.collection import Collector
from gio_pyro.data.replay_buffer import Replay
from gio_pyro.distributions.sequences import ActionSequences
from gio_pyro.errors import InputError
from gio_pyro.types import Policy, Sequences, finite

MOST_BYTES = 2**30
"""Of the sequences that are kept."""
IN_A_ROW = 4
"""Sequences that are taken at a time."""


@dataclass(frozen=True)
class Options:
    """B sequences of n actions."""

    state: Tensor
    """`[B, ...]`: where each began."""
    actions: Tensor
    """`[B, n]` integers."""
    final: Tensor
    """`[B, ...]`: the state after the last action."""
    log_behaviour: Tensor
    """`[B]` nats: log-probability with which the actions were taken."""

    def __len__(self) -> int:
        return len(self.state)

    def __getitem__(self, index: Tensor | slice) -> Options:
        return Options(*(tensor[index] for tensor in self.tensors()))

    def tensors(self) -> tuple[Tensor, ...]:
        """Return the fields in their order."""
        return tuple(getattr(self, field.name) for field in fields(self))


class Kept:
    """The last sequences that were taken, in a ring.

    Args:
        capacity: the most that are kept; fewer of states that are so large that they would weigh over `MOST_BYTES`.
    """

    def __init__(self, capacity: int) -> None:
        self.capacity = capacity
        self._ring: Options | None = None
        self._added = 0

    def __len__(self) -> int:
        return min(self._added, self.capacity)

    def add(self, new: Options) -> None:
        """Take new sequences in, in the place of the oldest."""
        if self._ring is None:
            weight = sum(x[:1].nbytes for x in new.tensors())
            self.capacity = max(min(self.capacity, MOST_BYTES // weight), 1)
            self._ring = Options(*(x.new_empty(self.capacity, *x.shape[1:]) for x in new.tensors()))
        first = max(len(new) - self.capacity, 0)
        place = (self._added + torch.arange(first, len(new), device=new.actions.device)) % self.capacity
        for ring, x in zip(self._ring.tensors(), new.tensors(), strict=True):
            ring[place] = x[first:]
        self._added += len(new)

    def sample(self, size: int) -> Options:
        """Return `size` of them, drawn with replacement; raises `InputError` while there are none."""
        if self._ring is None:
            raise InputError("Expected sequences to learn from, but none was taken yet; take some first.")
        return self._ring[torch.randint(len(self), (size,), device=self._ring.actions.device)]


def read(pieces: Sequences, actions: int) -> Options:
    """Return the pieces of episodes, of n steps each, whose end is known: those that truncation did not cut.

    Terminal states absorb, so after an end it does not matter what is done: uniform actions are.

    Args:
        pieces: B pieces of n steps.
        actions: A, how many there are.
    """
    known = pieces.valid.all(1) | (pieces.valid & pieces.steps.terminated).any(1)
    steps, valid = pieces.steps, pieces.valid[known]
    blind = torch.randint(actions, valid.shape, device=valid.device)
    log_behaviour = torch.where(valid, steps.log_behaviour[known], -math.log(actions)).sum(1)
    taken = torch.where(valid, steps.action[known], blind)
    return Options(steps.state[known, 0], taken, steps.next_state[known, -1], log_behaviour)


class Blindly:
    """A behaviour that draws a sequence in the state where it begins, and takes it without looking.

    Args:
        source: ω: its distributions are `ActionSequences`.
        uniform_share: the share of sequences that are uniform instead.
    """

    def __init__(self, source: Policy, uniform_share: float) -> None:
        self.source, self.uniform_share = source, uniform_share
        self._left: list[tuple[Tensor, Tensor]] = []

    @torch.no_grad()
    def __call__(self, state: Tensor) -> tuple[Tensor, Tensor]:
        """Return the next action of each sequence, and its log-probability given those before it, `[N]` each."""
        if not self._left:
            actions, log_mu = self._begin(state)
            self._left = list(zip(actions.unbind(-1), log_mu.unbind(-1), strict=True))
        return self._left.pop(0)

    def _begin(self, state: Tensor) -> tuple[Tensor, Tensor]:
        omega = self.source(state)
        assert isinstance(omega, ActionSequences)
        drawn, count = omega.sample(), omega.network.count
        blind = torch.rand(len(drawn), 1, device=drawn.device) < self.uniform_share
        actions = torch.where(blind, torch.randint(count, drawn.shape, device=drawn.device), drawn)
        places = torch.arange(1, drawn.shape[1] + 1, device=drawn.device)
        own = omega.log_probs(actions).cumsum(-1) + _log(1 - self.uniform_share)
        mixed = torch.logaddexp(own, _log(self.uniform_share) - places * math.log(count))  # of the first i actions
        return actions, mixed.diff(dim=-1, prepend=torch.zeros_like(mixed[:, :1]))


def _log(share: float) -> float:
    return math.log(share) if share > 0 else -math.inf


def take(collector: Collector, source: Policy, length: int, uniform_share: float) -> tuple[Options, int]:
    """Take a few sequences of `length` actions in each environment, one after the other.

    Every step begins a sequence, whichever one it is in the middle of: that its actions were drawn with others before
    them is in their probabilities.

    Returns:
        Those whose end is known, and how many environment steps it took.
    """
    collected = collector.collect(Blindly(source, uniform_share), IN_A_ROW * length * collector.environments.count)
    replay = Replay(len(collected.rows))
    replay.add(collected.rows, *collected.links())
    count = finite(collector.actions.space, "action")
    return read(replay.sequences(None, length), count), len(collected.rows)
