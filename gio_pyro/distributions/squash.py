"""The squash between the site "action" of continuous actions, any real numbers u, and the action box: tanh u."""

import math
from typing import Any

import pyro.distributions as dist
import torch
from torch import Tensor

NO_SHAPE = torch.Size()
FARTHEST = 10.0
"""A draw beyond this is cut: its squash is within 1e-8 of the bound."""


def tanh_log_det(u: Tensor) -> Tensor:
    """Return log d tanh(u)/du = log(1 − tanh² u), without cancellation."""
    return 2 * (math.log(2) - u - torch.nn.functional.softplus(-2 * u))


def uniform_in_box(like: Tensor) -> dist.Independent:
    """Return the distribution before the squash of uniform actions, a batch shaped like `[N, d]`.

    tanh(u) is uniform on (−1, 1) exactly if u is logistic with scale 1/2: its distribution function is then
    1 / (1 + exp(−2u)) = (1 + tanh u) / 2.
    """
    each = _Logistic(torch.zeros_like(like), torch.full_like(like, 0.5))  # type: ignore[no-untyped-call]
    uniform: dist.Independent = each.to_event(1)  # type: ignore[no-untyped-call]
    return uniform


class _Logistic(dist.Logistic):
    """Draws stay finite: torch's uniform numbers can be 0, whose logit is not."""

    def rsample(self, sample_shape: Any = NO_SHAPE) -> Tensor:
        drawn: Tensor = super().rsample(sample_shape)  # type: ignore[no-untyped-call]
        return drawn.clamp(-FARTHEST, FARTHEST)
