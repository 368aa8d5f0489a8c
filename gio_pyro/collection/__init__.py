"""Environments in, transitions out: step any Gymnasium environment, or a vector of them."""

from gio_pyro.collection.actions import Actions
from gio_pyro.collection.collected import Collected
from gio_pyro.collection.collector import Behaviour, Collector
from gio_pyro.collection.environment_copy import copy_environment, copy_for_rendering
from gio_pyro.collection.make import Env, make_env
from gio_pyro.collection.observations import Observations

__all__ = [
    "Actions",
    "Behaviour",
    "Collected",
    "Collector",
    "Env",
    "Observations",
    "copy_environment",
    "copy_for_rendering",
    "make_env",
]
