"""Stochastic variational inference of p_ψ and q_φ: the objectives of theory, section 3, and their gradient step."""

from gio_pyro.inference.fit import TRAININGS, Inference
from gio_pyro.inference.names import (
    OBJECTIVES,
    ObjectiveLike,
    objective_for,
    objective_named,
    objective_text,
    sequence_length_of,
)
from gio_pyro.inference.objectives import (
    Elbo,
    ForwardKL,
    Objective,
    Sleep,
    WakeSleep,
    dynamics,
)
from gio_pyro.inference.objects import separated
from gio_pyro.inference.optimisers import OPTIMISERS, Optim, OptimLike, optim_from, optim_text
from gio_pyro.inference.pyro_elbo import PYRO_ELBOS, PyroElbo, pyro_pair
from gio_pyro.inference.trajectory import TrajectoryElbo, WeightedTrajectoryElbo

__all__ = [
    "OBJECTIVES",
    "OPTIMISERS",
    "PYRO_ELBOS",
    "TRAININGS",
    "Elbo",
    "ForwardKL",
    "Inference",
    "Objective",
    "ObjectiveLike",
    "Optim",
    "OptimLike",
    "PyroElbo",
    "Sleep",
    "TrajectoryElbo",
    "WakeSleep",
    "WeightedTrajectoryElbo",
    "dynamics",
    "objective_for",
    "objective_named",
    "objective_text",
    "optim_from",
    "optim_text",
    "pyro_pair",
    "separated",
    "sequence_length_of",
]
