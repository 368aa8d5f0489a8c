"""Models p_ψ(F|s, a): Pyro programs that sample "action" from the policy and "future" given state and action."""

from gio_pyro.models.categorical import CategoricalModel, CategoricalNetworkModel
from gio_pyro.models.gaussian import GaussianModel

__all__ = ["CategoricalModel", "CategoricalNetworkModel", "GaussianModel"]
