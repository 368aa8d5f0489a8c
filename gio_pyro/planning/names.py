"""Planners by their names."""

from collections.abc import Mapping
from types import MappingProxyType

from gio_pyro.planning.backward import BackwardInduction
from gio_pyro.planning.base import Planner, Problem
from gio_pyro.planning.linear_quadratic import LinearQuadratic
from gio_pyro.planning.point_based import PointBased
from gio_pyro.planning.sampled import CrossEntropy, OneStep, PathIntegral
from gio_pyro.programs.registry import Registry

NAMES: Mapping[str, type[Planner]] = MappingProxyType(
    {
        kind.__name__: kind
        for kind in (BackwardInduction, LinearQuadratic, PointBased, PathIntegral, CrossEntropy, OneStep)
    }
)
"""The planners that are known by name."""


def planner_named(text: str, problem: Problem) -> Planner:
    """Return the planner of a name: one of `NAMES`, or file.py:Name, with settings: `PathIntegral(horizon=12)`.

    Raises:
        InputError: no such name, no such setting, a number out of range, or something that is no planner.
        ProgramError: a file or module that is not there or does not import.
    """
    return Registry("planner", "gio_pyro.planning", Planner, NAMES).build(text, (problem,), {})
