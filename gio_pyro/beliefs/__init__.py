"""Beliefs: from what was seen to the state that everything below reads.

observed.py       what is seen is the state: the trivial member, and the interface of all
beliefs.py        the beliefs of a filter: kept while acting, recomputed from replay, fitted (behaviour.py, replay.py)
programs.py       world models and filters as Pyro programs of one step; contract.py checks them
world.py          both together, along an episode (pieces.py)
bound.py          what they are fitted to; pyro_bound.py: any ELBO of Pyro
terms.py          the terms of the generative agent's bound
imagination.py    what planners roll out
"""

from gio_pyro.beliefs.build import beliefs_of, believed_space, world_programs
from gio_pyro.beliefs.observed import Observed

__all__ = ["Observed", "beliefs_of", "believed_space", "world_programs"]
