"""The beliefs that an agent asks for: those of a world model's filter, or none."""

from typing import Any

import numpy as np
import torch
from gymnasium import Space
from gymnasium.spaces import Box

from gio_pyro.beliefs.observed import Observed
from gio_pyro.errors import InputError
from gio_pyro.programs import resolve
from gio_pyro.settings import Settings
from gio_pyro.types import PyroProgram

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
    from gio_pyro.beliefs.construction import build_beliefs  # what an agent without a world model does not need

    return build_beliefs(settings, programs, observations, actions, environments, device)


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
