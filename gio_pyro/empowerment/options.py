"""Options: open-loop action sequences with the states where they begin and end; their collection and replay."""

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

MAX_BYTES = 2**30
"""Maximum size of the replay."""
SEQUENCES_PER_COLLECTION = 4
"""Sequences per environment in one call of `collect_options`."""


@dataclass(frozen=True)
class Options:
    """A batch of B open-loop sequences of n actions."""

    state: Tensor
    """`[B, ...]`: the state where each begins."""
    actions: Tensor
    """`[B, n]` integers."""
    final: Tensor
    """`[B, ...]`: the state after the last action."""
    log_behaviour: Tensor
    """`[B]` nats: log-probability of the actions under the collecting behaviour."""

    def __len__(self) -> int:
        return len(self.state)

    def __getitem__(self, index: Tensor | slice) -> Options:
        return Options(*(tensor[index] for tensor in self.tensors()))

    def tensors(self) -> tuple[Tensor, ...]:
        """Return the fields in their order."""
        return tuple(getattr(self, field.name) for field in fields(self))


class OptionReplay:
    """A ring buffer of the latest sequences.

    Args:
        capacity: maximum number of sequences; reduced so that they take at most `MAX_BYTES`.
    """

    def __init__(self, capacity: int) -> None:
        self.capacity = capacity
        self._ring: Options | None = None
        self._added = 0

    def __len__(self) -> int:
        return min(self._added, self.capacity)

    def add(self, new: Options) -> None:
        """Add new sequences, which replace the oldest."""
        if self._ring is None:
            size = sum(x[:1].nbytes for x in new.tensors())
            self.capacity = max(min(self.capacity, MAX_BYTES // size), 1)
            self._ring = Options(*(x.new_empty(self.capacity, *x.shape[1:]) for x in new.tensors()))
        first = max(len(new) - self.capacity, 0)
        place = (self._added + torch.arange(first, len(new), device=new.actions.device)) % self.capacity
        for ring, x in zip(self._ring.tensors(), new.tensors(), strict=True):
            ring[place] = x[first:]
        self._added += len(new)

    def sample(self, size: int) -> Options:
        """Return `size` sequences drawn with replacement; raises `InputError` if the buffer is empty."""
        if self._ring is None:
            raise InputError("Expected sequences to learn from, but none was collected yet; collect some first.")
        return self._ring[torch.randint(len(self), (size,), device=self._ring.actions.device)]


def options_from_sequences(pieces: Sequences, actions: int) -> Options:
    """Return options from sequences of n steps, leaving out those that truncation cuts short.

    Terminal states are absorbing, so that sequences that terminate early are completed with uniform actions.

    Args:
        pieces: B sequences of n steps.
        actions: A, the number of actions.
    """
    known = pieces.valid.all(1) | (pieces.valid & pieces.steps.terminated).any(1)
    steps, valid = pieces.steps, pieces.valid[known]
    uniform = torch.randint(actions, valid.shape, device=valid.device)
    log_behaviour = torch.where(valid, steps.log_behaviour[known], -math.log(actions)).sum(1)
    taken = torch.where(valid, steps.action[known], uniform)
    return Options(steps.state[known, 0], taken, steps.next_state[known, -1], log_behaviour)


class OpenLoopBehaviour:
    """A behaviour policy that draws an action sequence at its first state and executes it open loop.

    Args:
        source: ω(·|s), whose distributions are `ActionSequences`.
        uniform_share: fraction of sequences drawn uniformly instead.
    """

    def __init__(self, source: Policy, uniform_share: float) -> None:
        self.source, self.uniform_share = source, uniform_share
        self._remaining: list[tuple[Tensor, Tensor]] = []

    @torch.no_grad()
    def __call__(self, state: Tensor) -> tuple[Tensor, Tensor]:
        """Return the next action of each sequence, and its log-probability given the previous ones, `[N]` each."""
        if not self._remaining:
            actions, log_mu = self._draw_sequences(state)
            self._remaining = list(zip(actions.unbind(-1), log_mu.unbind(-1), strict=True))
        return self._remaining.pop(0)

    def _draw_sequences(self, state: Tensor) -> tuple[Tensor, Tensor]:
        omega = self.source(state)
        assert isinstance(omega, ActionSequences)
        sampled, count = omega.sample(), omega.network.count
        uniform = torch.rand(len(sampled), 1, device=sampled.device) < self.uniform_share
        actions = torch.where(uniform, torch.randint(count, sampled.shape, device=sampled.device), sampled)
        places = torch.arange(1, sampled.shape[1] + 1, device=sampled.device)
        own = omega.log_probs(actions).cumsum(-1) + _log(1 - self.uniform_share)
        mixed = torch.logaddexp(own, _log(self.uniform_share) - places * math.log(count))  # of the first i actions
        return actions, mixed.diff(dim=-1, prepend=torch.zeros_like(mixed[:, :1]))


def _log(share: float) -> float:
    return math.log(share) if share > 0 else -math.inf


def collect_options(collector: Collector, source: Policy, length: int, uniform_share: float) -> tuple[Options, int]:
    """Collect sequences of `length` actions in each environment.

    Every step counts as the beginning of an option, also within a sequence that was drawn: `log_behaviour` contains the
    probabilities of the actions given the previous ones of their drawn sequence.

    Returns:
        The options that truncation does not cut short, and the number of environment steps.
    """
    collected = collector.collect(
        OpenLoopBehaviour(source, uniform_share), SEQUENCES_PER_COLLECTION * length * collector.environments.count
    )
    replay = Replay(len(collected.rows))
    replay.add(collected.rows, *collected.links())
    count = finite(collector.actions.space, "action")
    return options_from_sequences(replay.sequences(None, length), count), len(collected.rows)
