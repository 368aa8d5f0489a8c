"""n-step empowerment, learned variationally, at a cost that grows linearly in n.

For continuous actions and linear Gaussian dynamics it is exact: `linear_empowerment`.
"""

from gio_pyro.empowerment.gaussian import gaussian_capacity, linear_empowerment, water_filling
from gio_pyro.empowerment.learning import learn_empowerment
from gio_pyro.empowerment.options import Options
from gio_pyro.empowerment.variational import VariationalEmpowerment

__all__ = [
    "Options",
    "VariationalEmpowerment",
    "gaussian_capacity",
    "learn_empowerment",
    "linear_empowerment",
    "water_filling",
]
