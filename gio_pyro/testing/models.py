"""Conformance check of a model p_ψ(F|s, a)."""

from typing import Any

import torch

from gio_pyro.programs import Model, construct, resolve
from gio_pyro.programs.check_batch import ExampleBatch, running_check
from gio_pyro.programs.contract import require_model
from gio_pyro.types import Spec

CPU = torch.device("cpu")


def check_model(model: Any, spec: Spec) -> None:
    """Check a model p_ψ: a name, a class built from `spec`, or a program `(policy, state, future=None)`.

    It must sample "action" from the policy and "future" given state and action, and nothing else; score each example of
    a batch on its own and deterministically; observe `future` as data; modify neither its inputs nor itself; depend on
    the action, unless it sets `ignores_action = True`; and pass gradients to its parameters, and for continuous actions
    from its futures to the action. `GIO` runs the same check.

    Raises:
        ProgramError: the first requirement that is violated, and how to meet it.
        InputError: a spec whose spaces are not supported.
    """
    with running_check(program_name(model), CPU):
        batch = ExampleBatch.of(spec)
        require_model(Model(construct(resolve(model, "model"), spec)), spec, batch)


def program_name(program: Any) -> str:
    """Return the name of a program that is not yet built, for messages."""
    return program if isinstance(program, str) else getattr(program, "__name__", type(program).__name__)
