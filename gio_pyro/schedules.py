"""Weights that may change with time: a number, `"linear:FROM:TO:STEPS"`, or a function of environment steps."""

import math
from collections.abc import Callable

from gio_pyro.errors import InputError

Weight = float | str | Callable[[int], float]


def weight_of(weight: Weight) -> Callable[[int], float]:
    """Return a weight as a function of the environment steps taken; raises `InputError` for what is none."""
    if callable(weight):
        return weight
    kind, *rest = weight.split(":") if isinstance(weight, str) else ("", str(weight))
    try:
        numbers = [float(number) for number in rest]
    except ValueError:
        numbers = []
    finite = all(map(math.isfinite, numbers))
    if kind == "" and len(numbers) == 1 and finite:
        return lambda step: numbers[0]
    if kind == "linear" and len(numbers) == 3 and finite and numbers[2] >= 1:
        first, last, steps = numbers
        return lambda step: first + (last - first) * min(step / steps, 1.0)
    raise InputError(
        f'Expected a weight that is a number, "linear:FROM:TO:STEPS" or a function of steps, but got {weight!r}.'
    )
