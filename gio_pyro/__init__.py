"""gio_pyro: intrinsic control as probabilistic programs.

An agent is paid, in nats, for futures that reveal which action was taken, I(F; A | s), on top of the environment's
reward. Every method of the family is a pair of Pyro programs, a model p_ψ(F|s, a) and a guide q_φ(a|s, F), and one
policy-iteration loop that reads the guide's log-probabilities. Swap a program, get another method.

Names are imported when they are first used.
"""

import importlib
from typing import Any

__version__ = "0.1.0"

_CLASSES = {
    "GIO": "agent",
    "IntrinsicReward": "adapters.intrinsic_reward",
    "Seen": "types",
    "Settings": "settings",
    "Spec": "types",
    "Transitions": "types",
    "WorldSpec": "types",
    "imitate": "agent.imitation",
    "learn_seeds": "agent",
}
_MODULES = [
    "adapters",
    "callbacks",
    "diagnostics",
    "empowerment",
    "envs",
    "errors",
    "explorers",
    "futures",
    "guides",
    "inference",
    "models",
    "planning",
    "programs",
    "recipes",
    "signals",
    "tabular",
    "testing",
]
__all__ = [*_CLASSES, *_MODULES, "__version__"]


def __getattr__(name: str) -> Any:
    if name in _CLASSES:
        return getattr(importlib.import_module(f"{__name__}.{_CLASSES[name]}"), name)
    if name in _MODULES:
        return importlib.import_module(f"{__name__}.{name}")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
