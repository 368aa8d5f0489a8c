"""The parts of the page of `gio diagnose`: sections, and the groups of figures in them."""

from collections.abc import Sequence
from dataclasses import dataclass

from gio_pyro.diagnostics.verdict import Verdict


@dataclass(frozen=True)
class Group:
    """Panels of one kind and what they show."""

    panels: Sequence[str]
    """`<svg>` elements."""
    caption: str


@dataclass(frozen=True)
class Question:
    """One section of the page."""

    title: str
    answer: str
    verdicts: Sequence[Verdict]
    groups: Sequence[Group]
    notes: Sequence[str] = ()

    @property
    def believed(self) -> bool:
        """Whether every figure is within its limit."""
        return all(verdict.believed for verdict in self.verdicts)
