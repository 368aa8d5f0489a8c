"""Whether numbers that should be uniform are: as an effect, in nats, and not as a p-value alone.

Enough samples reject any model. What matters is by how much: with u the quantile of what happened in what was said, the
divergence KL(u ‖ uniform) is the log-score, nats for each number, that would be won by recalibrating; and whether u
crowds at the ends (said too narrowly: overconfident) or in the middle (too widely: underconfident).
"""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

BINS = 20
EVEN = 0.02
"""Nats from uniform below which there is nothing to name."""


@dataclass(frozen=True)
class Uniformity:
    """How far N quantiles of each of D numbers are from uniform."""

    quantiles: np.ndarray
    """`[N, D]` in (0, 1)."""

    @property
    def nats(self) -> np.ndarray:
        """KL from uniform of each number's histogram, `[D]`, less what chance alone would give (Miller and Madow)."""
        shares = np.stack([np.histogram(u, BINS, range=(0, 1))[0] / len(u) for u in self.quantiles.T])
        logs = np.log(np.where(shares > 0, shares * BINS, 1.0))
        found: np.ndarray = (shares * logs).sum(-1) - (BINS - 1) / (2 * len(self.quantiles))
        return found.clip(0.0)

    @property
    def spread(self) -> np.ndarray:
        """Mean distance from ½ over that of a uniform number, `[D]`: above 1 overconfident, below 1 underconfident."""
        found: np.ndarray = 4 * np.abs(self.quantiles - 0.5).mean(0)
        return found

    @property
    def p_value(self) -> np.ndarray:
        """Kolmogorov and Smirnov's, `[D]`: to be read beside `nats`, never alone."""
        from scipy.stats import kstest

        return np.array([kstest(u, "uniform").pvalue for u in self.quantiles.T])

    @property
    def worst(self) -> int:
        """The number that is farthest from uniform."""
        return int(self.nats.argmax())

    @property
    def leaning(self) -> str:
        """What the worst number is: overconfident, underconfident, shifted, or even."""
        spread = float(self.spread[self.worst])
        if spread > 1.1:
            return "overconfident"
        if spread < 0.9:
            return "underconfident"
        return "shifted or skewed" if float(self.nats.max()) > EVEN else "even"


def quantiles(value: Tensor, draws: Tensor) -> np.ndarray:
    """Return the randomised quantile of each value among its draws, `[N, D]`: uniform if it is one of them.

    Args:
        value: `[N, ...]`.
        draws: `[M, N, ...]`.
    """
    value, draws = value.reshape(len(value), -1).double(), draws.reshape(*draws.shape[:2], -1).double()
    below, equal = (draws < value).sum(0), (draws == value).sum(0)
    place = below + torch.rand_like(value) * (equal + 1)
    found: np.ndarray = (place / (len(draws) + 1)).cpu().numpy()
    return found
