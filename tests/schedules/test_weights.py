"""Weights: constant, linear schedules and functions, and errors."""

from typing import Any

import pytest

from gio_pyro.errors import InputError
from gio_pyro.schedules.weights import weight_of


@pytest.mark.parametrize(
    ("weight", "values"),
    [
        (0.5, [0.5, 0.5]),
        (0, [0, 0]),
        ("linear:1:0:100", [1.0, 0.0]),
        ("0.25", None),
        (lambda step: step / 50, [0.0, 4.0]),
    ],
)
def test_a_weight_is_a_function_of_steps(weight: Any, values: list[float] | None):
    if values is None:
        with pytest.raises(InputError, match=r"^Expected a weight that is a number"):
            weight_of(weight)
    else:
        assert [weight_of(weight)(step) for step in (0, 200)] == values


@pytest.mark.parametrize("weight", ["linear:1:0", "much", float("nan"), "linear:1:0:0", None])
def test_what_is_no_weight_is_refused(weight: Any):
    with pytest.raises(
        InputError, match=r"^Expected a weight that is a number, \"linear:FROM:TO:STEPS\" or a function"
    ):
        weight_of(weight)
