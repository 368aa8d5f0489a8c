"""Planning as inference: q(a|s) ∝ p_a(a|s) exp(score/α), from rollouts of the agent's own model.

A planner imagines what follows from each state it is asked about, and scores it by the planning bound,

    score = Σ_τ γ^τ (r_τ + α w I_τ) + γ^H V(s_H)

with I the information of a step in nats, w its weight, V the soft value of the critic and p_a the prior over actions:
the guide where it ignores the future (a habit, for example), else uniform. What it returns is a distribution, so that
the log μ of every collected action is known, and the critic and the policy learn off-policy beside it.

    BackwardInduction   exact, for finite worlds
    LinearQuadratic     exact, for linear-Gaussian world models with quadratic rewards
    PointBased          within certified bounds, for world models with finitely many hidden states
    PathIntegral        weights exp(score/α) of sampled rollouts
    CrossEntropy        the best rollouts, in several rounds
    OneStep             the next step alone, and the critic's value after it
"""

from gio_pyro.planning.backward import BackwardInduction
from gio_pyro.planning.base import NoPlanner, Planner, Problem
from gio_pyro.planning.build import planner_of
from gio_pyro.planning.distillation import Distillation
from gio_pyro.planning.imagination import FittedImagination, Imagination
from gio_pyro.planning.linear_quadratic import LinearQuadratic
from gio_pyro.planning.names import NAMES, planner_named
from gio_pyro.planning.point_based import PointBased
from gio_pyro.planning.sampled import CrossEntropy, OneStep, PathIntegral
from gio_pyro.planning.scheduler import Planning
from gio_pyro.planning.tables import TableImagination, WorldTables
from gio_pyro.types import Imagined

__all__ = [
    "NAMES",
    "BackwardInduction",
    "CrossEntropy",
    "Distillation",
    "FittedImagination",
    "Imagination",
    "Imagined",
    "LinearQuadratic",
    "NoPlanner",
    "OneStep",
    "PathIntegral",
    "Planner",
    "Planning",
    "PointBased",
    "Problem",
    "TableImagination",
    "WorldTables",
    "planner_named",
    "planner_of",
]
