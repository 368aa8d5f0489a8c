"""What has been visited in an episode: exactly for finite states, by a comparator that learns for others."""

from typing import Any

import torch
from gymnasium import Space
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits

from gio_pyro.networks import encoder, mlp
from gio_pyro.programs import example

FAR = 5
"""Pairs of states count as far from this many times the near distance on, up to `FARTHEST` times it."""
FARTHEST = 20
PERCENTILE = 0.9
"""Of the similarities to all that is remembered, robust to single errors where the largest would not be."""
PAIRS = 256
"""Pairs that a step learns from."""


class ExactMemory(nn.Module):
    """The finite states of this episode."""

    visited: Tensor

    def __init__(self, states: int) -> None:
        super().__init__()
        self.register_buffer("visited", torch.zeros(states, dtype=torch.bool))

    def add(self, state: Tensor) -> None:
        """Remember states, `[B]`."""
        self.visited[state] = True

    def forget(self) -> None:
        """Begin an episode."""
        self.visited.zero_()

    def forward(self, state: Tensor) -> Tensor:
        """Return 1 for what is remembered and 0 for what is not, `[B]`."""
        return self.visited[state].to(torch.get_default_dtype())


class LearnedMemory(nn.Module):
    """The latest states of this episode, and a network that says which states are within reach of each other.

    Args:
        space: of states.
        hidden: layers of the network.
        capacity: how many states of the episode are remembered; the oldest go first.
        history: how many states, of this episode and those before, the network learns from.
        near: states at most so many steps apart are within reach.
    """

    states: Tensor
    episode: Tensor
    current: Tensor

    def __init__(self, space: Space[Any], hidden: tuple[int, ...], *, capacity: int, history: int, near: int) -> None:
        super().__init__()
        self.capacity, self.near = capacity, near
        self.encoder = encoder(space)
        self.embed = mlp(self.encoder.size, hidden, 32)
        self.compare = mlp(32, hidden, 1)
        one = example(space, torch.device("cpu"))
        self.register_buffer("states", one.new_zeros(history, *one.shape[1:]))
        self.register_buffer("episode", torch.full((history,), -1))
        self.register_buffer("current", torch.zeros((), dtype=torch.long))

    def add(self, state: Tensor) -> None:
        """Remember states in order of time, `[B, ...]`."""
        self.encoder.observe(state)
        history, which = len(self.states), self.current.expand(len(state))
        self.states.copy_(torch.cat([self.states, state])[-history:])
        self.episode.copy_(torch.cat([self.episode, which])[-history:])

    def forget(self) -> None:
        """Begin an episode."""
        self.current += 1

    def remembered(self) -> Tensor:
        """Return the states of this episode that are remembered, `[M, ...]`."""
        mine = self.episode[-self.capacity :] == self.current
        return self.states[-self.capacity :][mine]

    def forward(self, state: Tensor) -> Tensor:
        """Return how surely each state `[B, ...]` is within reach of what is remembered, `[B]`; 0 with no memory."""
        memory = self.remembered()
        if not len(memory):
            return torch.zeros(len(state), device=state.device)
        here, there = self._features(state), self._features(memory)
        return self._logit(here.unsqueeze(1), there).sigmoid().quantile(PERCENTILE, 1)

    def loss(self) -> Tensor:
        """Return the cross-entropy of near and far on pairs drawn from the history, nats; 0 where it has none."""
        first, second, close, known = self._pairs()
        found = self._logit(self._features(self.states[first]), self._features(self.states[second]))
        each = binary_cross_entropy_with_logits(found, close.to(found), reduction="none")
        return (each * known).sum() / known.sum().clamp_min(1)

    def _features(self, state: Tensor) -> Tensor:
        features: Tensor = self.embed(self.encoder(state))
        return features

    def _logit(self, one: Tensor, other: Tensor) -> Tensor:
        """Return the logit that two states are near, a function of how their features differ."""
        logit: Tensor = self.compare((one - other).abs()).squeeze(-1)
        return logit

    def _pairs(self) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Return pairs of places in the history, whether they are near, and whether they are of one episode."""
        device, last = self.states.device, len(self.states) - 1
        first = torch.randint(last + 1, (PAIRS,), device=device)
        close = torch.arange(PAIRS, device=device) % 2 == 0
        short = torch.randint(self.near + 1, (PAIRS,), device=device)
        long = torch.randint(FAR * self.near + 1, FARTHEST * self.near + 1, (PAIRS,), device=device)
        second = first + torch.where(close, short, long)
        known, second = second <= last, second.clamp_max(last)
        known &= (self.episode[first] >= 0) & (self.episode[first] == self.episode[second])
        return first, second, close, known
