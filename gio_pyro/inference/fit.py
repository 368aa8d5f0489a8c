"""Stochastic variational inference of a model and a guide: one loss and one optimiser for both.

    loss = − E_D[ log p_ψ(F|s, a) ] − objective(q_φ)

The loss is a mean over the batch, so the step size does not depend on the batch size. Each term puts the program that
it fits into training mode (dropout is active, batch norms update), and the other one into evaluation mode.
"""

from typing import Any

from torch import Tensor, nn

from gio_pyro.inference.objectives import Objective, dynamics
from gio_pyro.nn.gradient_step import Descent, Figures, adam
from gio_pyro.programs import Guide, Model, Program, detached, fitting
from gio_pyro.types import Policy, Transitions


class Inference:
    """Fits a model and a guide by gradient steps on one loss.

    Args:
        model: p_ψ.
        guide: q_φ; it may have no parameters.
        objective: the objective of the guide, in nats, to be maximised.
        learning_rate: Adam's step size for programs without a `learning_rate` of their own.
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
        """Take one gradient step.

        A step whose loss is not finite changes no parameter; the returned terms show it.

        Args:
            policy: π; it gets no gradient.
            batch: transitions `[B, ...]`.
            future: F of each, `[B, ...]`.

        Returns:
            The two terms of the loss before the step, nats, on the device.
        """
        return self.descent.step(policy, future, *batch.tensors())

    def _loss(self, policy: Policy, future: Tensor, *batch: Tensor) -> tuple[Tensor, Figures]:
        fixed, rows = detached(policy), Transitions(*batch)
        # Maximum likelihood of the dynamics: E_D[ log p_ψ(F|s, a) ].
        with fitting(self.model):
            learned = dynamics(self.model, fixed, rows, future)
        # The objective of the guide, which reads the model without changing it.
        with fitting(self.guide):
            objective = self.objective(self.model, self.guide, fixed, rows, future)
        return -(learned + objective), {"dynamics_nats": learned, "guide_nats": objective}


def trainable(program: Program) -> list[nn.Parameter]:
    """Return the parameters of a program that require gradients."""
    return [p for p in program.parameters() if p.requires_grad]
