"""gio_pyro: intrinsic control as probabilistic programs.

An agent is paid, in nats, for futures that reveal which action was taken, I(F; A | s), on top of the environment's
reward. Every method of the family is a pair of Pyro programs, a model p_ψ(F|s, a) and a guide q_φ(a|s, F), and one
policy-iteration loop that reads the guide's log-probabilities. Swap a program, get another method.
"""

from gio_pyro import diagnostics, errors, futures, inference, programs, tabular, testing
from gio_pyro.agent import GIO
from gio_pyro.settings import Settings
from gio_pyro.types import Spec, Transitions

__version__ = "0.1.0"

__all__ = [
    "GIO",
    "Settings",
    "Spec",
    "Transitions",
    "__version__",
    "diagnostics",
    "errors",
    "futures",
    "inference",
    "programs",
    "tabular",
    "testing",
]
