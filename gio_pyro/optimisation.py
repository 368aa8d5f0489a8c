"""One step of gradient descent that never asks the device for a number."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn


def adam(groups: Sequence[nn.Parameter] | Sequence[dict[str, object]], learning_rate: float) -> torch.optim.Adam:
    """Return Adam over parameters, or over groups with step sizes of their own."""
    return torch.optim.Adam(groups, lr=learning_rate, fused=True)


def descend(optimiser: torch.optim.Optimizer, loss: Tensor) -> None:
    """Take one step down `loss`, for the optimiser's own parameters only; one that is not finite changes nothing.

    The fused step is told on the device whether to skip, as torch's gradient scaler does it, so nothing waits for the
    host.
    """
    optimiser.zero_grad()
    own = [parameter for group in optimiser.param_groups for parameter in group["params"]]
    loss.backward(inputs=own)  # type: ignore[no-untyped-call]
    optimiser.found_inf = (~torch.isfinite(loss.detach())).float()  # type: ignore[attr-defined]
    optimiser.step()
