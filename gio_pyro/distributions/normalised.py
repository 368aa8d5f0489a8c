"""Categorical distributions of many rows and few values: their log-probabilities, normalised once and fast."""

import pyro.distributions as dist
import torch
from torch import Tensor


def log_softmax(x: Tensor) -> Tensor:
    """Return `torch.log_softmax` over the last dimension of `[B, A]`, up to rounding.

    Of many rows of few values, torch reduces columns twenty times as fast as rows (on the CPU, one thread).
    """
    return torch.log_softmax(x.T, 0).T if x.ndim == 2 else torch.log_softmax(x, -1)


def normalised(log_p: Tensor) -> dist.Categorical:
    """Return the categorical distributions of log-probabilities `[..., A]`, which it does not normalise again."""
    found = dist.Categorical.__new__(dist.Categorical)
    found.logits = found._param = log_p
    found._num_events = log_p.shape[-1]
    torch.distributions.Distribution.__init__(found, log_p.shape[:-1], validate_args=False)
    return found
