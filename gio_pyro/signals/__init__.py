"""Intrinsic signals: additional rewards of transitions, computed from fitted programs (theory, section 7)."""

from gio_pyro.signals.base import Fitted, Signal
from gio_pyro.signals.control import Control
from gio_pyro.signals.disagreement import Disagreement
from gio_pyro.signals.empowerment import Empowerment
from gio_pyro.signals.information_gain import InformationGain
from gio_pyro.signals.learning_progress import LearningProgress
from gio_pyro.signals.linear_embedding import LinearEmbedding
from gio_pyro.signals.names import NAMES, signal_named
from gio_pyro.signals.prediction_error import PredictionError
from gio_pyro.signals.random_network_distillation import RandomNetworkDistillation
from gio_pyro.signals.reachability import Reachability
from gio_pyro.signals.reconstruction_error import ReconstructionError
from gio_pyro.signals.regional_progress import RegionalProgress

__all__ = [
    "NAMES",
    "Control",
    "Disagreement",
    "Empowerment",
    "Fitted",
    "InformationGain",
    "LearningProgress",
    "LinearEmbedding",
    "PredictionError",
    "RandomNetworkDistillation",
    "Reachability",
    "ReconstructionError",
    "RegionalProgress",
    "Signal",
    "signal_named",
]
