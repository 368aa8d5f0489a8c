"""A recipe: a published system as a table of settings over the parts of the library."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

NOTHING: Mapping[str, Any] = MappingProxyType({})

SHARED_WORLD = "gio/SparseMaze-v0"
"""The world that all recipes can be compared in: a maze whose goal is 14 steps away."""


@dataclass(frozen=True)
class Recipe:
    """Settings that make an agent work like a published system.

    A further setting of the user takes the place of one of these.
    """

    name: str
    """What `--recipe` and `gio.GIO(recipe=)` take."""
    title: str
    """The system's published name."""
    paper: str
    """Authors, year and where to find it."""
    same: str
    """What is as published, in a sentence."""
    left_out: str
    """What the published system has beyond this, in a sentence."""
    settings: Mapping[str, Any]
    """Arguments of `gio.GIO`: programs, future and settings."""
    finite: Mapping[str, Any] = field(default_factory=lambda: NOTHING)
    """Those that take their place where observations and actions are finite."""
    environment: str = SHARED_WORLD
    """The environment of the command."""
    flags: str = ""
    """Further flags of the command."""
    needs: str = ""
    """What an environment must have, in a few words; empty for any."""

    @property
    def command(self) -> str:
        """The command that trains this recipe."""
        return " ".join(["gio train", self.environment, "--recipe", self.name, *([self.flags] if self.flags else [])])

    def arguments(self, *, finite: bool) -> dict[str, Any]:
        """Return the arguments of `gio.GIO`, for finite observations and actions or for others."""
        return {**self.settings, **(self.finite if finite else {})}
