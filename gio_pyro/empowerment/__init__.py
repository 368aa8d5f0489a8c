"""n-step empowerment, learned: what the exact tier enumerates, at a cost that grows linearly in n."""

from gio_pyro.empowerment.learning import learn_empowerment
from gio_pyro.empowerment.options import Options
from gio_pyro.empowerment.variational import VariationalEmpowerment

__all__ = ["Options", "VariationalEmpowerment", "learn_empowerment"]
