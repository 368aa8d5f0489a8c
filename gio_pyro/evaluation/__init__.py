"""Policy evaluation: what a state and an action are worth under the policy (theory, equation 5)."""

from gio_pyro.evaluation.apart import Apart, Paid, Values, total
from gio_pyro.evaluation.table import TableCritic, optimistic_value
from gio_pyro.evaluation.twin import TwinCritic

__all__ = ["Apart", "Paid", "TableCritic", "TwinCritic", "Values", "optimistic_value", "total"]
