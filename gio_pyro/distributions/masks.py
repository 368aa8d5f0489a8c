"""Action masks: a boolean for each value of the site "action", True if a state allows it.

Masks are part of the policy: a forbidden action has the log-probability `ILLEGAL`, whose exponential is exactly 0 and
which, unlike −∞, can be multiplied by 0. `legal` recovers the mask from log-probabilities.
"""

import math

import torch
from torch import Tensor

from gio_pyro.distributions.normalised import log_softmax

ILLEGAL = -1e9
"""Log-probability of a forbidden action, nats."""


def legal(log_pi: Tensor) -> Tensor:
    """Return the mask of allowed actions, booleans of the shape of the log-probabilities `log_pi`."""
    return log_pi > ILLEGAL / 2


def restricted(logits: Tensor, allowed: Tensor | None) -> Tensor:
    """Return log-probabilities of the softmax over allowed actions, `ILLEGAL` for the others; `[B, A]` each."""
    if allowed is None:
        return logits
    return log_softmax(logits.masked_fill(~allowed, -math.inf)).masked_fill(~allowed, ILLEGAL)


def evenly(log_pi: Tensor) -> Tensor:
    """Return logits of the uniform distribution over allowed actions, `[B, A]`: 0, or `ILLEGAL`."""
    return torch.zeros_like(log_pi).masked_fill(~legal(log_pi), ILLEGAL)
