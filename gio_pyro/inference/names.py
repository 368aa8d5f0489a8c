"""The objectives by their names."""

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
"""How each objective is made, from the number of draws where something cannot be enumerated."""


def objective_named(objective: str | Objective, *, samples: int = 1) -> Objective:
    """Return the objective of that name, or the given function; raises `InputError` for an unknown name."""
    if callable(objective):
        return objective
    if not isinstance(objective, str) or objective not in OBJECTIVES:
        raise InputError(unknown("an objective", objective, OBJECTIVES, advice="name one, or pass a function"))
    return OBJECTIVES[objective](samples)


def objective_for(guide: Guide, name: str | None, *, samples: int) -> Objective:
    """Return the objective of that name, or for None what the guide asks for by its attribute `objective`, or sleep."""
    asked = None if isinstance(name, str) and not name else name
    own = getattr(guide.program, "objective", None) or "sleep"
    return objective_named(own if asked is None else asked, samples=samples)


def pieces_of(objective: Objective) -> int:
    """Return how many successive transitions an objective wants together: its attribute `steps`, or 1."""
    return int(getattr(objective, "steps", 1))
