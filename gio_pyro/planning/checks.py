"""Checks of the arguments of planners."""

from gio_pyro.errors import InputError, shown
from gio_pyro.planning.imagination import Imagination

MOST_HORIZON, MOST_DRAWS, MOST_ROUNDS = 10_000, 2**20, 1_000


def check_whole(name: str, value: object, least: int, most: int) -> int:
    """Return a whole number; raises `InputError` for anything else."""
    if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= most:
        raise InputError(
            f"Expected {name} of a planner to be a whole number from {least} to {most}, but got {shown(value)}; see "
            "gio_pyro.planning."
        )
    return value


def check_horizon(value: object) -> int:
    """Return a horizon in steps; raises `InputError` for anything else."""
    return check_whole("horizon", value, 1, MOST_HORIZON)


def check_real(name: str, value: object, low: float, high: float) -> float:
    """Return a number; raises `InputError` for anything else."""
    if not isinstance(value, int | float) or isinstance(value, bool) or not low <= value <= high:
        raise InputError(
            f"Expected {name} of a planner from {low:.9g} to {high:.9g}, but got {shown(value)}; see gio_pyro.planning."
        )
    return float(value)


def check_switch(name: str, value: object) -> bool:
    """Return True or False; raises `InputError` for anything else."""
    if not isinstance(value, bool):
        raise InputError(f"Expected {name} of a planner to be True or False, but got {shown(value)}.")
    return value


def check_weight(value: object, imagination: Imagination) -> float:
    """Return the weight of the information, the bound's for None; raises `InputError` for anything but a number."""
    weight = imagination.information_weight if value is None else check_real("information_weight", value, -1e9, 1e9)
    imagination.measures = weight != 0
    return weight
