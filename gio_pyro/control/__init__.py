"""How the world is held in the agent's head: as tables or as networks. Both evaluate, improve, and behave."""

from gio_pyro.control.behaviour import ContinuousBehaviour, DiscreteBehaviour, TableBehaviour
from gio_pyro.control.build import control_of, steppers, temperature_of
from gio_pyro.control.network import NetworkControl
from gio_pyro.control.table import TableControl

__all__ = [
    "ContinuousBehaviour",
    "DiscreteBehaviour",
    "NetworkControl",
    "TableBehaviour",
    "TableControl",
    "control_of",
    "steppers",
    "temperature_of",
]
