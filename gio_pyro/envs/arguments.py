"""Check the arguments of the example worlds."""

import math
from numbers import Integral, Real

from gio_pyro.errors import InputError, shown


def probability(name: str, value: float) -> float:
    """Return a probability as a float; raises `InputError` unless it is a number in [0, 1]."""
    number = isinstance(value, Real) and not isinstance(value, bool) and math.isfinite(value)
    if not number or not 0 <= value <= 1:
        raise InputError(f"Expected {name} to be a probability in [0, 1], but got {shown(value)}; 0.1 is one.")
    return float(value)


def integer(name: str, value: int, least: int, most: int) -> int:
    """Return an integer as an int; raises `InputError` unless it is from `least` to `most`."""
    if not isinstance(value, Integral) or isinstance(value, bool) or not least <= value <= most:
        raise InputError(f"Expected {name} to be a whole number from {least} to {most}, but got {shown(value)}.")
    return int(value)


def choice(name: str, value: str | None, known: tuple[str | None, ...]) -> None:
    """Raise `InputError` unless a value is among the known ones."""
    if value not in known:
        raise InputError(f"Expected {name} to be one of {', '.join(map(repr, known))}, but got {shown(value)}.")


def number(name: str, value: float) -> float:
    """Return a finite number as a float; raises `InputError` for anything else."""
    if not isinstance(value, Real) or isinstance(value, bool) or not math.isfinite(value):
        raise InputError(f"Expected {name} to be a finite number, but got {shown(value)}.")
    return float(value)
