"""Refuse programs that do not fit into memory before their parameters are allocated."""

import pyro
import torch
from gymnasium.spaces import Discrete

from gio_pyro.types import PyroProgram, Spec, WorldSpec
from gio_pyro.utils.memory import COPIES_PER_PARAMETER, MemoryCheck, free_bytes


def memory_checked(program: PyroProgram, name: str, spec: Spec | WorldSpec) -> MemoryCheck:
    """Return a context that raises `InputError` if a program and its training would not fit into memory."""

    def build() -> object:
        with pyro.settings.context(module_local_params=True):
            return program(spec)

    return MemoryCheck(f"{name} and its training", smaller_programs(spec), torch.get_default_device(), build)


def smaller_programs(spec: Spec | WorldSpec) -> str:
    """Return advice on programs that need less memory: networks instead of tables, or smaller networks."""
    if isinstance(spec, WorldSpec) or not all(
        isinstance(space, Discrete) for space in (spec.state_space, spec.action_space, spec.future_space)
    ):
        return f"lower hidden={spec.hidden}, or wrap the environment to show less"
    states, actions, futures = spec.sizes()
    units = max(spec.hidden, default=0)
    networks = COPIES_PER_PARAMETER * 4 * units * (2 * states + 2 * actions + 2 * futures + 2 * units)
    if networks < states * actions * futures and networks < free_bytes(torch.get_default_device()):
        return "take model=CategoricalNetworkModel, guide=CategoricalNetworkGuide and batch_size=256"
    return "wrap the environment to have fewer states, or take another future"
