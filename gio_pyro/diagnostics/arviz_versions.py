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
    if np.ptp(log_ratio) < 1e-6:
        return -np.inf
    if not has_data_tree():
        return float(arviz().psislw(log_ratio)[1])
    from arviz_stats.base import array_stats

    return float(array_stats.psislw(-log_ratio)[1])  # it takes log-likelihoods, whose ratios are their inverses


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


def elpd_data(pointwise: np.ndarray, draws: int) -> Any:
    """Return expected log predictive densities of N observations, `[N]` nats, as the `ELPDData` of `arviz.compare`.

    Args:
        pointwise: of each observation.
        draws: the number of posterior draws that they come from.
    """
    from xarray import DataArray

    each, k = (DataArray(x, dims=("transition",)) for x in (pointwise, np.full(len(pointwise), -np.inf)))
    total, error = float(pointwise.sum()), float(np.sqrt(len(pointwise)) * pointwise.std())
    if has_data_tree():
        from arviz_stats import utils

        kind: Any = getattr(utils, "ELPDDataLOO", None) or partial(utils.ELPDData, kind="loo")
        return kind(
            elpd=total, se=error, p=0.0, n_samples=draws, n_data_points=len(pointwise), scale="log", warning=False,
            good_k=0.7, elpd_i=each, pareto_k=k,
        )  # fmt: skip
    numbers = {"elpd_loo": total, "se": error, "p_loo": 0.0, "n_samples": draws, "n_data_points": len(pointwise)}
    rest = {"warning": False, "loo_i": each, "pareto_k": k, "scale": "log", "good_k": 0.7}
    return arviz().stats.ELPDData({**numbers, **rest})
