"""Statistics over seeds against SciPy, brute force, and enumerations of every resampling. Cost: a second."""

from itertools import product

import numpy as np
import pytest
from scipy.stats import mannwhitneyu, trim_mean

from gio_pyro.sweep import statistics
from gio_pyro.sweep.statistics import (
    improvement,
    interquartile_mean,
    interval,
    pooled_mean,
    profile,
    resampled_means,
)

RANDOM = np.random.default_rng(0)


@pytest.mark.parametrize("count", [1, 2, 3, 4, 5, 7, 8, 10, 33])
def test_the_interquartile_mean_is_scipys_trimmed_mean(count: int):
    scores = RANDOM.normal(size=(3, count))
    np.testing.assert_allclose(interquartile_mean(scores), trim_mean(scores, 0.25, axis=-1), rtol=1e-12)


@pytest.mark.parametrize("count", [1, 3, 4, 10])
def test_means_of_resampled_curves_are_those_of_the_drawn_runs(count: int):
    curves, drawn = RANDOM.normal(size=(6, count)).round(1), RANDOM.integers(count, size=(20, count))
    each = [interquartile_mean(curves[:, runs]) for runs in drawn]
    np.testing.assert_allclose(resampled_means(curves, drawn), each, atol=1e-12)


def test_the_probability_of_improvement_is_the_mann_whitney_statistic_averaged_over_environments():
    first = [RANDOM.integers(0, 5, 6).astype(float), RANDOM.normal(size=4)]
    second = [RANDOM.integers(0, 5, 3).astype(float), RANDOM.normal(size=9)]
    each = [mannwhitneyu(x, y).statistic / (len(x) * len(y)) for x, y in zip(first, second, strict=True)]
    assert improvement(first, second) == pytest.approx(np.mean(each), abs=1e-12)
    assert improvement(first, second) + improvement(second, first) == pytest.approx(1, abs=1e-12)


def test_a_profile_is_the_share_of_runs_above_each_threshold():
    strata = [np.array([0.0, 1, 2, 3]), np.array([1.0, 1])]
    np.testing.assert_allclose(profile(strata, np.array([-1.0, 0, 1, 3])), [1, (3 / 4 + 1) / 2, 1 / 4, 0])


def test_environments_of_unequal_size_are_pooled():
    strata = [np.array([0.0, 10]), np.array([1.0, 2, 3, 4, 5, 6])]
    assert pooled_mean(strata) == pytest.approx(np.mean([2, 3, 4, 5]))


def test_an_interval_is_that_of_every_resampling_within_environments():
    strata = [np.array([0.0, 1, 5]), np.array([2.0, 7])]
    every = [
        pooled_mean([strata[0][list(first)], strata[1][list(second)]])
        for first in product(range(3), repeat=3)
        for second in product(range(2), repeat=2)
    ]
    low, high = interval(pooled_mean, strata)
    exact = np.quantile(every, [0.025, 0.975], method="inverted_cdf")
    np.testing.assert_allclose([low, high], exact, atol=1e-9)  # both fall inside a step of the distribution


def test_an_interval_is_the_same_each_time_and_in_any_number_of_pieces(monkeypatch: pytest.MonkeyPatch):
    strata = [RANDOM.normal(size=10)]
    whole = interval(pooled_mean, strata)
    assert interval(pooled_mean, strata) == whole
    monkeypatch.setattr(statistics, "AT_ONCE", 100)
    np.testing.assert_allclose(interval(pooled_mean, strata), whole, atol=0.05)


def test_one_run_has_no_interval_and_runs_that_are_equal_one_without_width():
    assert np.isnan(interval(pooled_mean, [np.array([3.0])])).all()
    assert interval(pooled_mean, [np.array([3.0, 3.0])]) == (3, 3)
    assert np.isnan(interval(improvement, [np.array([3.0])], [np.array([1.0, 2.0])])).all()


def test_nine_intervals_in_ten_or_more_contain_the_mean_that_runs_are_drawn_around():
    """Of 95 % by name, with 20 runs: percentile intervals of a bootstrap are a little narrow."""
    inside = 0
    for number in range(300):
        low, high = interval(pooled_mean, [np.random.default_rng(number).normal(size=20)], seed=number)
        inside += low <= 0 <= high
    assert 0.88 <= inside / 300 <= 0.97
