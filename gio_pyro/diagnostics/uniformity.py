"""Measure how far ranks are from uniform as an effect size in nats, not by a p-value alone.

Enough samples reject any model; what matters is the size of the error. With u the quantile of an observation under the
prediction, KL(u ‖ uniform) is the log-score, nats per dimension, that recalibration would gain. Quantiles near 0 and 1
mean a prediction that is too narrow (overconfident), quantiles near ½ one that is too wide (underconfident).
"""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

BINS = 20
EVEN = 0.02
"""Nats from uniform below which ranks count as even."""


@dataclass(frozen=True)
class Uniformity:
    """N quantiles of each of D dimensions, and how far they are from uniform."""

    quantiles: np.ndarray
    """`[N, D]` in (0, 1)."""

    @property
    def nats(self) -> np.ndarray:
        """KL of each dimension's histogram from uniform, `[D]`, minus the bias of Miller and Madow."""
        shares = np.stack([np.histogram(u, BINS, range=(0, 1))[0] / len(u) for u in self.quantiles.T])
        logs = np.log(np.where(shares > 0, shares * BINS, 1.0))
        found: np.ndarray = (shares * logs).sum(-1) - (BINS - 1) / (2 * len(self.quantiles))
        return found.clip(0.0)

    @property
    def spread(self) -> np.ndarray:
        """Mean distance from ½ relative to uniform, `[D]`: above 1 overconfident, below 1 underconfident."""
        found: np.ndarray = 4 * np.abs(self.quantiles - 0.5).mean(0)
        return found

    @property
    def p_value(self) -> np.ndarray:
        """Of the Kolmogorov-Smirnov test, `[D]`; read it beside `nats`."""
        from scipy.stats import kstest

        return np.array([kstest(u, "uniform").pvalue for u in self.quantiles.T])

    @property
    def worst(self) -> int:
        """The dimension that is farthest from uniform."""
        return int(self.nats.argmax())

    @property
    def leaning(self) -> str:
        """The kind of error of the worst dimension: overconfident, underconfident, shifted or skewed, or even."""
        spread = float(self.spread[self.worst])
        if spread > 1.1:
            return "overconfident"
        if spread < 0.9:
            return "underconfident"
        return "shifted or skewed" if float(self.nats.max()) > EVEN else "even"


def quantiles(value: Tensor, draws: Tensor) -> np.ndarray:
    """Return the randomised quantile of each value among draws, `[N, D]`: uniform if value and draws share a law.

    Args:
        value: `[N, ...]`.
        draws: `[M, N, ...]`.
    """
    value, draws = value.reshape(len(value), -1).double(), draws.reshape(*draws.shape[:2], -1).double()
    below, equal = (draws < value).sum(0), (draws == value).sum(0)
    place = below + torch.rand_like(value) * (equal + 1)
    found: np.ndarray = (place / (len(draws) + 1)).cpu().numpy()
    return found
