"""Weights that may change with time: a number, `"linear:FROM:TO:STEPS"`, or a function of environment steps."""

from collections.abc import Callable
from dataclasses import dataclass

from gio_pyro.errors import InputError, shown
from gio_pyro.utils.calls import to_builtin

LARGEST_WEIGHT = 1e30
"""Weights beyond it would not leave room for what they weigh."""

Weight = float | str | Callable[[int], float]


def parse_numbers(given: object) -> tuple[str, list[float]]:
    """Return the kind and the numbers of `"kind:1:2"`, or "fixed" and a number; no numbers where they are none."""
    kind, *rest = given.split(":") if isinstance(given, str) else ("fixed", str(given))
    try:
        return kind, [float(number) for number in rest]
    except ValueError:
        return kind, []


def interpolate(first: float, last: float, steps: float, step: int) -> float:
    """Return the number on the straight way from `first` to `last`, reached after `steps`, at one step."""
    return first + (last - first) * min(step / steps, 1.0)


@dataclass(frozen=True)
class LinearSchedule:
    """A weight as a function of environment steps: straight from `first` to `last` in `steps` steps."""

    first: float
    last: float
    steps: float = 1.0

    def __call__(self, step: int) -> float:
        """Return the weight after so many environment steps."""
        return interpolate(self.first, self.last, self.steps, step)


def weight_of(weight: Weight) -> Callable[[int], float]:
    """Return a weight as a function of the environment steps taken; raises `InputError` for what is none."""
    if callable(weight):
        return weight
    weight = to_builtin(weight)
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
