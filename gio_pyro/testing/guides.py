"""What a guide must do."""

from typing import Any

from gio_pyro.inference import objective_for
from gio_pyro.programs import Model, construct, resolve
from gio_pyro.programs.build import guide_beside
from gio_pyro.programs.contract import prepare_model, require_guide
from gio_pyro.programs.setting import Setting, quietly
from gio_pyro.testing.models import CPU, called
from gio_pyro.types import Spec


def check_guide(guide: Any, model: Any, spec: Spec) -> None:
    """Check a guide q_φ beside a model: a name, a class built from `spec`, or a program `(policy, state, future)`.

    It must sample "action" and nothing else, one value and one log-probability for each example, the same every time;
    leave its inputs, and itself, as they are; depend on the future, unless it says `ignores_future = True`; and pass
    gradients to its parameters, if it has any. Where actions and futures are continuous it must also pass gradients on
    to the future. `GIO` refuses what is refused here.

    Raises:
        ProgramError: the first of these that does not hold, and what to do.
        InputError: a spec whose spaces are not supported, or a guide that asks for an unknown objective.
    """
    with quietly(called(model), CPU):
        setting = Setting.of(spec)
        beside = Model(construct(resolve(model, "model"), spec))
        prepare_model(beside, setting)
    with quietly(called(guide), CPU):
        built = guide_beside(beside, resolve(guide, "guide"), spec)
        require_guide(built, beside, spec, setting)
        objective_for(built, None, samples=1)
