"""What is used of arviz, alike in 0.22 to 0.23 (Python 3.11) and in 1.x (Python 3.12 and later).

The older line holds groups in an `InferenceData`, the newer one in an `xarray.DataTree`; PSIS has moved, and its sign
has changed. No other module imports arviz.
"""

from __future__ import annotations

import io
import warnings
from collections.abc import Mapping
from functools import partial
from typing import Any

import numpy as np

GOOD_K = 0.7
"""Pareto k-hat above which a leave-one-out score is unreliable, for a thousand draws or more."""


def arviz() -> Any:
    """Import arviz without its daily announcement."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        import arviz
    return arviz


def has_data_tree() -> bool:
    """Return whether the installed arviz (1.x) works on `xarray.DataTree`."""
    return int(arviz().__version__.partition(".")[0]) >= 1


def grouped(groups: Mapping[str, Any], attributes: Mapping[str, str]) -> Any:
    """Return `xarray.Dataset`s by the name of their group as arviz takes them.

    Returns:
        An `arviz.InferenceData` with arviz 0.x, an `xarray.DataTree` with 1.x.
    """
    if not has_data_tree():
        return arviz().InferenceData(**groups, attrs=dict(attributes))
    from xarray import Dataset, DataTree

    return DataTree.from_dict({"/": Dataset(attrs=dict(attributes)), **groups})


def names_of_groups(data: Any) -> list[str]:
    """Return the names of the groups of an `InferenceData` or a `DataTree`."""
    return list(data.groups()) if callable(data.groups) else list(data.children)


def netcdf(data: Any) -> bytes:
    """Return an `InferenceData` or a `DataTree` as the bytes of the netCDF file that its `to_netcdf` writes.

    HDF5 can end the process on a full disk, so the file is made in memory.
    """
    import h5netcdf
    from xarray.backends import H5NetCDFStore

    content = io.BytesIO()
    with h5netcdf.File(content, "w") as root:
        root.attrs.update(data.attrs)
        for name in names_of_groups(data):
            group = data[name].to_dataset() if has_data_tree() else data[name].copy()
            for variable in group.variables.values():
                if variable.dtype.kind in "iufb":
                    variable.encoding["zlib"] = True
            group.dump_to_store(H5NetCDFStore(root.create_group(name)))
    return content.getvalue()


def pareto_k(log_ratio: np.ndarray) -> float:
    """Return PSIS k-hat of importance ratios, `[N]` in nats (Vehtari et al., 2024).

    Equal ratios give minus infinity: there is no tail to fit.
    """
    return _psis(log_ratio)[1]


def smoothed_weights(log_ratio: np.ndarray, *, smooth: bool = True) -> tuple[np.ndarray, np.ndarray]:
    """Return normalised log-weights `[S, N]` and k-hats `[N]` of importance ratios `[S, N]`, nats each.

    Without `smooth` the ratios are normalised as they are, and k-hat is minus infinity.
    """
    if not smooth:
        return _normalised(log_ratio), np.full(log_ratio.shape[1], -np.inf)
    columns = [_psis(column) for column in log_ratio.T]
    return np.stack([column for column, _ in columns], -1), np.array([k for _, k in columns])


def _psis(log_ratio: np.ndarray) -> tuple[np.ndarray, float]:
    """Return smoothed normalised log-weights `[S]` and k-hat of ratios `[S]`."""
    if np.ptp(log_ratio) < 1e-6:
        return np.full(len(log_ratio), -np.log(len(log_ratio))), -np.inf
    if not has_data_tree():
        weight, k = arviz().psislw(log_ratio)
        return np.asarray(weight), float(k)
    from arviz_stats.base import array_stats

    try:
        weight, k = array_stats.psislw(-log_ratio)  # it takes log-likelihoods, whose ratios are their inverses
    except ValueError:  # equal values in the tail; 0.x gives k-hat infinity
        weight, k = _normalised(log_ratio), np.inf
    return np.asarray(weight), float(k)


def _normalised(log_ratio: np.ndarray) -> np.ndarray:
    shifted = log_ratio - log_ratio.max(0)
    found: np.ndarray = shifted - np.log(np.exp(shifted).sum(0))
    return found


def effective_sizes(values: np.ndarray) -> np.ndarray:
    """Return the effective number of draws for the mean of each of N variables, `[C, D, N]` to `[N]`.

    It is at least 1; draws that are all equal count in full.
    """
    found: np.ndarray = _statistic("ess", values, method="mean")
    constant = np.ptp(values, axis=(0, 1)) < 1e-12
    return np.where(constant | np.isnan(found), float(np.prod(values.shape[:2])), found).clip(1.0)


def r_hats(values: np.ndarray) -> np.ndarray:
    """Return R-hat of each of N variables, `[C, D, N]` to `[N]`; 1 where all draws are equal, NaN for one chain."""
    found: np.ndarray = _statistic("rhat", values)
    return np.where(np.ptp(values, axis=(0, 1)) < 1e-12, 1.0, found)


def _statistic(name: str, values: np.ndarray, **how: str) -> Any:
    from xarray import Dataset

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # equal draws have no variance
        return getattr(arviz(), name)(Dataset({"x": (("chain", "draw", "n"), values)}), **how)["x"].values


def elpd_data(pointwise: np.ndarray, draws: int, k_hats: np.ndarray | None = None, parameters: float = 0.0) -> Any:
    """Return expected log predictive densities of N observations as the `ELPDData` of `arviz.compare`.

    Args:
        pointwise: of each observation, `[N]` nats.
        draws: the number of posterior draws that they come from.
        k_hats: of each observation, `[N]`; minus infinity by default.
        parameters: their effective number.
    """
    from xarray import DataArray

    tails = np.full(len(pointwise), -np.inf) if k_hats is None else k_hats
    each, k = (DataArray(x, dims=("transition",)) for x in (pointwise, tails))
    warn = bool((tails > GOOD_K).any())
    total, error = float(pointwise.sum()), float(np.sqrt(len(pointwise)) * pointwise.std())
    if has_data_tree():
        from arviz_stats import utils

        kind: Any = getattr(utils, "ELPDDataLOO", None) or partial(utils.ELPDData, kind="loo")
        shared = {"se": error, "n_samples": draws, "scale": "log", "warning": warn, "good_k": GOOD_K}
        return kind(elpd=total, p=parameters, n_data_points=len(each), elpd_i=each, pareto_k=k, **shared)
    numbers = {"elpd_loo": total, "se": error, "p_loo": parameters, "n_samples": draws, "n_data_points": len(pointwise)}
    rest = {"warning": warn, "loo_i": each, "pareto_k": k, "scale": "log", "good_k": GOOD_K}
    return arviz().stats.ELPDData({**numbers, **rest})
