"""The contract between the engine and Pyro programs: condition, replay, score each example."""

from gio_pyro.programs.build import (
    build_guide,
    build_model,
    build_pair,
    chosen_programs,
    construct,
    default_programs,
    example,
)
from gio_pyro.programs.expectations import (
    ActionSamples,
    FutureSamples,
    drawn,
    every_action,
    imagine,
    sample_actions,
    systematic,
)
from gio_pyro.programs.guide import Guide
from gio_pyro.programs.imports import load_named, reference, resolve
from gio_pyro.programs.model import Model
from gio_pyro.programs.modes import fitting, frozen_parameters, without_validation
from gio_pyro.programs.program import Program
from gio_pyro.programs.scores import all_actions, detached, log_probs, uniform_actions

__all__ = [
    "ActionSamples",
    "FutureSamples",
    "Guide",
    "Model",
    "Program",
    "all_actions",
    "build_guide",
    "build_model",
    "build_pair",
    "chosen_programs",
    "construct",
    "default_programs",
    "detached",
    "drawn",
    "every_action",
    "example",
    "fitting",
    "frozen_parameters",
    "imagine",
    "load_named",
    "log_probs",
    "reference",
    "resolve",
    "sample_actions",
    "systematic",
    "uniform_actions",
    "without_validation",
]
