"""Other policies that collect for the agent: they seek a signal or goals, learn skills, are optimistic (theory, 7)."""

from gio_pyro.explorers.base import Act, Explorer, Source
from gio_pyro.explorers.build import scheduler_of
from gio_pyro.explorers.finite_goals import FiniteGoals
from gio_pyro.explorers.goals import GoalExplorer
from gio_pyro.explorers.names import NAMES, explorer_named
from gio_pyro.explorers.optimistic import OptimisticExplorer
from gio_pyro.explorers.scheduler import ExplorerScheduler, NoExplorer
from gio_pyro.explorers.signal import SignalExplorer
from gio_pyro.explorers.skills import SkillExplorer
from gio_pyro.explorers.uniform import UniformExplorer
from gio_pyro.explorers.vector_goals import VectorGoals

__all__ = [
    "NAMES",
    "Act",
    "Explorer",
    "ExplorerScheduler",
    "FiniteGoals",
    "GoalExplorer",
    "NoExplorer",
    "OptimisticExplorer",
    "SignalExplorer",
    "SkillExplorer",
    "Source",
    "UniformExplorer",
    "VectorGoals",
    "explorer_named",
    "scheduler_of",
]
