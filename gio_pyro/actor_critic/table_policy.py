"""Policy improvement: the KL projection of theory, equation 6."""

import math

import pyro.distributions as dist
import torch
from torch import Tensor, nn

from gio_pyro.distributions.masks import restricted
from gio_pyro.distributions.normalised import normalised
from gio_pyro.types import Allowed

LOG_FLOOR = -10.0
"""Lower limit of log-probabilities, nats (about 1 in 20,000), so that every action can recover.

An action with an advantage δ gains about δ/α nats with each improvement, so recovery from the floor takes about
α · 10/δ improvements; a lower floor would slow down recovery, a higher one would reduce the return."""


class TablePolicy(nn.Module):
    """π(a|s) as a table of log-probabilities, uniform at first. For discrete actions the projection is exact.

    Args:
        states: S.
        actions: A.
        allowed: which actions states allow; None for all.
    """

    log_pi: Tensor
    """`[S, A]` nats; entries of actions that are not allowed are ignored."""

    def __init__(self, states: int, actions: int, allowed: Allowed | None = None) -> None:
        super().__init__()
        self.allowed = allowed
        self.register_buffer("log_pi", torch.full((states, actions), -math.log(actions)))

    def forward(self, state: Tensor) -> dist.Categorical:
        """Return π(·|s), a batch of B categorical distributions."""
        if len(state) <= len(self.log_pi):
            return dist.Categorical(logits=self._log_pi(state))
        every = torch.arange(len(self.log_pi), device=state.device)  # normalise each row of the table once
        return normalised(dist.Categorical(logits=self._log_pi(every)).logits[state])

    def _log_pi(self, state: Tensor) -> Tensor:
        return restricted(self.log_pi[state], self._allowed(state))

    def _allowed(self, state: Tensor) -> Tensor | None:
        return None if self.allowed is None else self.allowed(state)

    @torch.no_grad()
    def improve(self, state: Tensor, q: Tensor, log_rho: Tensor, *, temperature: float | Tensor) -> None:
        """Set π(·|s) ∝ exp(Q(s, ·)/α + log ρ̄(s, ·)), floored, in each of the given distinct states.

        Args:
            state: `[B]`.
            q: `[B, A]` reward units.
            log_rho: `[B, A]` nats.
            temperature: α, reward units per nat.
        """
        aim = restricted(q / temperature + log_rho, self._allowed(state))
        log_pi = torch.log_softmax(aim, -1).clamp_min(LOG_FLOOR)
        self.log_pi[state] = torch.log_softmax(log_pi, -1)

    def mode(self, state: Tensor) -> Tensor:
        """Return the most probable action in each state, `[B]`."""
        return self._log_pi(state).argmax(-1)
