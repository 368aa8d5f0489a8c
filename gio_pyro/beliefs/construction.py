"""Construct a world model and its filter, and the beliefs of both."""

import copy
from dataclasses import replace
from typing import Any

import torch
from gymnasium import Space
from torch import Tensor

from gio_pyro.beliefs.beliefs import Beliefs
from gio_pyro.beliefs.contract import require_filter, require_own_parameters, require_world_model
from gio_pyro.beliefs.programs import Filter, WorldModel
from gio_pyro.beliefs.world import World
from gio_pyro.programs import construct, example, resolve
from gio_pyro.programs.build import of_this_library
from gio_pyro.programs.check_batch import running_check
from gio_pyro.settings import Settings
from gio_pyro.types import PyroProgram, WorldSpec


def build_beliefs(
    settings: Settings,
    programs: dict[str, str | PyroProgram],
    observations: Space[Any],
    actions: Space[Any],
    environments: int,
    device: torch.device,
) -> Beliefs:
    """Return the beliefs that the programs ask for; arguments as for `gio_pyro.beliefs.beliefs_of`."""
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


def _several(space: Space[Any], count: int, device: torch.device) -> Tensor:
    return example(space, device).repeat_interleave(count, 0)
