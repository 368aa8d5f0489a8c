"""The contract between the engine and Pyro programs: condition, replay, score per example."""

from gio_pyro.programs.build import build_guide, build_model, reference, resolve
from gio_pyro.programs.expectations import Imagined, every_action, imagine, score_every_action
from gio_pyro.programs.program import (
    Guide,
    Model,
    Program,
    all_actions,
    detached,
    log_probs,
    without_validation,
)

__all__ = [
    "Guide",
    "Imagined",
    "Model",
    "Program",
    "all_actions",
    "build_guide",
    "build_model",
    "detached",
    "every_action",
    "imagine",
    "log_probs",
    "reference",
    "resolve",
    "score_every_action",
    "without_validation",
]
