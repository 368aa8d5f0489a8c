"""From what a user names or passes to a program that runs: names, import paths, files, classes and callables."""

import copy
import hashlib
import importlib
import importlib.util
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pyro
import torch
from gymnasium import Space
from gymnasium.spaces import Box, Discrete
from torch import Tensor, nn

from gio_pyro.errors import GioError, ProgramError, article, closest, describe_error, listed, shown
from gio_pyro.programs.contract import prepare_model, require_guide, require_model
from gio_pyro.programs.memory import sized
from gio_pyro.programs.program import Guide, Model, detached, require_fits, require_visible
from gio_pyro.programs.requirements import require_explores, require_pathwise
from gio_pyro.programs.setting import Setting, quietly
from gio_pyro.programs.sites import ACTION, FUTURE
from gio_pyro.types import Policy, PyroProgram, Spec

HOMES = {"model": "gio_pyro.models", "guide": "gio_pyro.guides", "future": "gio_pyro.futures"}


def default_programs(spec: Spec) -> dict[str, str]:
    """Return the names of the programs that fit the spaces where a user names none."""
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
    """Return one value of a Discrete or Box space, zero, as a batch of one."""
    if isinstance(space, Discrete):
        return torch.zeros(1, dtype=torch.long, device=device)
    assert space.shape is not None
    kind = torch.uint8 if isinstance(space, Box) and space.dtype == np.uint8 else torch.float32
    return torch.zeros(1, *space.shape, dtype=kind, device=device)


def resolve(name: str | PyroProgram, kind: str) -> PyroProgram:
    """Return the program that a name stands for; a program stands for itself.

    Args:
        name: `Name` (one of `gio_pyro.models` or `gio_pyro.guides`), `package.module:Name` or `path/file.py:Name`.
        kind: `"model"` or `"guide"`: where bare names are looked up.

    Raises:
        ProgramError: no such file, module or name; or the file fails when it is imported.
    """
    if not isinstance(name, str):
        if not callable(name):
            raise ProgramError(f"Expected a {kind}: a name, a class or a callable, but got {shown(name)}.")
        return name
    program: PyroProgram = load_named(name, kind)
    if not callable(program):
        raise ProgramError(f"Expected {name} to be a class or callable, but got {article(type(program).__name__)}.")
    return program


def load_named(name: str, kind: str) -> Any:
    """Return what `Name`, `package.module:Name` or `path/file.py:Name` stands for; see `resolve`."""
    place, _, attribute = name.rpartition(":")
    if not place and name.endswith(".py"):
        raise ProgramError(f"Expected a {kind} in a file as file.py:Name, but got {name!r}; say which as {name}:Name.")
    if not attribute or (not place and kind not in HOMES):
        raise ProgramError(
            f"Expected a {kind} as package.module:Name or file.py:Name, but got {shown(name)}; name both parts."
        )
    module = _import(place or HOMES[kind], name)
    if not hasattr(module, attribute):
        names = sorted(getattr(module, "__all__", _own_names(module)))
        known = (listed(names) or "nothing that could be one") + closest(attribute, names)
        raise ProgramError(f"Expected a {kind} named {shown(attribute)} in {place or HOMES[kind]}, which has: {known}.")
    return getattr(module, attribute)


def _own_names(module: ModuleType) -> list[str]:
    """The classes and functions that a module itself defines, those left out that it only imported."""
    public = {name: value for name, value in vars(module).items() if name[0] != "_" and callable(value)}
    return [name for name, value in public.items() if getattr(value, "__module__", None) == module.__name__]


def _import(place: str, name: str) -> ModuleType:
    if place.endswith(".py") and not Path(place).is_file():
        raise ProgramError(f"Expected a Python file at {place}, but there is none; check the path.")
    try:
        return _import_file(Path(place)) if place.endswith(".py") else importlib.import_module(place)
    except ModuleNotFoundError as error:
        if place.endswith(".py") or not f"{place}.".startswith(f"{error.name}."):  # it is there, what it imports is not
            raise ProgramError(
                f"Expected {place} to import, but it raised {describe_error(error, 120)}; install that "
                f"package, or correct the "
                "import."
            ) from error
        file = Path(f"{place.replace('.', '/')}.py")
        hint = f"a file is named {file}:{name.rpartition(':')[2]}" if file.is_file() else "check the spelling"
        raise ProgramError(f"Expected {name} to name a program, but {error}; {hint}.") from error
    except (Exception, SystemExit) as error:
        raise ProgramError(
            f"Expected {place} to import, but it raised {describe_error(error, 120)}; run it on its own."
        ) from error


def _import_file(path: Path) -> ModuleType:
    """Return the module of a file, which runs once: again only when it is another file, or its text has changed."""
    path = path.resolve()
    text = path.read_bytes()
    title = f"gio_pyro_user_{path.stem}_{hashlib.sha256(bytes(path) + text).hexdigest()[:16]}"
    if title in sys.modules:
        return sys.modules[title]
    spec = importlib.util.spec_from_file_location(title, path)
    assert spec is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[title] = module
    try:
        exec(compile(text, path, "exec"), vars(module))  # not what an older text of the same second was compiled to
    except BaseException:
        del sys.modules[title]
        raise
    return module


def reference(program: Any) -> str:
    """Return `package.module:Name` of a program's class or function, for records."""
    owner = program if hasattr(program, "__qualname__") else type(program)
    return f"{owner.__module__}:{owner.__qualname__}"


def build_model(program: PyroProgram, spec: Spec, policy: Policy, state: Tensor, *, known: bool = False) -> Model:
    """Return a ready `Model`: a class is built from `spec`, a module is copied, and it is run on `state` `[B]`.

    A copy of it is checked as `gio_pyro.testing.check_model` checks it, unless it is `known` to pass.
    """
    model, policy = Model(construct(program, spec)), detached(policy)
    if not known:
        with quietly(model.name, state.device):
            require_model(_apart(model, program, spec), spec, Setting.of(spec))
    with _first_run(model, "(policy, state, future=None)"):
        model.materialise(policy, state)
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


def _apart(model: Model, program: PyroProgram, spec: Spec) -> Model:
    """Return a copy of a model for a check; where what a class builds cannot be copied, one more of it."""
    try:
        return copy.deepcopy(model)
    except Exception:
        return Model(construct(program, spec))


def build_guide(
    program: PyroProgram, spec: Spec, model: Model, policy: Policy, state: Tensor, *, known: bool = False
) -> Guide:
    """Return a ready `Guide` fitted beside `model`, likewise; it is run on futures of that model."""
    guide, policy = guide_beside(model, program, spec), detached(policy)
    if not known:
        with quietly(guide.name, state.device):
            copied, beside = _both_apart(guide, model, program, spec)
            setting = Setting.of(spec)
            prepare_model(beside, setting)
            require_guide(copied, beside, spec, setting)
    guide.allowed = spec.allowed  # after the checks, which ask the program itself about states and actions of any kind
    with _first_run(guide, "(policy, state, future)"):
        action = policy(state).sample()
        future = model.future(policy, state, action).sample()
        guide.materialise(policy, state, future)
        require_fits(guide.name, ACTION, guide.posterior(policy, state, future), spec.action_space)
        with torch.enable_grad():
            require_visible(guide, guide.log_prob(policy, state, future, action))
        if guide.explorer is not None:
            require_explores(guide.name, guide.explorer(state), spec)
    return guide


def _both_apart(guide: Guide, model: Model, program: PyroProgram, spec: Spec) -> tuple[Guide, Model]:
    """Return copies of a guide and of the model that it may hold, for a check."""
    try:
        return copy.deepcopy((guide, model))
    except Exception:
        other = copy.deepcopy(model)
        return guide_beside(other, program, spec), other


def guide_beside(model: Model, program: PyroProgram, spec: Spec) -> Guide:
    """Return a guide built beside a model; raises `ProgramError` where it takes the model's parameters for its own."""
    guide = Guide(construct(program, replace(spec, model=model)))
    if not {id(p) for p in model.parameters()}.isdisjoint(id(p) for p in guide.parameters()):
        raise ProgramError(
            f"Expected {guide.name} to leave the model's parameters to the model, but it holds spec.model as a part of "
            "itself; keep it in a tuple, self.held = (spec.model,), and read it under torch.no_grad()."
        )
    return guide


@contextmanager
def _first_run(program: Model | Guide, signature: str) -> Iterator[None]:
    """Say in one sentence what a program raises when it meets its first example."""
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
    """Return the model and the guide of `programs`, by these names, ready on the device; see `resolve` for errors."""
    kinds = {kind: resolve(given, kind) for kind, given in programs.items()}
    first = example(spec.state_space, device)
    with torch.device(device):
        own = {kind: _of_this_library(given, kind) for kind, given in programs.items()}
        model = build_model(kinds["model"], spec, policy, first, known=own["model"]).to(device)
        return model, build_guide(kinds["guide"], spec, model, policy, first, known=own["guide"]).to(device)


def _of_this_library(given: str | PyroProgram, kind: str) -> bool:
    """Whether a program is named as one of this library, whose own tests check it for every kind of space."""
    return isinstance(given, str) and given in getattr(sys.modules.get(HOMES[kind]), "__all__", ())


def chosen_programs(
    spec: Spec, model: str | PyroProgram | None, guide: str | PyroProgram | None
) -> dict[str, str | PyroProgram]:
    """Return the programs that were given, and for None those that fit the spaces."""
    default = default_programs(spec)
    given = {"model": model, "guide": guide}
    return {kind: default[kind] if program is None else program for kind, program in given.items()}


def construct(program: PyroProgram, spec: Spec) -> PyroProgram:
    """Return what runs: a class is built from `spec`, a module that exists is copied, a function is taken as it is.

    Raises:
        ProgramError: the class does not take a spec, what it builds cannot be called, or a module cannot be copied.
    """
    if not isinstance(program, type):
        return _copied(program) if isinstance(program, nn.Module) else program
    try:
        with pyro.settings.context(module_local_params=True), sized(program, program.__name__, spec):
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


def _copied(program: nn.Module) -> nn.Module:
    try:
        return copy.deepcopy(program)
    except Exception as error:
        name = type(program).__name__
        raise ProgramError(
            f"Expected a {name} that can be copied, so that no two agents train the same one, but it raised "
            f"{describe_error(error, 120)}; pass the class {name} instead."
        ) from error
