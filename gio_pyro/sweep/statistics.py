"""Statistics of returns over seeds, as defined by Agarwal et al., 2021 (arXiv 2108.13264).

A score is one number for each run: the mean return of its episodes. Runs are the unit that is resampled, within each
environment (stratum) by itself. Intervals are percentiles of the resampled statistic.
"""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

Array = np.ndarray[Any, np.dtype[np.float64]]
Strata = Sequence[Array]
"""Scores of the runs of each environment, `[N]` each."""

DRAWS, DRAWS_OF_LINES = 5_000, 500
"""Resamplings for the interval of a number, and for those of a line at each of its points."""
LEVEL = 0.95
AT_ONCE = 20_000_000
"""Numbers in memory together."""


def interquartile_mean(scores: Array) -> Any:
    """Return the mean of the middle half of scores `[..., N]`, over the last dimension: a quarter is cut on each side.

    Where N is not a multiple of 4, the number cut on each side is rounded down.
    """
    count = scores.shape[-1]
    cut = count // 4
    return np.sort(scores, axis=-1)[..., cut : count - cut].mean(-1)


def resampled_means(curves: Array, drawn: np.ndarray[Any, np.dtype[np.int64]]) -> Array:
    """Return the interquartile means of resampled curves at each point, `[draws, K]`.

    The values of a point are sorted once, and each counts as often as its run was drawn, less what is cut.

    Args:
        curves: `[K, N]`.
        drawn: the runs of each draw `[draws, N]`.
    """
    count, order = curves.shape[1], np.argsort(curves, axis=1)
    times = np.stack([(drawn == run).sum(1, dtype=np.int32) for run in range(count)])  # [N, draws]
    cut = np.int32(count // 4)
    kept = np.clip(np.cumsum(times[order], axis=1, dtype=np.int32), cut, count - cut)  # [K, N, draws]
    weights = np.diff(kept, axis=1, prepend=cut)
    values = np.take_along_axis(curves, order, 1)
    return np.asarray(np.einsum("knd,kn->dk", weights, values) / (count - 2 * cut))


def improvement(first: Strata, second: Strata) -> Any:
    """Return the probability that a run of the first method has a higher score than one of the second.

    It is the mean over environments; a tie counts one half. Scores `[..., N]` and `[..., M]` give `[...]`.
    """
    pairs = [(x[..., :, None], y[..., None, :]) for x, y in zip(first, second, strict=True)]
    return np.mean([((x > y).mean((-2, -1)) + (x >= y).mean((-2, -1))) / 2 for x, y in pairs], axis=0)


def profile(strata: Strata, thresholds: Array) -> Array:
    """Return the share of runs with a score above each threshold `[K]`, a mean over environments.

    Scores `[..., N]` give `[..., K]`.
    """
    each = [(scores[..., :, None] > thresholds).mean(-2) for scores in strata]
    return np.asarray(np.mean(each, axis=0))


def pooled_mean(strata: Strata) -> Any:
    """Return the interquartile mean of all scores of all environments together; they must have one scale."""
    return interquartile_mean(strata[0] if len(strata) == 1 else np.concatenate([*strata], axis=-1))


def resampled(strata: Strata, draws: int, generator: np.random.Generator) -> list[Array]:
    """Return scores drawn with replacement within each environment, `[draws, N]` each."""
    return [scores[generator.integers(len(scores), size=(draws, len(scores)))] for scores in strata]


def interval(
    statistic: Callable[..., Any], *samples: Strata, size: int = 1, points: int = 1, seed: int = 0
) -> tuple[Any, Any]:
    """Return the bounds of the stratified bootstrap interval of a statistic of one sample or several.

    Args:
        statistic: takes strata with a leading dimension of draws, one argument for each sample.
        samples: scores by environment; each sample is resampled by itself.
        size: numbers that one score is compared with, for the memory that the statistic needs.
        points: numbers that the statistic returns for each draw.
        seed: of the resampling, so that a report is the same each time.

    Returns:
        Both bounds; NaN where no environment has more than one run of some sample.
    """
    generator = np.random.default_rng(seed)
    runs = sum(len(scores) for strata in samples for scores in strata)
    draws = DRAWS if points == 1 else DRAWS_OF_LINES
    step = int(np.clip(AT_ONCE // max(runs * size * points, 1), 1, draws))
    drawn = [
        statistic(*(resampled(strata, min(step, draws - start), generator) for strata in samples))
        for start in range(0, draws, step)
    ]
    low, high = np.quantile(np.concatenate(drawn), [(1 - LEVEL) / 2, (1 + LEVEL) / 2], axis=0)
    if any(max(map(len, strata)) < 2 for strata in samples):
        return np.full_like(low, np.nan), np.full_like(high, np.nan)
    return low, high
