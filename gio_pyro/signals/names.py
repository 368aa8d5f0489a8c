"""Registry of signals by name."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from gio_pyro.programs.registry import Registry
from gio_pyro.signals.base import Fitted, Signal
from gio_pyro.signals.control import Control
from gio_pyro.signals.disagreement import Disagreement
from gio_pyro.signals.empowerment import Empowerment
from gio_pyro.signals.information_gain import InformationGain
from gio_pyro.signals.learning_progress import LearningProgress
from gio_pyro.signals.linear_embedding import LinearEmbedding
from gio_pyro.signals.prediction_error import PredictionError
from gio_pyro.signals.random_network_distillation import RandomNetworkDistillation
from gio_pyro.signals.reachability import Reachability
from gio_pyro.signals.reconstruction_error import ReconstructionError
from gio_pyro.signals.regional_progress import RegionalProgress

NAMES: Mapping[str, type[Signal]] = MappingProxyType(
    {
        kind.__name__: kind
        for kind in (
            Control,
            Empowerment,
            PredictionError,
            LinearEmbedding,
            ReconstructionError,
            Disagreement,
            InformationGain,
            LearningProgress,
            RegionalProgress,
            Reachability,
            RandomNetworkDistillation,
        )
    }
)
"""Signals of the library by class name."""


def signal_named(text: str, fitted: Fitted, **settings: Any) -> Signal:
    """Return the signal with a name, built from the fitted programs and its own settings.

    Args:
        text: one of `NAMES`, in any spelling of it (random_network_distillation), or `package.module:Name` or
            `path/file.py:Name` for a custom class; settings may follow in brackets: `Empowerment(3)`.
        fitted: spaces, future and programs of the agent.
        settings: further keyword settings of that signal.

    Raises:
        InputError: an unknown name, an unknown setting, or an object that is not a signal.
        ProgramError: a file or module that does not exist or cannot be imported.
    """
    return Registry("signal", "gio_pyro.signals", Signal, NAMES).build(text, (fitted,), settings)
