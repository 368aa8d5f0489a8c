"""Conformance check of a guide q_φ(a|s, F)."""

from typing import Any

from gio_pyro.inference import objective_for
from gio_pyro.programs import Model, construct, resolve
from gio_pyro.programs.build import construct_guide
from gio_pyro.programs.check_batch import ExampleBatch, running_check
from gio_pyro.programs.contract import prepare_model, require_guide
from gio_pyro.testing.models import CPU, program_name
from gio_pyro.types import Spec


def check_guide(guide: Any, model: Any, spec: Spec) -> None:
    """Check a guide q_φ for a model: a name, a class built from `spec`, or a program `(policy, state, future)`.

    It must sample "action" and nothing else; score each example of a batch on its own and deterministically; modify
    neither its inputs nor itself; depend on the future, unless it sets `ignores_future = True`; and pass gradients to
    its parameters, if it has any, and for continuous actions and futures to the future. `GIO` runs the same check.

    Raises:
        ProgramError: the first requirement that is violated, and how to meet it.
        InputError: a spec whose spaces are not supported, or a guide that sets an unknown objective.
    """
    with running_check(program_name(model), CPU):
        batch = ExampleBatch.of(spec)
        prepared = Model(construct(resolve(model, "model"), spec))
        prepare_model(prepared, batch)
    with running_check(program_name(guide), CPU):
        built = construct_guide(prepared, resolve(guide, "guide"), spec)
        require_guide(built, prepared, spec, batch)
        objective_for(built, None, samples=1)
