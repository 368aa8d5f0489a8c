"""Check arguments: numbers, booleans, functions, instances and tensors.

Each function returns the converted argument or raises an `InputError` that names it.
"""

import math
import sys
from collections.abc import Callable
from decimal import Decimal
from numbers import Integral, Real
from typing import Any, TypeVar

import numpy as np
import torch
from torch import Tensor

from gio_pyro.errors import InputError, article, shown

MAX_DENSE = 2**30
"""Largest number of entries to which a sparse table is expanded, 8 bytes each."""
MAX_INT = 2**63 - 1
MAX_STEPS = 1_000_000
"""Largest number of steps of any loop over time."""

Kind = TypeVar("Kind")


def as_number(value: object) -> float | int | None:
    """Return a real number of any library as int or float; None for anything else, booleans included."""
    if type(value) is float or type(value) is int:
        return value
    if isinstance(value, np.ndarray | np.generic | Tensor) and value.shape == ():
        try:
            value = value.item()
        except (RuntimeError, ValueError):
            return None
    if isinstance(value, bool) or not isinstance(value, Real | Decimal):
        return None
    if isinstance(value, Integral):
        return int(value)
    try:
        return float(value)
    except (OverflowError, ValueError):
        return None


def real(name: str, value: object, low: float, high: float, *, wanted: str = "", advice: str = "") -> float:
    """Return a number as a float; raises `InputError` unless it is from `low` to `high`.

    Args:
        name: of the argument.
        value: of the argument.
        low: lower bound.
        high: upper bound.
        wanted: replaces the default description of what was expected.
        advice: what to do instead.
    """
    found = as_number(value)
    if found is None or not low <= found <= high:
        raise invalid_argument(wanted or f"{name} to be a number from {low:.9g} to {high:.9g}", value, advice)
    return float(found)


def one_of_two(name: str, value: Any, alias: str, other: Any) -> Any:
    """Return whichever of two arguments that mean the same is not None; raise `InputError` if both are given."""
    if value is not None and other is not None:
        raise InputError(
            f"Expected {name} or {alias}, which mean the same, but got both, {shown(value)} and {shown(other)}; give "
            "one."
        )
    return other if value is None else value


def positive(name: str, value: object, *, wanted: str = "", advice: str = "") -> float:
    """Return a positive finite number as a float; raises `InputError` otherwise."""
    found = as_number(value)
    if found is None or not 0 < found <= sys.float_info.max:
        raise invalid_argument(wanted or f"{name} to be a number above 0", value, advice)
    return float(found)


def whole(name: str, value: object, low: int, high: int = MAX_INT, *, wanted: str = "", advice: str = "") -> int:
    """Return an integer as an int; raises `InputError` unless it is from `low` to `high`."""
    found = as_number(value)
    if not isinstance(found, int) or not low <= found <= high:
        span = f"of at least {low}" if high == MAX_INT else f"from {low} to {high}"
        raise invalid_argument(wanted or f"{name} to be a whole number {span}", value, advice)
    return found


def invalid_argument(wanted: str, value: object, advice: str = "") -> InputError:
    """Return an `InputError` with what was expected, the value given, and advice."""
    return InputError(f"Expected {wanted}, but got {shown(value)}{f'; {advice}' if advice else ''}.")


def switch(name: str, value: object) -> bool:
    """Return a boolean, also given as 0 or 1, as a bool; raises `InputError` otherwise."""
    if not isinstance(value, bool | np.bool_) and as_number(value) not in (0, 1):
        raise invalid_argument(f"{name} to be True or False", value)
    return bool(value)


def function(name: str, value: Callable[..., Kind], of: str) -> Callable[..., Kind]:
    """Return a function; raises `InputError` for classes and objects that are not callable. `of` names its argument."""
    if not callable(value) or isinstance(value, type):
        raise invalid_argument(f"{name} to be a function of {of}", value)
    return value


def instance(name: str, value: object, kind: type[Kind], advice: str = "") -> Kind:
    """Return an instance of a class; raises `InputError` for anything else."""
    if not isinstance(value, kind):
        raise invalid_argument(f"{name} to be {article(kind.__name__)}", value, advice)
    return value


def real_tensor(name: str, table: Any) -> Tensor:
    """Return a table of real numbers as a float64 tensor, on its device if it is a tensor.

    Args:
        name: of the argument.
        table: a tensor, array, nested lists, or anything convertible, such as pandas or scipy.sparse objects.

    Raises:
        InputError: not convertible, or with entries that are not real numbers.
    """
    if isinstance(table, Tensor):
        return _dense_float64(name, table)
    if isinstance(table, list | tuple) and any(hasattr(row, "toarray") or isinstance(row, Tensor) for row in table):
        return _stack_rows(name, [real_tensor(name, row) for row in table])
    if hasattr(table, "toarray") and not isinstance(table, type):
        _require_dense_size(name, table.shape)
        table = table.toarray()
    try:
        array = np.asarray(table)
    except Exception as error:  # ragged lists, rows of tensors; other classes may raise anything
        if isinstance(table, list | tuple) and table:
            return _stack_rows(name, [real_tensor(name, row) for row in table])
        raise invalid_argument(f"{name} as a table of numbers", table, "fill its rows up") from error
    if array.dtype.kind == "O":
        array = _objects_to_float64(name, table, array)
    if array.dtype.kind not in "biuf" or np.ma.is_masked(table):
        raise _not_a_table(name, table)
    return torch.as_tensor(array.astype(np.float64))


def _dense_float64(name: str, table: Tensor) -> Tensor:
    if table.dtype == torch.float64 and table.layout == torch.strided and not table.is_meta:
        return table
    if table.is_complex() or table.is_meta or table.is_quantized:
        raise _not_a_table(name, table)
    if table.layout != torch.strided:
        _require_dense_size(name, table.shape)
        table = table.to_dense()
    return table.double()


def _objects_to_float64(name: str, table: Any, array: Any) -> Any:
    if not array.size or not all(isinstance(one, Real | Decimal) for one in array.flat):
        raise _not_a_table(name, table)
    try:
        return array.astype(np.float64)
    except (OverflowError, TypeError, ValueError) as error:
        raise _not_a_table(name, table) from error


def _stack_rows(name: str, rows: list[Tensor]) -> Tensor:
    try:
        return torch.stack(rows)
    except RuntimeError as error:
        raise InputError(
            f"Expected {name} as a table of numbers, but got {len(rows)} parts that differ in shape or device."
        ) from error


def _require_dense_size(name: str, shape: Any) -> None:
    if math.prod(shape) > MAX_DENSE:
        raise InputError(
            f"Expected {name} of at most {MAX_DENSE:,} numbers once written out, but it has shape {tuple(shape)}; "
            "take fewer states or features of them."
        )


def _not_a_table(name: str, table: object) -> InputError:
    return invalid_argument(f"{name} as a table of real numbers", table, "give an array of numbers")


def labels(name: str, table: object) -> Tensor:
    """Return labels, integers from 0, as an int64 tensor `[N]`; raises `InputError` for anything else."""
    found = real_tensor(name, table)
    valid = found.ndim == 1 and len(found) > 0 and bool(((found == found.floor()) & (found >= 0)).all())
    if not valid or bool((found > 2**53).any()):
        raise invalid_argument(f"{name}, a whole number from 0, for each future", table)
    return found.long()


def batch(name: str, values: object, axes: int = 1) -> Tensor:
    """Return a real dense tensor `[B, ...]` with at least `axes` axes; raises `InputError` for anything else."""
    dense = isinstance(values, Tensor) and values.ndim >= axes and values.layout == torch.strided
    if not dense or values.is_complex() or values.is_meta:  # type: ignore[attr-defined]
        raise invalid_argument(f"{name} as a tensor of a batch", values)
    return values  # type: ignore[return-value]
