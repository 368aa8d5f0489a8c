"""Build a world model and its filter from programs that a user names or passes."""

import copy
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from gymnasium import Space
from gymnasium.spaces import Box
from torch import Tensor

from gio_pyro.beliefs.beliefs import Beliefs
from gio_pyro.beliefs.contract import require_filter, require_own_parameters, require_world_model
from gio_pyro.beliefs.observed import Observed
from gio_pyro.beliefs.programs import Filter, WorldModel
from gio_pyro.beliefs.world import World
from gio_pyro.errors import InputError
from gio_pyro.programs import construct, example, resolve
from gio_pyro.programs.build import of_this_library
from gio_pyro.programs.check_batch import running_check
from gio_pyro.settings import Settings
from gio_pyro.types import PyroProgram, WorldSpec

Given = str | PyroProgram | None


def beliefs_of(
    settings: Settings,
    programs: dict[str, str | PyroProgram],
    observations: Space[Any],
    actions: Space[Any],
    environments: int,
    device: torch.device,
) -> Observed:
    """Return the beliefs that the programs ask for; `Observed` without a world model.

    Programs that are not of this library are checked as `gio_pyro.testing` does.
    """
    if "world_model" not in programs:
        return Observed()
    spec = WorldSpec(observations, actions, settings.hidden)
    world = world_of(programs["world_model"], programs["filter"], spec).to(device)
    checked = [kind for kind in ("world_model", "filter") if not of_this_library(programs[kind], kind)]
    if checked:
        _check(world, programs, spec, checked, device)
    observation, action = (_several(space, environments, device) for space in (observations, actions))
    with torch.no_grad():
        belief = world.begin(observation)
        seen = world.imagine(belief, action).seen
        world.update(belief, action, seen)
        world.model.run(belief, action, seen)  # creates parameters used only with data
    return Beliefs(world, settings, observation, action).to(device)


def world_of(world_model: str | PyroProgram, filter: str | PyroProgram, spec: WorldSpec) -> World:
    """Return a world model and its filter, built for the spaces.

    Raises:
        ProgramError: a program that cannot be built, or a filter that registers the world model's parameters.
    """
    model = WorldModel(construct(resolve(world_model, "world_model"), spec))
    built = Filter(construct(resolve(filter, "filter"), replace(spec, world_model=model.program)))
    require_own_parameters(built, model)
    return World(model, built)


def _check(
    world: World, programs: dict[str, str | PyroProgram], spec: WorldSpec, kinds: list[str], device: torch.device
) -> None:
    """Check copies of the programs of these kinds, with random numbers of their own."""
    for kind in kinds:
        program = world.model if kind == "world_model" else world.filter
        with running_check(program.name, device):
            other = _copy(world, programs, spec).to(device)
            if kind == "world_model":
                require_world_model(other.model, spec, other.filter)
            else:
                require_filter(other.filter, other.model, spec)


def _copy(world: World, programs: dict[str, str | PyroProgram], spec: WorldSpec) -> World:
    """Return a copy of the programs for a check, or build others if they cannot be copied."""
    try:
        return copy.deepcopy(world)
    except Exception:
        return world_of(programs["world_model"], programs["filter"], spec)


def world_programs(world_model: Given, filter: Given) -> dict[str, str | PyroProgram]:
    """Return the programs by kind, the filter that the world model names in place of None; nothing without either.

    Raises:
        InputError: a filter without a world model, or a world model that names no filter.
    """
    if world_model is None:
        if filter is not None:
            raise InputError(
                f"Expected a filter beside a world model, but got {_name(filter)} without one; name one, such as "
                'world_model="RecurrentStateSpace".'
            )
        return {}
    chosen = getattr(resolve(world_model, "world_model"), "filter", None) if filter is None else filter
    if chosen is None:
        raise InputError(
            f"Expected a filter for the world model {_name(world_model)}, but it names none; pass filter=, or set its "
            "attribute filter."
        )
    return {"world_model": world_model, "filter": chosen}


def believed_space(programs: dict[str, str | PyroProgram], observations: Space[Any]) -> Space[Any]:
    """Return a space of the kind of the states: a Box of beliefs where there is a world model, else what is seen."""
    return Box(-np.inf, np.inf, (1,), np.float32) if programs else observations


def _name(program: str | PyroProgram) -> str:
    return program if isinstance(program, str) else getattr(program, "__name__", type(program).__name__)


def _several(space: Space[Any], count: int, device: torch.device) -> Tensor:
    return example(space, device).repeat_interleave(count, 0)
