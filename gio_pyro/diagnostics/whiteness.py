"""Whether one-step prediction errors of a filter are white: without serial correlation.

With u_t the quantile of the observation at t under its one-step prediction, the innovation e_t = Φ⁻¹(u_t) of a correct
world model and filter is standard normal and independent of those before (Rosenblatt, 1952). The statistic of Ljung and
Box (1978) over the lags 1 to h is

    Q = n (n + 2) Σ_k r_k² / (n − k)    ~ χ² with h degrees of freedom,

with r_k the correlation of e_t and e_{t+k} within episodes. With enough data Q rejects any model, so that the verdict
is on the size of r, and Q is reported beside it.
"""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

LAGS = 5
"""h, lags."""
LEVEL = 0.001
"""Of the test of Ljung and Box, divided by the number of dimensions."""
LEAST = 1e-6
"""Least distance of a quantile from 0 and 1."""


@dataclass(frozen=True)
class Whiteness:
    """Serial correlations of D dimensions."""

    correlations: np.ndarray
    """r_k, `[LAGS, D]`."""
    count: int
    """n."""

    @property
    def excess(self) -> np.ndarray:
        """Root mean square of r over the lags beyond what chance explains, `[D]`."""
        found: np.ndarray = np.sqrt(((self.correlations**2).mean(0) - 1 / self.count).clip(0.0))
        return found

    @property
    def statistic(self) -> np.ndarray:
        """Q of each dimension, `[D]`."""
        lag = np.arange(1, LAGS + 1)[:, None]
        found: np.ndarray = self.count * (self.count + 2) * (self.correlations**2 / (self.count - lag)).sum(0)
        return found

    @property
    def p_value(self) -> np.ndarray:
        """Of the test of Ljung and Box, `[D]`."""
        from scipy.stats import chi2

        return np.asarray(chi2.sf(self.statistic, LAGS))

    def __str__(self) -> str:
        """Return the result of the test in a sentence."""
        p, least = float(self.p_value.min()), LEVEL / self.correlations.shape[1]
        verb = "rejects" if p < least else "does not reject"
        return (
            f"The test of Ljung and Box over {LAGS} lags {verb} at level {least:.2g} that innovations are uncorrelated:"
            f" Q = {float(self.statistic.max()):.1f}, p = {p:.2g}, n = {self.count:,}."
        )


def whiteness(quantiles: Tensor, counted: Tensor) -> Whiteness:
    """Return the serial correlations of innovations within episodes.

    Args:
        quantiles: of observations under their one-step predictions, `[B, T + 1, D]`.
        counted: which instants there are, `[B, T + 1]` booleans.
    """
    mask = counted.unsqueeze(-1).double()
    innovation = torch.special.ndtri(quantiles.double().clamp(LEAST, 1 - LEAST))
    centred = (innovation - (innovation * mask).sum((0, 1)) / mask.sum((0, 1))) * mask
    variance = centred.square().sum((0, 1)) / mask.sum((0, 1))
    found = []
    for lag in range(1, LAGS + 1):
        pairs = (centred[:, lag:] * centred[:, :-lag]).sum((0, 1))
        found.append(pairs / mask[:, lag:].sum((0, 1)).clamp_min(1.0) / variance.clamp_min(LEAST))
    return Whiteness(torch.stack(found).cpu().numpy(), int(counted.sum()))
