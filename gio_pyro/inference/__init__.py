"""Stochastic variational inference of p_ψ and q_φ: the objectives of theory, section 3, and their gradient step."""

from gio_pyro.inference.fit import Inference
from gio_pyro.inference.names import OBJECTIVES, objective_for, objective_named, sequence_length_of
from gio_pyro.inference.objectives import (
    Elbo,
    ForwardKL,
    Objective,
    Sleep,
    WakeSleep,
    dynamics,
)
from gio_pyro.inference.trajectory import TrajectoryElbo, WeightedTrajectoryElbo

__all__ = [
    "OBJECTIVES",
    "Elbo",
    "ForwardKL",
    "Inference",
    "Objective",
    "Sleep",
    "TrajectoryElbo",
    "WakeSleep",
    "WeightedTrajectoryElbo",
    "dynamics",
    "objective_for",
    "objective_named",
    "sequence_length_of",
]
