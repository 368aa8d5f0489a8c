"""Policy improvement: the KL projection of theory, equation 6."""

from gio_pyro.improvement.network import CategoricalPolicy, GaussianPolicy, network_policy
from gio_pyro.improvement.table import LOG_FLOOR, TablePolicy

__all__ = ["LOG_FLOOR", "CategoricalPolicy", "GaussianPolicy", "TablePolicy", "network_policy"]
