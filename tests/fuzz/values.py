"""What people hand to functions by mistake, by name; each is made anew for every call."""

import math
from collections.abc import Callable
from decimal import Decimal
from fractions import Fraction
from typing import Any

import numpy as np
import torch


class Thing:
    """Somebody's own class."""


class Loud:
    """An object whose text is long, of several lines, and no sentence."""

    def __repr__(self) -> str:
        return "loud\n" * 1_000


def raises(*given: Any, **named: Any) -> Any:
    raise KeyError("the user's own function\nfails")


BAD: dict[str, Callable[[], Any]] = {
    "None": lambda: None,
    "True": lambda: True,
    "empty text": lambda: "",
    "a colon": lambda: ":",
    "a letter": lambda: "x",
    "a long text": lambda: "ab\n" * 5_000,
    "text with a null": lambda: "a\0b",
    "a number as text": lambda: "1",
    "-1": lambda: -1,
    "0": lambda: 0,
    "10^30": lambda: 10**30,
    "2^63": lambda: 2**63,
    "half": lambda: 0.5,
    "1e300": lambda: 1e300,
    "-1e300": lambda: -1e300,
    "nan": lambda: math.nan,
    "inf": lambda: math.inf,
    "complex": lambda: 1j,
    "Decimal": lambda: Decimal("0.5"),
    "Fraction": lambda: Fraction(1, 3),
    "empty list": list,
    "empty dict": dict,
    "empty tuple": tuple,
    "a set": lambda: {1, 2},
    "ragged list": lambda: [[1, 2], [3]],
    "list of None": lambda: [None, None],
    "list of text": lambda: ["a", "b"],
    "list of large": lambda: [10**30, 1],
    "object": object,
    "long repr": Loud,
    "a class": lambda: Thing,
    "an instance": Thing,
    "a lambda": lambda: lambda *given, **named: None,
    "a function that raises": lambda: raises,
    "a generator": lambda: (i for i in range(3)),
    "a module": lambda: math,
    "bytes": lambda: b"ab",
    "numpy text": lambda: np.str_("x"),
    "numpy bool": lambda: np.bool_(True),
    "numpy nan": lambda: np.float32("nan"),
    "empty array": lambda: np.array([]),
    "nan array": lambda: np.full((3, 2), np.nan),
    "object array": lambda: np.array([object(), None]),
    "text array": lambda: np.array(["a", "b"]),
    "date array": lambda: np.array(["2026-01-01"], dtype="datetime64[D]"),
    "structured array": lambda: np.zeros(3, dtype=[("a", "f8"), ("b", "i4")]),
    "masked array": lambda: np.ma.masked_array([1.0, 2.0], [True, False]),
    "float tensor": lambda: torch.full((7,), 1 / 7),
    "five axes": lambda: torch.ones(1, 1, 1, 1, 1),
    "whole tensor": lambda: torch.tensor([0, 1]),
    "negative tensor": lambda: torch.tensor([-5, 10_000]),
    "scalar tensor": lambda: torch.tensor(0.5),
    "bool tensor": lambda: torch.tensor([True, False]),
    "complex tensor": lambda: torch.zeros(2, dtype=torch.complex64),
    "sparse tensor": lambda: torch.eye(2).to_sparse(),
    "meta tensor": lambda: torch.zeros(3, 2, device="meta"),
    "tensor with gradient": lambda: torch.full((3, 2), 0.5, requires_grad=True),
}
