"""Stochastic variational inference of a model and a guide together: one loss, one optimiser, a step at a time.

    loss = − E_D[ log p_ψ(F|s, a) ] − objective(q_φ)

The loss is a mean over the batch, so its step size does not depend on the batch size.
"""

import torch
from torch import Tensor

from gio_pyro.optimisation import descend
from gio_pyro.inference.objectives import Objective, dynamics
from gio_pyro.programs import Guide, Model, Program, detached
from gio_pyro.types import Policy, Transitions


class Inference:
    """Fits one pair of programs.

    Args:
        model: p_ψ.
        guide: q_φ; may have no parameters.
        objective: what the guide is fitted to.
        learning_rate: Adam's step size for programs that do not ask for one of their own.
    """

    def __init__(self, model: Model, guide: Guide, objective: Objective, *, learning_rate: float) -> None:
        self.model, self.guide, self.objective = model, guide, objective
        groups = [
            {"params": parameters, "lr": learning_rate if program.learning_rate is None else program.learning_rate}
            for program in (model, guide)
            if (parameters := trainable(program))
        ]
        self.optimiser = torch.optim.Adam(groups, fused=True) if groups else None

    def step(self, policy: Policy, batch: Transitions, future: Tensor) -> dict[str, Tensor]:
        """Take one gradient step and return the two terms of the loss before it, in nats, on the device.

        A step whose loss is not finite changes no parameter; the caller sees it in the terms.
        """
        fixed = detached(policy)
        terms = {
            "dynamics": dynamics(self.model, fixed, batch, future),
            "guide": self.objective(self.model, self.guide, fixed, batch, future),
        }
        loss = -torch.stack(list(terms.values())).sum()
        if self.optimiser is not None and loss.requires_grad:
            descend(self.optimiser, loss)
        return {name: value.detach() for name, value in terms.items()}


def trainable(program: Program) -> list[torch.nn.Parameter]:
    """Return the parameters of a program that want gradients."""
    return [p for p in program.parameters() if p.requires_grad]
