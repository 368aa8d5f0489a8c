"""Weights as functions of environment steps: constant, `"linear:FROM:TO:STEPS"`, or any function."""

from collections.abc import Callable
from dataclasses import dataclass

from gio_pyro.errors import InputError, shown

LARGEST_WEIGHT = 1e30
"""Largest magnitude of a weight, so that products stay finite."""

Weight = float | str | Callable[[int], float]


def parse_numbers(given: object) -> tuple[str, list[float]]:
    """Return kind and numbers of `"kind:1:2"`, or "fixed" and a number; no numbers if one does not parse."""
    kind, *rest = given.split(":") if isinstance(given, str) else ("fixed", str(given))
    try:
        return kind, [float(number) for number in rest]
    except ValueError:
        return kind, []


def interpolate(first: float, last: float, steps: float, step: int) -> float:
    """Return the linear interpolation from `first` at step 0 to `last` at step `steps` and after."""
    return first + (last - first) * min(step / steps, 1.0)


@dataclass(frozen=True)
class LinearSchedule:
    """A weight that changes linearly from `first` to `last` over `steps` environment steps."""

    first: float
    last: float
    steps: float = 1.0

    def __call__(self, step: int) -> float:
        """Return the weight after `step` environment steps."""
        return interpolate(self.first, self.last, self.steps, step)


def weight_of(weight: Weight) -> Callable[[int], float]:
    """Return a weight as a function of environment steps; raises `InputError` for an invalid one."""
    if callable(weight):
        return weight
    kind, numbers = parse_numbers(weight)
    finite = all(abs(number) <= LARGEST_WEIGHT for number in numbers)
    if kind == "fixed" and len(numbers) == 1 and finite:
        return LinearSchedule(numbers[0], numbers[0])
    if kind == "linear" and len(numbers) == 3 and finite and numbers[2] >= 1:
        return LinearSchedule(*numbers)
    raise InputError(
        f'Expected a weight that is a number, "linear:FROM:TO:STEPS" or a function of steps, but got {shown(weight)}; '
        f"give one, such as 0.5; numbers go from -{LARGEST_WEIGHT:g} to {LARGEST_WEIGHT:g}."
    )
