"""What a model must do."""

from typing import Any

import torch

from gio_pyro.programs import Model, construct, resolve
from gio_pyro.programs.contract import require_model
from gio_pyro.programs.setting import Setting, quietly
from gio_pyro.types import Spec

CPU = torch.device("cpu")


def check_model(model: Any, spec: Spec) -> None:
    """Check a model p_ψ: a name, a class built from `spec`, or a program `(policy, state, future=None)`.

    It must sample "action" from the policy and "future" given both and nothing else, one value and one log-probability
    for each example, the same every time; take `future` as data; leave its inputs, and itself, as they are; depend on
    the action, unless it says `ignores_action = True`; and pass gradients to its parameters. Where actions are
    continuous its futures must also pass gradients on to the action. `GIO` refuses what is refused here.

    Raises:
        ProgramError: the first of these that does not hold, and what to do.
        InputError: a spec whose spaces are not supported.
    """
    with quietly(called(model), CPU):
        setting = Setting.of(spec)
        require_model(Model(construct(resolve(model, "model"), spec)), spec, setting)


def called(program: Any) -> str:
    """Return what a program is called before it is built, for messages."""
    return program if isinstance(program, str) else getattr(program, "__name__", type(program).__name__)
