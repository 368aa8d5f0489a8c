"""q(z|s): which of K skills led to a state, from the latest states that skills led to."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import torch
from gymnasium.spaces import Box
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from gio_pyro.nn import encoder, mlp
from gio_pyro.nn.gradient_step import Descent, Figures, adam

BATCH = 256
"""States of a gradient step where the settings name no batch size."""
PRIOR = 1.0
"""Pseudo-count of a state that no skill has led to, spread over the skills."""


class Discriminator(nn.Module):
    """Remembers which skills led to the latest states.

    Args:
        shape: of a state.
        dtype: of a state.
        count: K, the number of skills.
        memory: states that are remembered; the oldest are replaced.
    """

    states: Tensor
    skills: Tensor
    stored: Tensor

    def __init__(self, shape: Sequence[int], dtype: torch.dtype, count: int, memory: int) -> None:
        super().__init__()
        self.count, self.memory = count, memory
        self.optimisers: dict[str, torch.optim.Optimizer] = {}
        self.register_buffer("states", torch.zeros(memory, *shape, dtype=dtype))
        self.register_buffer("skills", torch.zeros(memory, dtype=torch.int64))
        self.register_buffer("stored", torch.zeros((), dtype=torch.int64))

    def remember(self, state: Tensor, skill: Tensor) -> None:
        """Store states `[n, ...]` and the skills `[n]` that led to them."""
        place = (self.stored + torch.arange(len(state), device=self.stored.device)) % self.memory
        self.states[place] = state.reshape(len(state), *self.states.shape[1:]).to(self.states)
        self.skills[place] = skill.to(self.skills)
        self.stored += len(state)

    def known(self) -> tuple[Tensor, Tensor]:
        """Return the states and skills that are remembered, `[M, ...]` and `[M]`."""
        count = min(int(self.stored), self.memory)
        return self.states[:count], self.skills[:count]

    def log_q(self, state: Tensor) -> Tensor:
        """Return log q(z|s) of each skill for states `[B, ...]`, `[B, K]` nats."""
        raise NotImplementedError

    def observe(self, state: Tensor) -> None:
        """Take new states `[B, ...]` into input statistics."""

    def learn(self, size: int | None) -> Figures:
        """Learn from a batch of what is remembered; return the losses."""
        return {}

    @torch.no_grad()
    def information(self) -> Tensor:
        """Return the mean of log q(z|s) + log K over the latest states: a lower bound on I(Z; S) there, nats."""
        count = min(int(self.stored), self.memory, BATCH)
        if not count:
            return torch.zeros((), device=self.stored.device)
        latest = (self.stored - 1 - torch.arange(count, device=self.stored.device)) % self.memory
        state, skill = self.states[latest], self.skills[latest]
        return self.log_q(state).gather(-1, skill[:, None]).mean() + math.log(self.count)


class TableDiscriminator(Discriminator):
    """Counts how often each skill led to each state.

    Args:
        states: S.
        count: K.
        memory: states that are remembered.
    """

    def __init__(self, states: int, count: int, memory: int) -> None:
        super().__init__((), torch.int64, count, memory)
        self.number = states

    def log_q(self, state: Tensor) -> Tensor:
        """Return log q(z|s) = log (n(s, z) + 1/K) − log (n(s) + 1), `[B, K]` nats."""
        known, skill = self.known()
        counts = torch.full((self.number, self.count), PRIOR / self.count, device=known.device)
        counts.index_put_((known, skill), torch.ones(len(skill), device=known.device), accumulate=True)
        return (counts / counts.sum(-1, keepdim=True)).log()[state]


class NetworkDiscriminator(Discriminator):
    """A network that classifies states.

    Args:
        space: of states.
        count: K.
        memory: states that are remembered.
        hidden: units of its layers.
        learning_rate: Adam's step size.
    """

    def __init__(self, space: Box, count: int, memory: int, *, hidden: Sequence[int], learning_rate: float) -> None:
        kind = torch.from_numpy(np.zeros(1, space.dtype)).dtype
        super().__init__(space.shape, kind, count, memory)
        self.encoder = encoder(space)
        self.net = mlp(self.encoder.size, hidden, count)
        parameters = [*self.encoder.parameters(), *self.net.parameters()]
        self.optimisers = {"skills": adam(parameters, learning_rate)}
        self.descent = Descent("skills", self._loss, self.optimisers["skills"])

    def log_q(self, state: Tensor) -> Tensor:
        """Return log q(z|s), `[B, K]` nats."""
        found: Tensor = self.net(self.encoder(state)).log_softmax(-1)
        return found

    def observe(self, state: Tensor) -> None:
        """Take new states `[B, ...]` into the input statistics."""
        self.encoder.observe(state)

    def learn(self, size: int | None) -> Figures:
        """Take a gradient step on states drawn from those remembered."""
        state, skill = self.known()
        if not len(skill):
            return {}
        row = torch.randint(len(skill), (size or BATCH,), device=skill.device)
        return self.descent.step(None, state[row], skill[row])

    def _loss(self, context: None, state: Tensor, skill: Tensor) -> tuple[Tensor, Figures]:
        loss = cross_entropy(self.net(self.encoder(state)), skill)
        return loss, {"skills_loss": loss}
