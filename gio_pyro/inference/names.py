"""Objectives by name."""

from collections.abc import Callable, Mapping
from types import MappingProxyType

from gio_pyro.errors import InputError, unknown
from gio_pyro.inference.objectives import Elbo, ForwardKL, Objective, Sleep, WakeSleep
from gio_pyro.inference.trajectory import TrajectoryElbo, WeightedTrajectoryElbo
from gio_pyro.programs import Guide

OBJECTIVES: Mapping[str, Callable[[int], Objective]] = MappingProxyType(
    {
        "elbo": lambda samples: Elbo(samples),
        "joint_elbo": lambda samples: Elbo(samples, joint=True),
        "forward_kl": lambda samples: ForwardKL(),
        "sleep": lambda samples: Sleep(samples),
        "wake_sleep": lambda samples: WakeSleep(),
        "trajectory_elbo": lambda samples: TrajectoryElbo(samples=samples),
        "weighted_trajectory_elbo": lambda samples: WeightedTrajectoryElbo(),
    }
)
"""A constructor for each objective; its argument is the number of samples where a sum cannot be enumerated."""


def objective_named(objective: str | Objective, *, samples: int = 1) -> Objective:
    """Return the objective of that name, or the given function; raises `InputError` for an unknown name."""
    if callable(objective):
        return objective
    if not isinstance(objective, str) or objective not in OBJECTIVES:
        raise InputError(unknown("an objective", objective, OBJECTIVES, advice="name one, or pass a function"))
    return OBJECTIVES[objective](samples)


def objective_for(guide: Guide, name: str | None, *, samples: int) -> Objective:
    """Return the objective of that name; for None the one in the guide's attribute `objective`, else `sleep`."""
    chosen = None if isinstance(name, str) and not name else name
    own = getattr(guide.program, "objective", None) or "sleep"
    return objective_named(own if chosen is None else chosen, samples=samples)


def sequence_length_of(objective: Objective) -> int:
    """Return how many successive transitions an objective needs: its attribute `steps`, or 1."""
    return int(getattr(objective, "steps", 1))
