"""Conformance checks of a world model p(z, x, r|belief, a) and of its filter q(z|belief, a, x, r)."""

from typing import Any

from gio_pyro.beliefs.build import world_programs
from gio_pyro.beliefs.check_batch import require_world_spec
from gio_pyro.beliefs.construction import world_of
from gio_pyro.beliefs.contract import require_filter, require_world_model
from gio_pyro.beliefs.programs import WorldModel
from gio_pyro.programs import construct, resolve
from gio_pyro.programs.check_batch import running_check
from gio_pyro.testing.models import CPU, program_name
from gio_pyro.types import WorldSpec


def check_world_model(world_model: Any, spec: WorldSpec, filter: Any = None) -> None:
    """Check a world model: a name, a class built from `spec`, or a program `(belief, action, seen=None)`.

    It must sample "state" and "observation", may sample "reward" and "terminated" after an action, and nothing else;
    have a distribution over the space of each for each example of a batch on its own, and score deterministically;
    observe what was seen as data; modify neither its inputs nor itself; and pass gradients to its parameters. The
    beliefs that it is given are those of the filter, or of the one that it names (attribute `filter`), or random
    numbers where there is none. `GIO` runs the same check.

    Raises:
        ProgramError: the first requirement that is violated, and how to meet it.
        InputError: a spec whose spaces are not supported.
    """
    require_world_spec(spec)
    with running_check(program_name(world_model), CPU):
        if filter is None and getattr(resolve(world_model, "world_model"), "filter", None) is None:
            require_world_model(WorldModel(construct(resolve(world_model, "world_model"), spec)), spec)
            return
        named = world_programs(world_model, filter)
        world = world_of(named["world_model"], named["filter"], spec)
        require_world_model(world.model, spec, world.filter)


def check_filter(filter: Any, world_model: Any, spec: WorldSpec) -> None:
    """Check a filter of a world model: a name, a class built from `spec`, or a program `(belief, action, seen)`.

    It must sample "state", from the states of the world model, and nothing else; return the belief after, finite and
    `[B, belief_size]`, also where no reward or no termination is known; treat each example of a batch on its own and
    score deterministically; modify neither its inputs nor itself; leave the world model's parameters to the world
    model; and pass gradients to its own, if it has any. `GIO` runs the same check.

    Raises:
        ProgramError: the first requirement that is violated, and how to meet it.
        InputError: a spec whose spaces are not supported.
    """
    require_world_spec(spec)
    with running_check(program_name(filter), CPU):
        world = world_of(world_model, filter, spec)
        require_filter(world.filter, world.model, spec)
