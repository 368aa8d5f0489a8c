"""Convert arguments to Python builtins, and parse calls written as text, such as `Return(50, discount=0.9)`."""

import ast
import os
from dataclasses import fields
from decimal import Decimal
from enum import Enum
from numbers import Integral, Real
from typing import Any

import numpy as np
from torch import Tensor


def to_builtin(value: Any) -> Any:
    """Return a number, string or sequence of these as Python builtins, which can be saved; others unchanged.

    Converted are numbers of NumPy and torch, fractions, decimals, enumerations and paths.
    """
    try:
        return _convert_builtin(value)
    except (ArithmeticError, RuntimeError, TypeError, ValueError):  # beyond the range of float, or a meta tensor
        return value


def _convert_builtin(value: Any) -> Any:
    if isinstance(value, Enum):
        return to_builtin(value.value)
    if isinstance(value, np.ndarray | np.generic | Tensor):
        return to_builtin(value.tolist())
    if isinstance(value, bool):
        return value
    if isinstance(value, Integral):
        return int(value)
    if isinstance(value, Real | Decimal):
        return float(value)
    if isinstance(value, str | os.PathLike):
        return str(value)
    return tuple(map(to_builtin, value)) if isinstance(value, list | tuple) else value


def fields_to_builtin(frozen: Any) -> None:
    """Convert the fields of a frozen dataclass by `to_builtin`, in its `__post_init__`."""
    for field in fields(frozen):
        object.__setattr__(frozen, field.name, to_builtin(getattr(frozen, field.name)))


def parse_call(text: str) -> tuple[str, list[Any], dict[str, Any]]:
    """Return name, positional and keyword arguments of a call with literals, or of a mere name; else an empty name."""
    try:
        node = ast.parse(text.strip(), mode="eval").body
        call = node if isinstance(node, ast.Call) else ast.Call(node, [], [])
        numbers = [ast.literal_eval(value) for value in call.args]
        pairs = [(keyword.arg or "", ast.literal_eval(keyword.value)) for keyword in call.keywords]
    except (SyntaxError, ValueError, MemoryError, RecursionError):
        return "", [], {}
    twice = len(dict(pairs)) < len(pairs)
    return ("" if twice or not isinstance(call.func, ast.Name) else call.func.id), numbers, dict(pairs)
