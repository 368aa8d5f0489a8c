"""Restore the state of optimisers, moments and learning rates, after checking that it fits the parameters."""

from typing import Any

import torch
from torch import Tensor, nn

from gio_pyro.errors import CheckpointError


def restore_optimiser(optimiser: torch.optim.Optimizer, saved: dict[str, Any]) -> None:
    """Restore moments and learning rates; all other options stay as the optimiser was built with.

    Raises:
        CheckpointError: the state is of other parameters, or its shapes or dtypes do not fit these.
    """
    own = optimiser.state_dict()["param_groups"]
    if [group["params"] for group in own] != [group["params"] for group in saved["param_groups"]]:
        raise CheckpointError("Expected an optimiser of the same parameters, but it is of others.")
    numbers = {number for group in own for number in group["params"]}
    names = _moment_names(optimiser)
    for number, moments in saved["state"].items():  # a fused step does not check the shapes of moments
        if number not in numbers or not isinstance(moments, dict) or moments.keys() != names:
            raise CheckpointError("Expected the optimiser's moments to be those of its parameters, but they are not.")
    groups = [
        mine | {"lr": _learning_rate(theirs["lr"])} for mine, theirs in zip(own, saved["param_groups"], strict=True)
    ]
    for number, parameter in enumerate(p for group in optimiser.param_groups for p in group["params"]):
        _require_moments_fit(saved["state"].get(number, {}), parameter)
    optimiser.load_state_dict({"state": saved["state"], "param_groups": groups})


def _moment_names(optimiser: torch.optim.Optimizer) -> set[str]:
    """Return the names of an optimiser's state per parameter, read from a probe after one step."""
    parameter = nn.Parameter(torch.zeros(1))
    probe = type(optimiser)([parameter], **optimiser.defaults)
    parameter.grad = torch.zeros(1)
    probe.step()
    return set(probe.state[parameter])


def _require_moments_fit(moments: dict[str, Any], parameter: Tensor) -> None:
    for name, value in moments.items():
        shape, kind = (torch.Size([]), torch.float32) if name == "step" else (parameter.shape, parameter.dtype)
        fits = isinstance(value, Tensor) and value.shape == shape and value.dtype in (kind, parameter.dtype)
        if not fits or value.layout != torch.strided or not bool(value.isfinite().all()):
            raise CheckpointError(f"Expected the optimiser's {name} to fit its parameter, but it does not.")


def _learning_rate(value: Any) -> float:
    if not isinstance(value, float | int) or isinstance(value, bool) or not 0.0 <= value < float("inf"):
        raise CheckpointError(f"Expected a learning rate of at least 0, but got {str(value)[:80]}.")
    return value
