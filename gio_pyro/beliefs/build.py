"""Build a world model and its filter from programs that a user names or passes."""

from dataclasses import replace
from typing import Any

import numpy as np
import torch
from gymnasium import Space
from gymnasium.spaces import Box
from torch import Tensor

from gio_pyro.beliefs.beliefs import Beliefs
from gio_pyro.beliefs.observed import Observed
from gio_pyro.beliefs.programs import Filter, WorldModel
from gio_pyro.beliefs.world import World
from gio_pyro.errors import InputError
from gio_pyro.programs import construct, example, resolve
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
    """Return the beliefs that the programs ask for; `Observed` without a world model."""
    if "world_model" not in programs:
        return Observed()
    spec = WorldSpec(observations, actions, settings.hidden)
    model = WorldModel(construct(resolve(programs["world_model"], "world_model"), spec))
    filter = Filter(construct(resolve(programs["filter"], "filter"), replace(spec, world_model=model.program)))
    world = World(model, filter).to(device)
    observation, action = (_several(space, environments, device) for space in (observations, actions))
    with torch.no_grad():
        belief = world.begin(observation)
        world.update(belief, action, world.imagine(belief, action).seen)
    return Beliefs(world, settings, observation, action).to(device)


def world_programs(world_model: Given, filter: Given) -> dict[str, str | PyroProgram]:
    """Return the programs by kind, the filter that the world model names in place of None; nothing without either.

    Raises:
        InputError: a filter without a world model, or a world model that names no filter.
    """
    if world_model is None:
        if filter is not None:
            raise InputError(
                f"Expected a filter beside a world model, but got {filter} without one; name one, such as "
                'world_model="RecurrentStateSpace".'
            )
        return {}
    chosen = getattr(resolve(world_model, "world_model"), "filter", None) if filter is None else filter
    if chosen is None:
        raise InputError(
            f"Expected a filter for the world model {world_model}, but it names none; pass filter=, or set its "
            "attribute filter."
        )
    return {"world_model": world_model, "filter": chosen}


def believed_space(programs: dict[str, str | PyroProgram], observations: Space[Any]) -> Space[Any]:
    """Return a space of the kind of the states: a Box of beliefs where there is a world model, else what is seen."""
    return Box(-np.inf, np.inf, (1,), np.float32) if programs else observations


def _several(space: Space[Any], count: int, device: torch.device) -> Tensor:
    return example(space, device).repeat_interleave(count, 0)
