"""Explorers by their names."""

from collections.abc import Mapping
from types import MappingProxyType

from gio_pyro.explorers.base import Explorer, Source
from gio_pyro.explorers.goals import GoalExplorer
from gio_pyro.explorers.optimistic import OptimisticExplorer
from gio_pyro.explorers.signal import SignalExplorer
from gio_pyro.explorers.skills import SkillExplorer
from gio_pyro.explorers.uniform import UniformExplorer
from gio_pyro.programs.registry import Registry

NAMES: Mapping[str, type[Explorer]] = MappingProxyType(
    {
        "Signal": SignalExplorer,
        "Goals": GoalExplorer,
        "Optimistic": OptimisticExplorer,
        "Skills": SkillExplorer,
        "Uniform": UniformExplorer,
    }
)
"""The explorers that are known by name."""


def explorer_named(text: str, source: Source) -> Explorer:
    """Return the explorer of a name: one of `NAMES`, or file.py:Name, perhaps with settings: `Goals(horizon=20)`.

    Raises:
        InputError: no such name, no such setting, or something that is no explorer.
        ProgramError: a file or module that is not there or does not import.
    """
    return Registry("explorer", "gio_pyro.explorers", Explorer, NAMES).build(text, (source,), {})
