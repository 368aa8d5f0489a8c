"""Restore the state of optimisers, moments and learning rates, after checking that it fits the parameters."""

import copy
from typing import Any

import torch
from torch import Tensor

from gio_pyro.errors import CheckpointError


def restore_optimiser(optimiser: torch.optim.Optimizer, saved: dict[str, Any]) -> None:
    """Restore moments and learning rates; all other options stay as the optimiser was built with.

    Raises:
        CheckpointError: the state is of other parameters, or its shapes or dtypes do not fit these.
    """
    own = optimiser.state_dict()["param_groups"]
    if [group["params"] for group in own] != [group["params"] for group in saved["param_groups"]]:
        raise CheckpointError("Expected an optimiser of the same parameters, but it is of others.")
    parameters = [parameter for group in optimiser.param_groups for parameter in group["params"]]
    expected = _state_after_a_step(optimiser)
    for number, found in saved["state"].items():  # a fused step does not check the shapes of moments
        known = isinstance(number, int) and 0 <= number < len(parameters)
        if not known or not isinstance(found, dict) or found.keys() != expected[number].keys():
            raise CheckpointError("Expected the optimiser's moments to be those of its parameters, but they are not.")
        _require_fits(found, expected[number], parameters[number].dtype)
    groups = [
        mine | ({"lr": _learning_rate(theirs["lr"])} if "lr" in mine else {})
        for mine, theirs in zip(own, saved["param_groups"], strict=True)
    ]
    optimiser.load_state_dict({"state": saved["state"], "param_groups": groups})


def grow_moments(optimiser: torch.optim.Optimizer) -> None:
    """Extend the moments of parameters that have grown at the end of a dimension; new entries have moments 0.

    The parameter had the largest size of its moments in each dimension; factored moments, which are smaller in some
    (Adafactor's), keep their size there.
    """
    for parameter, state in optimiser.state.items():
        now = parameter.shape
        moments = {name: m for name, m in state.items() if isinstance(m, Tensor) and m.ndim == len(now) > 0}
        then = [max(sizes) for sizes in zip(*(moment.shape for moment in moments.values()), strict=True)]
        if not moments or list(now) == then:
            continue
        for name, moment in moments.items():
            more = [new - old if size == old else 0 for size, new, old in zip(moment.shape, now, then, strict=True)]
            state[name] = torch.nn.functional.pad(moment, [n for each in reversed(more) for n in (0, each)])


def _state_after_a_step(optimiser: torch.optim.Optimizer) -> list[dict[str, Any]]:
    """Return the state of each parameter after a step of a copy of the optimiser, for its names, shapes and types."""
    probe = copy.deepcopy(optimiser)
    parameters = [parameter for group in probe.param_groups for parameter in group["params"]]
    for parameter in parameters:
        parameter.grad = torch.zeros_like(parameter)
    probe.step()
    return [probe.state[parameter] for parameter in parameters]


def _require_fits(found: dict[str, Any], expected: dict[str, Any], kind: torch.dtype) -> None:
    for name, value in found.items():
        like = expected[name]
        if not isinstance(like, Tensor):
            fits = type(value) is type(like)
        else:
            fits = isinstance(value, Tensor) and value.shape == like.shape and value.dtype in (like.dtype, kind)
            fits = fits and value.layout == torch.strided and bool(value.isfinite().all())
        if not fits:
            raise CheckpointError(f"Expected the optimiser's {name} to fit its parameter, but it does not.")


def _learning_rate(value: Any) -> float:
    if isinstance(value, Tensor) and value.ndim == 0 and value.is_floating_point():
        value = float(value)
    if not isinstance(value, float | int) or isinstance(value, bool) or not 0.0 <= value < float("inf"):
        raise CheckpointError(f"Expected a learning rate of at least 0, but got {str(value)[:80]}.")
    return value
