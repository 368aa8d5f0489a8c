"""The contract between the engine and Pyro programs: condition, replay, score per example."""

from gio_pyro.programs.build import (
    build_guide,
    build_model,
    build_pair,
    chosen_programs,
    construct,
    default_programs,
    example,
    load_named,
    reference,
    resolve,
)
from gio_pyro.programs.expectations import ActionSamples, FutureSamples, drawn, every_action, imagine, sample_actions
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
    "frozen",
    "imagine",
    "load_named",
    "log_probs",
    "reference",
    "resolve",
    "sample_actions",
    "without_validation",
]
