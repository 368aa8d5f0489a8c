"""The contract between the engine and Pyro programs: condition, replay, score per example."""

from gio_pyro.programs.build import (
    build_guide,
    build_model,
    build_pair,
    chosen_programs,
    construct,
    default_programs,
    example,
    named,
    reference,
    resolve,
)
from gio_pyro.programs.expectations import ActionSamples, Imagined, choices, drawn, every_action, imagine
from gio_pyro.programs.program import (
    Guide,
    Model,
    Program,
    all_actions,
    detached,
    fitting,
    frozen,
    log_probs,
    without_validation,
)

__all__ = [
    "ActionSamples",
    "Guide",
    "Imagined",
    "Model",
    "Program",
    "all_actions",
    "build_guide",
    "build_model",
    "build_pair",
    "choices",
    "chosen_programs",
    "construct",
    "default_programs",
    "detached",
    "drawn",
    "every_action",
    "example",
    "fitting",
    "frozen",
    "imagine",
    "log_probs",
    "named",
    "reference",
    "resolve",
    "without_validation",
]
