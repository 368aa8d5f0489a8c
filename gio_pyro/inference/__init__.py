"""Fitting p_ψ and q_φ together: the objectives of theory, section 3, and the step that follows their gradient."""

from gio_pyro.inference.fit import Inference
from gio_pyro.inference.objectives import (
    OBJECTIVES,
    Elbo,
    ForwardKL,
    Objective,
    Sleep,
    WakeSleep,
    dynamics,
    objective_named,
)

__all__ = [
    "OBJECTIVES",
    "Elbo",
    "ForwardKL",
    "Inference",
    "Objective",
    "Sleep",
    "WakeSleep",
    "dynamics",
    "objective_named",
]
