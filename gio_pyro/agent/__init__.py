"""The agent, and agents that differ in their seed alone and learn as one.

gio.py         `GIO`: collect → fit → evaluate → improve
together.py    `learn_together`: the networks of several agents, updated by one graph
imitation.py   `imitate`: the policy learns what the guide says that an expert did
"""

from gio_pyro.agent.gio import GIO, OTHER_SEED
from gio_pyro.agent.together import learn_seeds, learn_together

__all__ = ["GIO", "OTHER_SEED", "learn_seeds", "learn_together"]
