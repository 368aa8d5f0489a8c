"""Optimisers by name, class or instance: those of torch and of Pyro.

    "SGD(lr=0.01, momentum=0.9)"            a class of torch.optim
    "ClippedAdam(lr=0.01, clip_norm=10)"    a class of pyro.optim
    "Adam(lr=0.01, clip_norm=10)"           with Pyro's clipping of each parameter's gradient
    torch.optim.AdamW, functools.partial(torch.optim.SGD, momentum=0.9), pyro.optim.Adam({"lr": 0.01})
    "package.module:Name(...)", "file.py:Name(...)"

An `lr` is that of both programs; without one each program has its own `learning_rate`, or the agent's.
"""

import inspect
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from types import MappingProxyType
from typing import Any

import torch
from pyro.optim import PyroOptim
from pyro.optim.adagrad_rmsprop import AdagradRMSProp
from pyro.optim.clipped_adam import ClippedAdam
from pyro.optim.dct_adam import DCTAdam
from pyro.optim.lr_scheduler import PyroLRScheduler
from torch import nn
from torch.optim import Optimizer

from gio_pyro.errors import InputError, closest, describe_error, shown
from gio_pyro.inference.call_text import call_text
from gio_pyro.nn.gradient_step import adam
from gio_pyro.programs import reference
from gio_pyro.programs.registry import Registry
from gio_pyro.utils.calls import parse_call

UNSUPPORTED = ("Optimizer", "LBFGS", "SparseAdam")
"""The base class, and optimisers that need a closure or sparse gradients."""

OPTIMISERS: Mapping[str, type[Optimizer]] = MappingProxyType(
    {
        name: kind
        for name, kind in vars(torch.optim).items()
        if isinstance(kind, type) and issubclass(kind, Optimizer) and name not in UNSUPPORTED
    }
    | {kind.__name__: kind for kind in (AdagradRMSProp, ClippedAdam, DCTAdam)}
)
"""The optimisers of torch and Pyro by name."""

CLIPPING = ("clip_norm", "clip_value")
"""Pyro's arguments for clipping the gradient of each parameter, beside those of the optimiser."""

OptimLike = str | type[Optimizer] | Callable[..., Optimizer] | PyroOptim
"""What names or is an optimiser."""


@dataclass(frozen=True)
class Optim:
    """A constructor of optimisers, `constructor(parameters, **arguments)`, and how gradients are clipped before a step.

    The default is Adam as the library's other networks use it.
    """

    constructor: Callable[..., Optimizer] | None = None
    arguments: Mapping[str, Any] = field(default_factory=dict)
    clipping: Mapping[str, Any] = field(default_factory=dict)

    def build(self, programs: Sequence[tuple[list[nn.Parameter], float]]) -> Optimizer:
        """Return an optimiser over the parameters of programs, each with its learning rate."""
        groups: list[dict[str, Any]] = [{"params": parameters, "lr": rate} for parameters, rate in programs]
        if self.constructor is None:
            return adam(groups, groups[-1]["lr"])
        if "lr" in self.arguments or not _accepts(self.constructor, "lr"):
            groups = [{"params": group["params"]} for group in groups]
        more = {} if "lr" in self.arguments or "lr" not in groups[-1] else {"lr": groups[-1]["lr"]}
        name = getattr(self.constructor, "__name__", "the optimiser")
        try:
            made = self.constructor(groups, **more, **self.arguments)
        except Exception as error:
            raise InputError(
                f"Expected {name} to take the arguments of optim, but it raised {describe_error(error, 150)}; "
                "correct them."
            ) from error
        if not isinstance(made, Optimizer):
            raise InputError(f"Expected optim to build an optimiser of torch, but got {shown(made)}; pass its class.")
        return made

    @property
    def clip(self) -> Callable[[Sequence[nn.Parameter]], None] | None:
        """What clips gradients before a step, or None."""
        return partial(clip_gradients, **self.clipping) if self.clipping else None


def clip_gradients(
    parameters: Sequence[nn.Parameter], clip_norm: float | None = None, clip_value: float | None = None
) -> None:
    """Clip the norm, and the values, of the gradient of each parameter, as `pyro.optim.PyroOptim` does."""
    for parameter in parameters:
        if parameter.grad is not None and clip_norm is not None:
            nn.utils.clip_grad_norm_(parameter, clip_norm)
        if parameter.grad is not None and clip_value is not None:
            nn.utils.clip_grad_value_(parameter, clip_value)


def optim_from(given: OptimLike | Optim | None) -> Optim:
    """Return the optimiser that a text names, or that a class, a partial or an instance of `pyro.optim` is.

    Raises:
        InputError: an unknown name or argument, an optimiser instance of torch, whose parameters are other ones, a
            scheduler, or arguments for each parameter.
        ProgramError: a file or module that does not exist or does not import.
    """
    if given is None:
        return Optim()
    if isinstance(given, Optim):
        return given
    if isinstance(given, str):
        return _from_text(given)
    if isinstance(given, PyroOptim):
        return _from_pyro(given)
    if isinstance(given, Optimizer) or not callable(given):
        raise InputError(
            f"Expected optim as text, a class of torch.optim or an instance of pyro.optim, but got {shown(given)}; "
            'pass e.g. "SGD(lr=0.01)".'
        )
    if isinstance(given, partial) and not given.args:
        return _checked(given.func, dict(given.keywords))
    return Optim(given)


def optim_text(given: OptimLike | None) -> str | None:
    """Return the text of an optimiser of torch or Pyro, or the import path of another one's class or function."""
    if given is None or isinstance(given, str):
        return given
    optim = optim_from(given)
    kind = optim.constructor
    arguments = {**optim.arguments, **optim.clipping}
    name = getattr(kind, "__name__", "")
    return call_text(name if OPTIMISERS.get(name) is kind else reference(kind), arguments)


def _from_text(text: str) -> Optim:
    name, bracket, rest = text.partition("(")
    valid, positional, arguments = parse_call(f"_{bracket}{rest}")
    registry = Registry("optimiser", "torch.optim", Optimizer, OPTIMISERS)
    kind = registry.find_class(name.strip())
    if not valid:
        raise InputError(
            f"Expected an optimiser with its arguments in brackets, but got {shown(text, 80)}; write e.g. SGD(lr=0.01)."
        )
    names = list(inspect.signature(kind).parameters)[1:]
    for number, value in enumerate(positional):
        if isinstance(value, dict):  # as in pyro.optim: arguments, then those of clipping
            arguments = {**value, **arguments}
        elif number < len(names):
            arguments[names[number]] = value
    return _checked(kind, arguments)


def _from_pyro(given: PyroOptim) -> Optim:
    if isinstance(given, PyroLRScheduler):
        raise InputError(
            "Expected an optimiser without a schedule, but got a PyroLRScheduler; pass the optimiser itself, such as "
            "pyro.optim.ClippedAdam, whose lrd decays the learning rate."
        )
    if callable(given.pt_optim_args) or callable(given.pt_clip_args):
        raise InputError(
            "Expected one set of arguments for all parameters, but the optimiser of pyro.optim has a function of the "
            "parameter's name; pass a dictionary."
        )
    return _checked(given.pt_optim_constructor, {**given.pt_optim_args, **given.pt_clip_args})


def _checked(kind: Any, arguments: dict[str, Any]) -> Optim:
    """Return an `Optim`, with Pyro's arguments of clipping apart; raise `InputError` for an unknown argument."""
    clipping = {name: arguments.pop(name) for name in CLIPPING if name in arguments and not _accepts(kind, name)}
    for name, value in arguments.items():
        if isinstance(value, float) and not math.isfinite(value):
            raise InputError(f"Expected a finite {name} of the optimiser, but got {value}; give a smaller number.")
        if not _accepts(kind, name):
            known = list(inspect.signature(kind).parameters)[1:]
            raise InputError(
                f"Expected {getattr(kind, '__name__', 'the optimiser')} with its own arguments "
                f"({', '.join(known)[:120]}), but got {shown(name)}{closest(name, known)}; use those."
            )
    return Optim(kind, arguments, clipping)


def _accepts(constructor: Any, name: str) -> bool:
    """Return whether a constructor has an argument of this name, or takes any."""
    try:
        parameters = inspect.signature(constructor).parameters
    except (TypeError, ValueError):
        return True
    return name in parameters or any(p.kind is p.VAR_KEYWORD for p in parameters.values())
