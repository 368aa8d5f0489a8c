"""Objectives by name: those of this library, and the ELBOs of `pyro.infer` with arguments in brackets."""

import inspect
from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Any

from pyro.infer import ELBO

from gio_pyro.errors import InputError, closest, shown
from gio_pyro.inference.call_text import call_text, is_literal
from gio_pyro.inference.objectives import Elbo, ForwardKL, Objective, Sleep, WakeSleep
from gio_pyro.inference.pyro_elbo import PYRO_ELBOS, PyroElbo
from gio_pyro.inference.trajectory import TrajectoryElbo, WeightedTrajectoryElbo
from gio_pyro.programs import Guide, reference
from gio_pyro.programs.registry import Registry, is_import_path

OBJECTIVES: Mapping[str, Callable[[int], Objective]] = MappingProxyType(
    {
        "elbo": lambda samples: Elbo(samples),
        "joint_elbo": lambda samples: Elbo(samples, joint=True),
        "forward_kl": lambda samples: ForwardKL(),
        "sleep": lambda samples: Sleep(samples),
        "wake_sleep": lambda samples: WakeSleep(),
        "trajectory_elbo": lambda samples: TrajectoryElbo(samples=samples),
        "weighted_trajectory_elbo": lambda samples: WeightedTrajectoryElbo(),
    }
)
"""A constructor for each objective; its argument is the number of samples where a sum cannot be enumerated."""


ObjectiveLike = str | Objective | ELBO
"""What names or is an objective."""


def objective_named(objective: ObjectiveLike, *, samples: int = 1) -> Objective:
    """Return an objective.

    Args:
        objective: a name in `OBJECTIVES`; an ELBO of `pyro.infer`, or a class derived from ELBO in a module or file, as
            text with arguments: "RenyiELBO(alpha=0.5, num_particles=4)"; an instance of one, which is copied; or a
            function.
        samples: actions sampled where a sum cannot be enumerated.

    Raises:
        InputError: an unknown name or argument.
        ProgramError: a file or module that does not exist or does not import.
    """
    if isinstance(objective, ELBO):
        return PyroElbo(objective, samples)
    if callable(objective) and not isinstance(objective, type):
        return objective
    if isinstance(objective, type) and issubclass(objective, ELBO):
        raise InputError(
            f"Expected an instance of an ELBO, but got {shown(objective)}; call it: {objective.__name__}()."
        )
    if isinstance(objective, str) and objective in OBJECTIVES:
        return OBJECTIVES[objective](samples)
    bare = objective.partition("(")[0].strip() if isinstance(objective, str) else ""
    if bare not in PYRO_ELBOS and not is_import_path(bare):
        raise InputError(
            f"Expected an objective among {', '.join(OBJECTIVES)}, or an ELBO of pyro.infer, but got {shown(objective)}"
            f"{closest(objective, [*OBJECTIVES, *PYRO_ELBOS])}; name one, or pass a function."
        )
    registry: Registry[ELBO] = Registry("objective", "pyro.infer", ELBO, PYRO_ELBOS)
    return PyroElbo(registry.build(str(objective), (), {}), samples)


def objective_for(guide: Guide, given: ObjectiveLike | None, *, samples: int) -> Objective:
    """Return the objective given; for None the one in the guide's attribute `objective`, else `sleep`."""
    chosen = None if isinstance(given, str) and not given else given
    own = getattr(guide.program, "objective", None) or "sleep"
    return objective_named(own if chosen is None else chosen, samples=samples)


def objective_text(given: ObjectiveLike | None) -> str | None:
    """Return the text of an ELBO of `pyro.infer`, or the import path of another objective's class or function."""
    if given is None or isinstance(given, str):
        return given
    kind = type(given)
    arguments = _arguments(given) if PYRO_ELBOS.get(kind.__name__) is kind else None
    return reference(given) if arguments is None else call_text(kind.__name__, arguments)


def _arguments(elbo: Any) -> dict[str, Any] | None:
    """Return the arguments of an ELBO that are not the defaults, read from its attributes; None if they are no text.

    The number of nested plates is left out: an ELBO that was used before has that of another model.
    """
    found = {}
    for name, parameter in inspect.signature(type(elbo)).parameters.items():
        default = elbo.num_particles if name == "num_sleep_particles" else parameter.default
        value = getattr(elbo, name, default)
        if name == "max_plate_nesting" or value == default:
            continue
        if not is_literal(value):
            return None
        found[name] = value
    return found


def sequence_length_of(objective: Objective) -> int:
    """Return how many successive transitions an objective needs: its attribute `steps`, or 1."""
    return int(getattr(objective, "steps", 1))
