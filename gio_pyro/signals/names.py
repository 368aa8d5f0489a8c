"""Signals by their names."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from gio_pyro.errors import InputError
from gio_pyro.programs import named
from gio_pyro.signals.base import Fitted, Signal
from gio_pyro.signals.disagreement import Disagreement
from gio_pyro.signals.information_gain import InformationGain
from gio_pyro.signals.learning_progress import LearningProgress
from gio_pyro.signals.prediction_error import PredictionError
from gio_pyro.signals.random_network_distillation import RandomNetworkDistillation
from gio_pyro.signals.reachability import Reachability

NAMES: Mapping[str, type[Signal]] = MappingProxyType(
    {
        kind.__name__: kind
        for kind in (
            PredictionError,
            Disagreement,
            InformationGain,
            LearningProgress,
            Reachability,
            RandomNetworkDistillation,
        )
    }
)
"""The signals that are known by name."""


def signal_named(name: str, fitted: Fitted, **settings: Any) -> Signal:
    """Return the signal of a name, built from what was fitted and from settings of its own.

    Args:
        name: one of `NAMES`, or `package.module:Name` or `path/file.py:Name` of a class of one's own.
        fitted: what it reads.
        settings: keyword settings of that signal.

    Raises:
        InputError: no such name, no such setting, or something that is no signal.
        ProgramError: a file or module that is not there or does not import.
    """
    elsewhere = ":" in name or name.endswith(".py")
    if not elsewhere and name not in NAMES:
        raise InputError(f"Expected a signal among {', '.join(NAMES)}, or file.py:Name, but got {name!r}; name one.")
    kind = named(name, "signal") if elsewhere else NAMES[name]
    if not (isinstance(kind, type) and issubclass(kind, Signal)):
        raise InputError(f"Expected a signal, a class derived from gio_pyro.signals.Signal, but got {name}; derive it.")
    try:
        return kind(fitted, **settings)
    except TypeError as error:
        raise InputError(f"Expected {kind.__name__} with its own settings, but got {settings!r}: {error}.") from error
