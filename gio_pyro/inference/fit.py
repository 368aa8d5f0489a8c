"""Stochastic variational inference of a model and a guide together: one loss, one optimiser, a step at a time.

    loss = − E_D[ log p_ψ(F|s, a) ] − objective(q_φ)

The loss is a mean over the batch, so its step size does not depend on the batch size. Each term has the program that
it fits in training mode (dropout draws, batch norms count), and reads the other one as it is read anywhere else.
"""

from typing import Any

from torch import Tensor, nn

from gio_pyro.inference.objectives import Objective, dynamics
from gio_pyro.nn.gradient_step import Descent, Figures, adam
from gio_pyro.programs import Guide, Model, Program, detached, fitting
from gio_pyro.types import Policy, Transitions


class Inference:
    """Fits one pair of programs.

    Args:
        model: p_ψ.
        guide: q_φ; may have no parameters.
        objective: what the guide is fitted to.
        learning_rate: Adam's step size for programs that do not ask for one of their own.
        compiled: whether the step is compiled (see `gio_pyro.nn.gradient_step`).
    """

    def __init__(
        self, model: Model, guide: Guide, objective: Objective, *, learning_rate: float, compiled: bool = False
    ) -> None:
        self.model, self.guide, self.objective = model, guide, objective
        groups: list[dict[str, Any]] = [
            {"params": parameters, "lr": learning_rate if program.learning_rate is None else program.learning_rate}
            for program in (model, guide)
            if (parameters := trainable(program))
        ]
        self.optimiser = adam(groups, learning_rate) if groups else None
        self.descent = Descent("programs", self._loss, self.optimiser, compiled, modules=(model, guide))

    def step(self, policy: Policy, batch: Transitions, future: Tensor) -> Figures:
        """Take one gradient step and return the two terms of the loss before it, in nats, on the device.

        A step whose loss is not finite changes no parameter; the caller sees it in the terms.
        """
        return self.descent.step(policy, future, *batch.tensors())

    def _loss(self, policy: Policy, future: Tensor, *batch: Tensor) -> tuple[Tensor, Figures]:
        fixed, rows = detached(policy), Transitions(*batch)
        with fitting(self.model):
            learned = dynamics(self.model, fixed, rows, future)
        with fitting(self.guide):
            objective = self.objective(self.model, self.guide, fixed, rows, future)
        return -(learned + objective), {"dynamics_nats": learned, "guide_nats": objective}


def trainable(program: Program) -> list[nn.Parameter]:
    """Return the parameters of a program that want gradients."""
    return [p for p in program.parameters() if p.requires_grad]
