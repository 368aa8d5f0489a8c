"""A comparison as text and as CSV files."""

import csv
import io
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from gio_pyro.sweep.comparison import Comparison, Method
from gio_pyro.sweep.results import Result

HEADER = ("method", "runs", "IQM", "95 % interval", "median", "mean", "lowest", "highest", "P(better)")


def text_tables(comparisons: Iterable[Comparison]) -> str:
    """Return a table for each environment."""
    return "\n\n".join(_text_table(comparison) for comparison in comparisons)


def _text_table(comparison: Comparison) -> str:
    rows = [HEADER, *(cells(method, comparison) for method in comparison.methods)]
    widths = [max(len(row[column]) for row in rows) for column in range(len(HEADER))]
    lines = [
        "  ".join(cell.ljust(width) if not column else cell.rjust(width) for column, (cell, width) in enumerate(pairs))
        for pairs in (zip(row, widths, strict=True) for row in rows)
    ]
    about = [reference_text(comparison)] if len(comparison.methods) > 1 else []
    return "\n".join([comparison.environment, *(line.rstrip() for line in lines), *about])


def reference_text(comparison: Comparison) -> str:
    """Return what the last column means."""
    return (
        f"P(better): probability that a run has a higher return than one of {comparison.reference}, with its interval"
    )


def cells(method: Method, comparison: Comparison) -> tuple[str, ...]:
    """Return the row of a method, a text for each column of `HEADER`."""
    runs = str(len(method.all)) + (f" + {method.missing} without return" if method.missing else "")
    if not len(method.all):
        return (method.name, runs, *["-"] * (len(HEADER) - 2))
    return (
        method.name,
        runs,
        number(method.iqm),
        interval_text(method.low, method.high),
        *(number(float(one(method.all))) for one in (np.median, np.mean, np.min, np.max)),
        better(method, comparison),
    )


def better(method: Method, comparison: Comparison) -> str:
    """Return the probability of improvement over the reference, as text."""
    pair = comparison.pair(method.name)
    if pair is None:
        return "reference" if method.name == comparison.reference else "-"
    return f"{pair.probability:.2f} {interval_text(pair.low, pair.high, '.2f')}".rstrip()


def number(value: float) -> str:
    """Return a return as text with four digits; "-" for NaN."""
    if value != value:
        return "-"
    return f"{value:.0f}" if abs(value) >= 1e3 else f"{value:.4g}"


def interval_text(low: float, high: float, form: str = "") -> str:
    """Return an interval as text; "-" where there is none."""
    if low != low or high != high:
        return "-"
    return f"[{low:{form}}, {high:{form}}]" if form else f"[{number(low)}, {number(high)}]"


def runs_csv(results: Sequence[Result]) -> str:
    """Return a row for each run."""
    rows = [(r.environment, r.method, r.seed, r.score, r.source) for r in results]
    return _csv(("environment", "method", "seed", "return", "source"), rows)


def methods_csv(comparisons: Iterable[Comparison]) -> str:
    """Return a row for each method in each environment."""
    header = (
        "environment",
        "method",
        "runs",
        "without_return",
        "iqm",
        "low",
        "high",
        "median",
        "mean",
        "lowest",
        "highest",
    )
    return _csv(header, ((c.environment, *_numbers(method)) for c in comparisons for method in c.methods))


def _numbers(method: Method) -> tuple[Any, ...]:
    scores = method.all
    four = [float(one(scores)) for one in (np.median, np.mean, np.min, np.max)] if len(scores) else [np.nan] * 4
    return method.name, len(scores), method.missing, method.iqm, method.low, method.high, *four


def pairs_csv(comparisons: Iterable[Comparison]) -> str:
    """Return a row for each pair of methods in each environment."""
    rows = [(c.environment, p.first, p.second, p.probability, p.low, p.high) for c in comparisons for p in c.pairs]
    return _csv(("environment", "method", "than", "probability_of_improvement", "low", "high"), rows)


def _csv(header: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(header)
    writer.writerows([f"{cell:.6g}" if isinstance(cell, float) else cell for cell in row] for row in rows)
    return text.getvalue()
