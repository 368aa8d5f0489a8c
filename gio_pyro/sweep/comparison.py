"""What the results of several methods in one environment, or in several on one scale, say about them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np

from gio_pyro.errors import InputError, unknown
from gio_pyro.sweep.results import Array, Result
from gio_pyro.sweep.statistics import Strata, improvement, interval, pooled_mean, profile, resampled_means

THRESHOLDS, POINTS = 101, 40
"""Points of a performance profile, and of a curve."""
ALL_PAIRS = 8
"""Methods up to which all pairs are compared; beyond, each with the reference."""
EVERY = "all environments, scaled"


@dataclass(frozen=True)
class Band:
    """A line with its interval at each point, `[K]` each."""

    x: Array
    y: Array
    low: Array
    high: Array


@dataclass(frozen=True)
class Method:
    """The runs of one method."""

    name: str
    scores: tuple[Array, ...]
    """Scores of the runs that have one, by environment, `[N]` each."""
    seeds: tuple[tuple[int, ...], ...]
    """Seeds of these runs."""
    missing: int
    """Runs that are not complete or have no return."""
    iqm: float
    low: float
    high: float
    """Interquartile mean with its interval."""
    curve: Band | None = None
    """Interquartile mean of the returns while training, against environment steps."""
    profile: Band | None = None
    """Share of runs with a score above a threshold."""

    @property
    def all(self) -> Array:
        """All scores together."""
        return np.concatenate(self.scores)


@dataclass(frozen=True)
class Pair:
    """Probability that a run of one method has a higher score than one of another."""

    first: str
    second: str
    probability: float
    low: float
    high: float


@dataclass(frozen=True)
class Comparison:
    """Methods in an environment, the highest interquartile mean first."""

    environment: str
    methods: Sequence[Method]
    reference: str
    """The method that the others are compared with."""
    pairs: Sequence[Pair] = field(default=())

    def pair(self, first: str) -> Pair | None:
        """Return the comparison of a method with the reference."""
        return next((pair for pair in self.pairs if (pair.first, pair.second) == (first, self.reference)), None)


def compare(
    results: Sequence[Result], against: str | None = None, scale: Mapping[str, tuple[float, float]] | None = None
) -> list[Comparison]:
    """Return a comparison for each environment, and one of all together where every one has a scale.

    Args:
        results: the runs.
        against: the method that others are compared with; the one with the highest interquartile mean by default.
        scale: for each environment, the returns that count as 0 and as 1.

    Raises:
        InputError: a method or an environment that there is not, or a scale without extent.
    """
    environments = list(dict.fromkeys(result.environment for result in results))
    methods = list(dict.fromkeys(result.method for result in results))
    if against is not None and against not in methods:
        raise InputError(unknown("a method after --against", against, methods))
    found = [
        _comparison(name, [[result for result in results if result.environment == name]], against)
        for name in environments
    ]
    if scale:
        found.append(_comparison(EVERY, _scaled(results, environments, scale), against))
    return found


def _scaled(
    results: Sequence[Result], environments: Sequence[str], scale: Mapping[str, tuple[float, float]]
) -> list[list[Result]]:
    """Return the results of each environment with 0 and 1 where its scale says."""
    for name in environments:
        if name not in scale:
            raise InputError(
                f"Expected a scale for each environment, but {name} has none; give --scale {name}=LOW:HIGH."
            )
    if other := [name for name in scale if name not in environments]:
        raise InputError(unknown("an environment of the runs after --scale", other[0], environments))
    found = []
    for name in environments:
        low, high = scale[name]
        own = [result for result in results if result.environment == name]
        found.append([replace(result, score=(result.score - low) / (high - low), curve=None) for result in own])
    return found


def _comparison(environment: str, strata: Sequence[Sequence[Result]], against: str | None) -> Comparison:
    names = list(dict.fromkeys(result.method for results in strata for result in results))
    methods = [_method(name, [[r for r in results if r.method == name] for results in strata]) for name in names]
    methods.sort(key=lambda method: (np.isnan(method.iqm), -method.iqm, method.name))
    complete = [method for method in methods if all(map(len, method.scores))]
    reference = against if against in names else (complete[0].name if complete else methods[0].name)
    return Comparison(environment, _profiled(methods), reference, _pairs(complete, reference))


def _method(name: str, strata: Sequence[Sequence[Result]]) -> Method:
    known = [[result for result in results if np.isfinite(result.score)] for results in strata]
    scores = tuple(np.array([result.score for result in results]) for results in known)
    seeds = tuple(tuple(result.seed for result in results) for results in known)
    missing = sum(map(len, strata)) - sum(map(len, known))
    if not all(map(len, scores)):
        return Method(name, scores, seeds, missing, np.nan, np.nan, np.nan, _curve(strata))
    low, high = interval(pooled_mean, scores)
    return Method(name, scores, seeds, missing, float(pooled_mean(scores)), float(low), float(high), _curve(strata))


def _curve(strata: Sequence[Sequence[Result]]) -> Band | None:
    """Return the interquartile mean of the curves of one environment, over steps at which all runs have one."""
    curves = [result.curve for results in strata for result in results if result.curve is not None]
    if len(strata) != 1 or not curves:
        return None
    first, last = max(steps[0] for steps, _ in curves), min(steps[-1] for steps, _ in curves)
    if not first < last:
        return None
    grid = np.linspace(first, last, POINTS)
    table = np.stack([np.interp(grid, steps, returns) for steps, returns in curves], 1)  # [K, N]

    def means(drawn: Sequence[Array]) -> Array:
        """Return the means `[draws, K]` over drawn runs, each of them a whole curve."""
        return resampled_means(table, drawn[0].astype(int))

    low, high = interval(means, [np.arange(len(curves), dtype=float)], points=POINTS)
    return Band(grid, np.asarray(pooled_mean([table])), low, high)


def _profiled(methods: Sequence[Method]) -> list[Method]:
    """Return the methods with their performance profiles, over one range of thresholds."""
    every = [score for method in methods for score in method.all]
    if not every or min(every) == max(every):
        return list(methods)
    margin = 0.02 * (max(every) - min(every))
    thresholds = np.linspace(min(every) - margin, max(every) + margin, THRESHOLDS)

    def of(method: Method) -> Band | None:
        if not all(map(len, method.scores)):
            return None

        def shares(drawn: Strata) -> Array:
            return profile(drawn, thresholds)

        bounds = interval(shares, method.scores, points=THRESHOLDS)
        return Band(thresholds, profile(method.scores, thresholds), *bounds)

    return [replace(method, profile=of(method)) for method in methods]


def _pairs(methods: Sequence[Method], reference: str) -> list[Pair]:
    few = len(methods) <= ALL_PAIRS
    return [
        _pair(first, second)
        for first in methods
        for second in methods
        if first is not second and (few or second.name == reference)
    ]


def _pair(first: Method, second: Method) -> Pair:
    size = max(max(map(len, first.scores)), max(map(len, second.scores)))
    low, high = interval(improvement, first.scores, second.scores, size=size)
    return Pair(first.name, second.name, float(improvement(first.scores, second.scores)), float(low), float(high))
