"""Goals that are drawn from a generative model of the states ahead, and compared in its latent space."""

from __future__ import annotations

import math
from typing import Any

import torch
from gymnasium.spaces import Box
from torch import Tensor, nn

from gio_pyro.data.replay_buffer import Replay
from gio_pyro.errors import InputError
from gio_pyro.explorers.hindsight import Read
from gio_pyro.explorers.vector_goals import VectorGoals, one_ahead
from gio_pyro.nn import mlp
from gio_pyro.nn.gradient_step import Descent, Figures, adam
from gio_pyro.signals import Fitted

IMAGINED = 32
"""Goals that are imagined from a state."""
LOG_SCALE = (-7.0, 2.0)
"""Bounds of the log scale of z."""
PIECES = 64
"""Pieces of episodes in a gradient step."""


class LatentGoals(VectorGoals):
    """Goals imagined by a conditional variational autoencoder: what may lie ahead of the present state, its context.

    z ~ N(0, 1), s' ~ N(decoder(z, c), scale²) in standard deviations, fitted to states s' at most `horizon` steps after
    c by the evidence lower bound. What is constant along episodes is read off the context, so that imagined goals share
    it and can be reached (CC-RIG: Nair et al., 2020, arXiv 1910.11670, with the present state as context instead of the
    first). A goal is reached where the encoder's means of both differ by at most `near`, as a root mean square.

    Args:
        fitted: spaces and replay of the agent; states are vectors.
        horizon: most steps from a context to a state ahead of it.
        near: distance of latent means at which a goal counts as reached.
        codes: numbers of z.
        learning_rate: Adam's step size.

    Raises:
        InputError: a space that is no vector.
    """

    def __init__(self, fitted: Fitted, horizon: int, near: float, *, codes: int, learning_rate: float) -> None:
        space, hidden = fitted.spec.state_space, fitted.spec.hidden
        if not isinstance(space, Box) or len(space.shape) != 1:
            raise InputError(f"Expected states that are vectors for latent goals, but got {space}; take other goals.")
        super().__init__(space, horizon, near)
        size = space.shape[0]
        self.codes = codes
        self.encoder = mlp(2 * size, hidden, 2 * codes)
        self.decoder = mlp(codes + size, hidden, size)
        self.raw = nn.Parameter(torch.zeros(size))
        learned = [*self.encoder.parameters(), *self.decoder.parameters(), self.raw]
        self.optimisers = {"latent": adam(learned, learning_rate)}
        self.descent = Descent("latent", self._loss, self.optimisers["latent"])

    @property
    def noise(self) -> Tensor:
        """Scale of s around the decoder's mean, in standard deviations, `[n]`."""
        return self.raw.clamp(*LOG_SCALE).exp()

    def posterior(self, state: Tensor, context: Tensor) -> tuple[Tensor, Tensor]:
        """Return mean and scale of q(z|s, c) for states and contexts `[B, n]`, `[B, codes]` each."""
        mean, raw = self.encoder(torch.cat([self.scale(state), self.scale(context)], 1)).chunk(2, 1)
        return mean, raw.clamp(*LOG_SCALE).exp()

    def decoded(self, z: Tensor, context: Tensor) -> Tensor:
        """Return the mean of s given z `[B, codes]` and c `[B, n]`, in standard deviations, `[B, n]`."""
        mean: Tensor = self.decoder(torch.cat([z, self.scale(context)], 1))
        return mean

    def bound(self, state: Tensor, context: Tensor) -> Tensor:
        """Return a draw of the lower bound on log p(s|c) of standardised states, `[B]` nats."""
        mean, scale = self.posterior(state, context)
        z = mean + scale * torch.randn_like(mean)
        error = self.scale(state) - self.decoded(z, context)
        noise = self.noise
        fit = -0.5 * ((error / noise).square() + math.log(2 * math.pi)).sum(1) - noise.log().sum()
        divergence = 0.5 * (scale.square() + mean.square() - 1).sum(1) - scale.log().sum(1)
        found: Tensor = fit - divergence
        return found

    @torch.no_grad()
    def reached(self, state: Tensor, goal: Tensor) -> Tensor:
        """Return whether each state `[B, n]` is near its goal `[B, n]`, both encoded with the state as context."""
        here, there = self.posterior(state, state)[0], self.posterior(goal, state)[0]
        distance: Tensor = (here - there).square().mean(1).sqrt()
        return torch.le(distance, self.near)

    @torch.no_grad()
    def imagined(self, context: Tensor) -> Tensor:
        """Return a state that may lie ahead of each of `[B, n]`, `[B, n]`."""
        z = torch.randn(len(context), self.codes, device=context.device)
        found: Tensor = self.decoded(z, context) * self.scale.deviation + self.scale.mean
        return found

    def survey(self, replay: Replay, signal: Read) -> Any:
        """Nothing has to be drawn: goals are imagined."""
        return None

    def candidates(self, drawn: Any, state: Tensor) -> tuple[Tensor, Tensor]:
        """Return imagined goals that are not reached yet, each worth the same, `[K, n]` and `[K]`."""
        here = state.expand(IMAGINED, -1)
        goals = self.imagined(here)
        goals = goals[~self.reached(here, goals)]
        return goals, torch.ones(len(goals), device=goals.device)

    def learn(self, replay: Replay) -> None:
        """Take a gradient step on states and what lay ahead of them in replay."""
        drawn = replay.sequences(PIECES, self.horizon)
        self.descent.step(None, drawn.steps.state[:, 0], one_ahead(drawn))

    def _loss(self, context: None, before: Tensor, after: Tensor) -> tuple[Tensor, Figures]:
        loss = -self.bound(after, before).mean()
        return loss, {"latent_nats": -loss}
