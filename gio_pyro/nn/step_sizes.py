"""Step sizes that change as training goes on."""

from collections.abc import Iterable

import torch
from torch import Tensor

FIRST = "initial_lr"
"""Where an optimiser's group keeps its learning rate before the factor, as torch's own schedulers do."""


@torch.no_grad()
def scale_step_sizes(optimisers: Iterable[torch.optim.Optimizer], factor: float) -> None:
    """Set every learning rate to that at the beginning times a factor.

    Where the optimiser is fused, a learning rate becomes a tensor: graphs read it, and do not hold it as a constant.
    """
    for optimiser in optimisers:
        for group in optimiser.param_groups:
            rate = factor * group.setdefault(FIRST, float(group["lr"]))
            if not group.get("fused"):
                group["lr"] = rate
            elif isinstance(group["lr"], Tensor):
                group["lr"].fill_(rate)
            else:
                group["lr"] = torch.full((), rate, device=group["params"][0].device)
