"""Build a ready `Model` and `Guide` from programs that a user names or passes: construct, check, materialise."""

import copy
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import numpy as np
import pyro
import torch
from gymnasium import Space
from gymnasium.spaces import Box, Discrete
from torch import Tensor, nn

from gio_pyro.errors import GioError, ProgramError, describe_error
from gio_pyro.programs.check_batch import ExampleBatch, running_check
from gio_pyro.programs.contract import prepare_model, require_guide, require_model
from gio_pyro.programs.guide import Guide
from gio_pyro.programs.imports import HOMES, resolve
from gio_pyro.programs.latent_guides import bind_guide, find_latents
from gio_pyro.programs.memory_limit import memory_checked
from gio_pyro.programs.model import Model
from gio_pyro.programs.requirements import require_explores, require_fits, require_pathwise, require_visible
from gio_pyro.programs.scores import detached
from gio_pyro.programs.sites import ACTION, FUTURE
from gio_pyro.types import Policy, PyroProgram, Spec, WorldSpec


def default_programs(spec: Spec) -> dict[str, str]:
    """Return the names of the default programs for the spaces."""
    states, actions, futures = (
        isinstance(s, Discrete) for s in (spec.state_space, spec.action_space, spec.future_space)
    )
    tables = states and actions and futures
    discrete_model = "CategoricalModel" if tables else "CategoricalNetworkModel"
    discrete_guide = "CategoricalGuide" if tables else "CategoricalNetworkGuide"
    return {
        "model": discrete_model if futures else "GaussianModel",
        "guide": discrete_guide if actions else "GaussianGuide",
    }


def example(space: Space[Any], device: torch.device) -> Tensor:
    """Return zeros of a Discrete or Box space, a batch of one."""
    if isinstance(space, Discrete):
        return torch.zeros(1, dtype=torch.long, device=device)
    assert space.shape is not None
    kind = torch.uint8 if isinstance(space, Box) and space.dtype == np.uint8 else torch.float32
    return torch.zeros(1, *space.shape, dtype=kind, device=device)


def build_model(program: PyroProgram, spec: Spec, policy: Policy, state: Tensor, *, trusted: bool = False) -> Model:
    """Return a ready `Model`: a class is built from `spec`, a module is copied, and it is run on `state` `[B]`.

    A copy of it is checked as `gio_pyro.testing.check_model` does, unless it is `trusted`.
    """
    model, policy = Model(construct(program, spec)), detached(policy)
    if not trusted:
        with running_check(model.name, state.device):
            require_model(_copy_model(model, program, spec), spec, ExampleBatch.of(spec))
    with _first_run(model, "(policy, state, future=None)"):
        find_latents(model, policy, state, model.materialise(policy, state))
        require_fits(model.name, ACTION, model.site(ACTION, policy, state), spec.action_space)
        action = policy(state).sample()
        distribution = model.future(policy, state, action)
        require_fits(model.name, FUTURE, distribution, spec.future_space)
        require_pathwise(model, distribution, spec)
        future = distribution.sample()
        model.materialise(policy, state, future)
        with torch.enable_grad():
            require_visible(model, model.log_prob(policy, state, action, future))
    return model


def _copy_model(model: Model, program: PyroProgram, spec: Spec) -> Model:
    """Return a copy of a model for a check, or build another if it cannot be copied."""
    try:
        return copy.deepcopy(model)
    except Exception:
        return Model(construct(program, spec))


def build_guide(
    program: PyroProgram, spec: Spec, model: Model, policy: Policy, state: Tensor, *, trusted: bool = False
) -> Guide:
    """Return a ready `Guide` for `model`, as `build_model` does; it is run on futures of that model."""
    guide, policy = construct_guide(model, program, spec), detached(policy)
    if not trusted:
        with running_check(guide.name, state.device):
            guide_copy, model_copy = _copy_pair(guide, model, program, spec)
            batch = ExampleBatch.of(spec)
            prepare_model(model_copy, batch)
            require_guide(guide_copy, model_copy, spec, batch)
    guide.allowed = spec.allowed  # after the checks, whose random batch ignores masks
    with _first_run(guide, "(policy, state, future)"):
        action = policy(state).sample()
        future = model.future(policy, state, action).sample()
        bind_guide(guide, model, policy, guide.materialise(policy, state, future))
        require_fits(guide.name, ACTION, guide.posterior(policy, state, future), spec.action_space)
        with torch.enable_grad():
            require_visible(guide, guide.log_prob(policy, state, future, action))
        if guide.explorer is not None:
            require_explores(guide.name, guide.explorer(state), spec)
    return guide


def _copy_pair(guide: Guide, model: Model, program: PyroProgram, spec: Spec) -> tuple[Guide, Model]:
    """Return copies of a guide and of the model that it may hold, for a check, or build others."""
    try:
        return copy.deepcopy((guide, model))
    except Exception:
        other = copy.deepcopy(model)
        return construct_guide(other, program, spec), other


def construct_guide(model: Model, program: PyroProgram, spec: Spec) -> Guide:
    """Return a guide built for a model; raises `ProgramError` if it registers the model's parameters as its own."""
    guide = Guide(construct(program, replace(spec, model=model)))
    if not {id(p) for p in model.parameters()}.isdisjoint(id(p) for p in guide.parameters()):
        raise ProgramError(
            f"Expected {guide.name} to leave the model's parameters to the model, but it holds spec.model as a part of "
            "itself; keep it in a tuple, self.held = (spec.model,), and read it under torch.no_grad()."
        )
    return guide


@contextmanager
def _first_run(program: Model | Guide, signature: str) -> Iterator[None]:
    """Turn exceptions of a program's first run into `ProgramError`."""
    try:
        with torch.no_grad():
            yield
    except GioError:
        raise
    except (Exception, SystemExit) as error:
        raise ProgramError(
            f"Expected {program.name} to run as a program {signature}, but it raised {describe_error(error, 120)}; "
            "try gio_pyro.testing on it."
        ) from error


def build_pair(
    programs: Mapping[str, str | PyroProgram], spec: Spec, policy: Policy, device: torch.device
) -> tuple[Model, Guide]:
    """Return the model and the guide of `programs`, with these keys, ready on the device; see `resolve` for errors."""
    kinds = {kind: resolve(given, kind) for kind, given in programs.items()}
    first = example(spec.state_space, device)
    with torch.device(device):
        own = {kind: of_this_library(given, kind) for kind, given in programs.items()}
        model = build_model(kinds["model"], spec, policy, first, trusted=own["model"]).to(device)
        return model, build_guide(kinds["guide"], spec, model, policy, first, trusted=own["guide"]).to(device)


def of_this_library(given: str | PyroProgram, kind: str) -> bool:
    """Return whether a program is one of this library, which its tests check for every kind of space."""
    return isinstance(given, str) and given in getattr(sys.modules.get(HOMES[kind]), "__all__", ())


def chosen_programs(
    spec: Spec, model: str | PyroProgram | None, guide: str | PyroProgram | None
) -> dict[str, str | PyroProgram]:
    """Return the given programs, with defaults for the spaces in place of None."""
    default = default_programs(spec)
    given = {"model": model, "guide": guide}
    return {kind: default[kind] if program is None else program for kind, program in given.items()}


def construct(program: PyroProgram, spec: Spec | WorldSpec) -> PyroProgram:
    """Return a callable program: a class is built from `spec`, a module is copied, a function is returned as it is.

    Raises:
        ProgramError: the class does not take a spec, what it builds cannot be called, or a module cannot be copied.
    """
    if not isinstance(program, type):
        return _copy_module(program) if isinstance(program, nn.Module) else program
    try:
        with pyro.settings.context(module_local_params=True), memory_checked(program, program.__name__, spec):
            built: PyroProgram = program(spec)
    except GioError:
        raise
    except (Exception, SystemExit) as error:
        raise ProgramError(
            f"Expected {program.__name__}(spec) to build a program, but it raised "
            f"{describe_error(error, 120)}; take a spec, and "
            "call super().__init__() first."
        ) from error
    if not callable(built):
        raise ProgramError(
            f"Expected {program.__name__}(spec) to be callable, but it is not; give it a forward method."
        )
    return built


def _copy_module(program: nn.Module) -> nn.Module:
    try:
        return copy.deepcopy(program)
    except Exception as error:
        name = type(program).__name__
        raise ProgramError(
            f"Expected a {name} that can be copied, so that no two agents train the same one, but it raised "
            f"{describe_error(error, 120)}; pass the class {name} instead."
        ) from error
