"""n-step empowerment, learned: what the exact tier enumerates, at a cost that grows linearly in n.

Over continuous actions it is exact where the world is linear and Gaussian: `linear_empowerment`.
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
