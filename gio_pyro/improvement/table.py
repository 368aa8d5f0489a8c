"""Policy improvement: the KL projection of theory, equation 6."""

import math

import pyro.distributions as dist
import torch
from torch import Tensor, nn

LOG_FLOOR = -10.0
"""Nats: no action's log-probability falls lower (about one in 20,000), so that none is lost for good.

An action with an advantage δ climbs back by about δ/α nats with each improvement, so a wrong early verdict costs some
α · 10/δ improvements; a lower floor would make it last longer, a higher one would cost return."""


class TablePolicy(nn.Module):
    """π(a|s) as a table of log-probabilities, uniform at first. For discrete actions the projection is exact."""

    log_pi: Tensor

    def __init__(self, states: int, actions: int) -> None:
        super().__init__()
        self.register_buffer("log_pi", torch.full((states, actions), -math.log(actions)))

    def forward(self, state: Tensor) -> dist.Categorical:
        """Return π(·|s), a batch of B categorical distributions."""
        return dist.Categorical(logits=self.log_pi[state])

    @torch.no_grad()
    def improve(self, state: Tensor, q: Tensor, log_rho: Tensor, *, temperature: float | Tensor) -> None:
        """Set π(·|s) ∝ exp(Q(s, ·)/α + log ρ̄(s, ·)), floored, in each of the given distinct states.

        Args:
            state: `[B]`.
            q: `[B, A]` reward units.
            log_rho: `[B, A]` nats.
            temperature: α, reward units per nat.
        """
        log_pi = torch.log_softmax(q / temperature + log_rho, -1).clamp_min(LOG_FLOOR)
        self.log_pi[state] = torch.log_softmax(log_pi, -1)

    def likeliest(self, state: Tensor) -> Tensor:
        """Return the likeliest action in each state, `[B]`."""
        return self.log_pi[state].argmax(-1)
