"""gio_pyro: intrinsic control as probabilistic programs.

An agent is paid, in nats, for futures that reveal which action was taken, I(F; A | s), on top of the environment's
reward. Every method of the family is a pair of Pyro programs, a model p_ψ(F|s, a) and a guide q_φ(a|s, F), and one
policy-iteration loop that reads the guide's log-probabilities. Swap a program, get another method.

Names are imported when they are first used.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from gio_pyro import (
        diagnostics,
        envs,
        errors,
        explorers,
        futures,
        guides,
        inference,
        models,
        programs,
        signals,
        tabular,
        testing,
    )
    from gio_pyro.agent import GIO
    from gio_pyro.intrinsic_reward import IntrinsicReward
    from gio_pyro.settings import Settings
    from gio_pyro.types import Spec, Transitions

__version__ = "0.1.0"

__all__ = [
    "GIO",
    "IntrinsicReward",
    "Settings",
    "Spec",
    "Transitions",
    "__version__",
    "diagnostics",
    "envs",
    "errors",
    "explorers",
    "futures",
    "guides",
    "inference",
    "models",
    "programs",
    "signals",
    "tabular",
    "testing",
]

_HOMES = {
    "GIO": "agent",
    "IntrinsicReward": "intrinsic_reward",
    "Settings": "settings",
    "Spec": "types",
    "Transitions": "types",
}


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)
    if name in __all__:
        return importlib.import_module(f"{__name__}.{name}")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
