"""The tanh squash from the site "action" of continuous actions, real numbers u, to the action box."""

import math
from typing import Any

import pyro.distributions as dist
import torch
from torch import Tensor

NO_SHAPE = torch.Size()
MAX_DRAW = 10.0
"""Draws are clamped to this magnitude, where tanh is within 1e-8 of its bound."""


def tanh_log_det(u: Tensor) -> Tensor:
    """Return log d tanh(u)/du = log(1 − tanh² u), without cancellation."""
    return 2 * (math.log(2) - u - torch.nn.functional.softplus(-2 * u))


def uniform_in_box(like: Tensor) -> dist.Independent:
    """Return the distribution of u for which tanh(u) is uniform on (−1, 1), a batch shaped like `like` `[N, d]`.

    tanh(u) is uniform on (−1, 1) exactly if u is logistic with scale 1/2: its distribution function is then
    1 / (1 + exp(−2u)) = (1 + tanh u) / 2.
    """
    each = _Logistic(torch.zeros_like(like), torch.full_like(like, 0.5))  # type: ignore[no-untyped-call]
    uniform: dist.Independent = each.to_event(1)  # type: ignore[no-untyped-call]
    return uniform


class _Logistic(dist.Logistic):
    """A logistic distribution with finite draws: torch's uniform numbers can be 0, whose logit is infinite."""

    def rsample(self, sample_shape: Any = NO_SHAPE) -> Tensor:
        draw: Tensor = super().rsample(sample_shape)  # type: ignore[no-untyped-call]
        return draw.clamp(-MAX_DRAW, MAX_DRAW)
