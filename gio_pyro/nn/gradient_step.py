"""Gradient steps on a loss.

A step with a fused optimiser does not wait for the device, and is a list of tensor operations that `gio_pyro.nn.graphs`
captures.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from gio_pyro.nn.optimiser_state import grow_moments

Figures = dict[str, Tensor]
Loss = Callable[..., tuple[Tensor, Figures]]
"""`(context, *tensors) -> (loss, figures)`, on one device and without synchronising with it."""


def adam(groups: Sequence[nn.Parameter] | Sequence[dict[str, Any]], learning_rate: float) -> torch.optim.Adam:
    """Return Adam over parameters, or over parameter groups with their own learning rates."""
    return with_moments(torch.optim.Adam(groups, lr=learning_rate, fused=True))


def with_moments(adam: torch.optim.Adam) -> torch.optim.Adam:
    """Return a fused Adam with its moments, which torch creates at the first step: too late for a graph."""
    for group in adam.param_groups:
        for parameter in group["params"]:
            zero = torch.zeros_like(parameter, requires_grad=False)
            step = torch.zeros((), dtype=torch.float32, device=parameter.device)
            adam.state[parameter] = {"step": step, "exp_avg": zero, "exp_avg_sq": zero.clone()}
    return adam


@dataclass
class Descent:
    """Minimise one loss with one optimiser.

    A step whose loss or gradient is not finite changes no parameter: `found_inf` of a fused optimiser is set on the
    device, as torch's `GradScaler` does, without synchronising; other optimisers are not called then. The figure
    `NAME_gradient` is the gradient norm.
    """

    name: str

    loss: Loss
    optimiser: torch.optim.Optimizer | None
    """None if there are no parameters; then the loss is only computed."""
    clip: Callable[[Sequence[nn.Parameter]], None] | None = None
    """Clips gradients in place before the optimiser's step."""

    def step(self, context: Any, *tensors: Tensor) -> Figures:
        """Take one step and return the figures of the loss before the step, detached.

        Args:
            context: first argument of the loss.
            tensors: further arguments of the loss.
        """
        loss, figures, gradients = self._gradients(context, *tensors)
        if self.optimiser is None:
            return figures
        for parameter, gradient in zip(self.parameters(), gradients, strict=True):
            parameter.grad = gradient
        norm = nn.utils.get_total_norm([g for g in gradients if g is not None])
        finite = torch.isfinite(loss + norm)
        fused = bool(self.optimiser.defaults.get("fused"))
        if fused:
            self.optimiser.found_inf = (~finite).float()  # type: ignore[attr-defined]
        if fused or bool(finite):
            if self.clip is not None:
                self.clip(self.parameters())
            grow_moments(self.optimiser)
            self.optimiser.step()
        return figures | {f"{self.name}_gradient": norm}

    def parameters(self) -> list[nn.Parameter]:
        """Return the trained parameters."""
        groups = self.optimiser.param_groups if self.optimiser is not None else []
        return [parameter for group in groups for parameter in group["params"]]

    def _gradients(self, context: Any, *tensors: Tensor) -> tuple[Tensor, Figures, Sequence[Tensor | None]]:
        loss, figures = self.loss(context, *tensors)
        own = self.parameters()
        wanted = own if loss.requires_grad else []
        gradients = torch.autograd.grad(loss, wanted, allow_unused=True) if wanted else [None] * len(own)
        return loss.detach(), {name: value.detach() for name, value in figures.items()}, gradients
