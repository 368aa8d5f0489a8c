"""Beliefs: from what was seen to the state that everything below reads."""

from gio_pyro.beliefs.beliefs import Beliefs
from gio_pyro.beliefs.build import beliefs_of, believed_space, world_programs
from gio_pyro.beliefs.observed import Observed

__all__ = ["Beliefs", "Observed", "beliefs_of", "believed_space", "world_programs"]
