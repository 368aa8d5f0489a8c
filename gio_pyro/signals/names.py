"""Signals by their names."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from gio_pyro.calls import parsed
from gio_pyro.errors import InputError
from gio_pyro.programs import named
from gio_pyro.signals.base import Fitted, Signal
from gio_pyro.signals.control import Control
from gio_pyro.signals.disagreement import Disagreement
from gio_pyro.signals.empowerment import Empowerment
from gio_pyro.signals.information_gain import InformationGain
from gio_pyro.signals.learning_progress import LearningProgress
from gio_pyro.signals.prediction_error import PredictionError
from gio_pyro.signals.random_network_distillation import RandomNetworkDistillation
from gio_pyro.signals.reachability import Reachability

NAMES: Mapping[str, type[Signal]] = MappingProxyType(
    {
        kind.__name__: kind
        for kind in (
            Control,
            Empowerment,
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


def signal_named(text: str, fitted: Fitted, **settings: Any) -> Signal:
    """Return the signal of a name, built from what was fitted and from settings of its own.

    Args:
        text: one of `NAMES`, in any spelling of it (random_network_distillation), or `package.module:Name` or
            `path/file.py:Name` of a class of one's own; settings may follow it in brackets: `Empowerment(3)`.
        fitted: what it reads.
        settings: further keyword settings of that signal.

    Raises:
        InputError: no such name, no such setting, or something that is no signal.
        ProgramError: a file or module that is not there or does not import.
    """
    name, bracket, rest = text.partition("(")
    valid, numbers, given = parsed(f"_{bracket}{rest}")
    kind = _kind(name.strip())
    if not valid:
        raise InputError(
            f"Expected a signal with its settings in brackets, but got {text[:80]!r}; see gio_pyro.signals."
        )
    try:
        return kind(fitted, *numbers, **{**given, **settings})
    except TypeError as error:
        told = {**given, **settings} or numbers
        raise InputError(f"Expected {kind.__name__} with its own settings, but got {told!r}: {error}.") from error


def _kind(name: str) -> type[Signal]:
    if ":" in name or name.endswith(".py"):
        kind = named(name, "signal")
        if not (isinstance(kind, type) and issubclass(kind, Signal)):
            raise InputError(
                f"Expected a signal, a class derived from gio_pyro.signals.Signal, but got {name}; derive it."
            )
        return kind
    for known, kind in NAMES.items():
        if _plain(known) == _plain(name):
            return kind
    raise InputError(f"Expected a signal among {', '.join(NAMES)}, or file.py:Name, but got {name[:80]!r}; name one.")


def _plain(name: str) -> str:
    return name.replace("_", "").replace("-", "").lower()
