"""Stochastic variational inference of a model and a guide: the losses, and how they are trained together.

    joint         one step on  − E_D[ log p_ψ(F|s, a) ] − objective(q_φ)
    alternating   a step of the model on the first term, then a step of the guide, given the new model, on the second
    svi           one step of both programs on −ELBO alone, with the action latent: what `pyro.infer.SVI.step` does

The losses are means over the batch, so the step size does not depend on the batch size. Each term puts the program that
it fits into training mode (dropout is active, batch norms update), and the other one into evaluation mode.

By the ELBO alone the model is identified only up to a relabelling of the actions (theory, section 3): `svi` is for
data without actions, and for comparison.
"""

from collections.abc import Mapping
from dataclasses import replace
from types import MappingProxyType
from typing import Any

import torch
from gymnasium.spaces import Discrete, Space
from torch import Tensor, nn

from gio_pyro.errors import InputError, shown, unknown
from gio_pyro.inference.objectives import Elbo, Objective, dynamics
from gio_pyro.inference.optimisers import Optim
from gio_pyro.inference.pyro_elbo import PyroElbo
from gio_pyro.nn import SeenValues
from gio_pyro.nn.gradient_step import Descent, Figures, Loss
from gio_pyro.nn.optimiser_state import grow_moments
from gio_pyro.programs import Guide, Model, Program, detached, fitting
from gio_pyro.types import FIELDS, Policy, Transitions, TransitionsWithStates

TRAININGS: Mapping[str, str] = MappingProxyType(
    {
        "joint": "one step on both terms of the loss",
        "alternating": "a step of the model, then a step of the guide",
        "svi": "one step on the ELBO alone",
    }
)
"""The ways to train model and guide together."""


class Inference:
    """Fits a model and a guide by gradient steps.

    Args:
        model: p_ψ.
        guide: q_φ; it may have no parameters.
        objective: the objective of the guide, in nats, to be maximised.
        learning_rate: step size for programs without a `learning_rate` of their own.
        optim: the optimiser; Adam by default.
        training: one of `TRAININGS`.
        action_space: of the programs; with it an ELBO of Pyro that cannot fit this pair is refused at once.

    Attributes:
        descents: the gradient steps of one step, in order.
        optimisers: the optimisers by name; programs without parameters have none.

    Raises:
        InputError: an unknown kind of training, or an objective that it cannot use.
    """

    def __init__(
        self,
        model: Model,
        guide: Guide,
        objective: Objective,
        *,
        learning_rate: float,
        optim: Optim | None = None,
        training: str = "joint",
        action_space: Space[Any] | None = None,
    ) -> None:
        self.model, self.guide, self.objective = model, guide, objective
        self.learning_rate, self.optim = learning_rate, optim or Optim()
        _require_fits(objective, training)
        if isinstance(objective, PyroElbo) and action_space is not None:
            objective.require(model, guide, finite=isinstance(action_space, Discrete))
        if training == "svi":
            self.objective = replace(objective, joint=True)  # type: ignore[type-var]
        latents = model.latents
        explained = (model, guide) if latents is not None and "guide" in latents.sources else (model,)
        losses: dict[str, list[tuple[str, Loss, tuple[Program, ...]]]] = {
            "joint": [("programs", self._loss, (model, guide))],
            "alternating": [("model", self._model_loss, explained), ("guide", self._guide_loss, (guide,))],
            "svi": [("programs", self._elbo_loss, (model, guide))],
        }
        self._observed = False
        self.descents = [self._descent(name, loss, programs) for name, loss, programs in losses[training]]

    def _descent(self, name: str, loss: Loss, programs: tuple[Program, ...]) -> Descent:
        rated = [
            (parameters, self.learning_rate if program.learning_rate is None else program.learning_rate)
            for program in programs
            if (parameters := trainable(program))
        ]
        optimiser = self.optim.build(rated) if rated else None
        return Descent(name, loss, optimiser, self.optim.clip)

    @property
    def one_graph(self) -> bool:
        """Whether a step is tensor operations alone: neither the objective nor an optimiser waits for the host."""
        fused = all(step.optimiser is None or step.optimiser.defaults.get("fused") for step in self.descents)
        return fused and not isinstance(self.objective, PyroElbo) and not getattr(self.objective, "eager", False)

    @property
    def descent(self) -> Descent:
        """The gradient step, or the first of several."""
        return self.descents[0]

    @property
    def optimiser(self) -> torch.optim.Optimizer | None:
        """The optimiser, or the first of several."""
        return self.descents[0].optimiser

    @property
    def optimisers(self) -> dict[str, torch.optim.Optimizer]:
        """The optimisers by the name of their step, their moments as large as the parameters are now."""
        for step in self.descents:
            if step.optimiser is not None:
                grow_moments(step.optimiser)
        return {step.name: step.optimiser for step in self.descents if step.optimiser is not None}

    def step(self, policy: Policy, batch: Transitions, future: Tensor) -> Figures:
        """Take one gradient step of the programs.

        A step whose loss or gradient is not finite changes no parameter; the returned terms show it.

        Args:
            policy: π; it gets no gradient.
            batch: transitions `[B, ...]`.
            future: F of each, `[B, ...]`.

        Returns:
            The terms of the loss before the step, nats, on the device.

        Raises:
            InputError: a table of the futures that were observed, without any.
        """
        self._require_observed()
        figures: Figures = {}
        for descent in self.descents:
            figures |= descent.step(policy, future, *batch.tensors())
        return figures

    def _require_observed(self) -> None:
        """Raise `InputError` before the first step on a table that would learn nothing, without a word."""
        if self._observed:
            return
        for program in (self.model, self.guide):
            if not all(module.begun for module in program.modules() if isinstance(module, SeenValues)):
                raise InputError(
                    f"Expected data in the table of {program.name} before its first gradient step, but it has none; "
                    "call its observe(state, action, future) with the transitions."
                )
        self._observed = True

    def _loss(self, policy: Policy, future: Tensor, *batch: Tensor) -> tuple[Tensor, Figures]:
        fixed, rows = detached(policy), _transitions(*batch)
        learned, objective = self._dynamics(fixed, rows, future), self._guided(fixed, rows, future)
        return -(learned + objective), {"dynamics_nats": learned, "guide_nats": objective}

    def _model_loss(self, policy: Policy, future: Tensor, *batch: Tensor) -> tuple[Tensor, Figures]:
        learned = self._dynamics(detached(policy), _transitions(*batch), future)
        return -learned, {"dynamics_nats": learned}

    def _guide_loss(self, policy: Policy, future: Tensor, *batch: Tensor) -> tuple[Tensor, Figures]:
        objective = self._guided(detached(policy), _transitions(*batch), future)
        return -objective, {"guide_nats": objective}

    def _elbo_loss(self, policy: Policy, future: Tensor, *batch: Tensor) -> tuple[Tensor, Figures]:
        with fitting(self.model):
            return self._guide_loss(policy, future, *batch)

    def _dynamics(self, policy: Policy, batch: Transitions, future: Tensor) -> Tensor:
        """Return the mean log-likelihood of the replayed transitions, E_D[ log p_ψ(F|s, a) ]."""
        with fitting(self.model):
            if self.model.latents is not None and isinstance(self.objective, PyroElbo):
                return self.objective.dynamics(self.model, self.guide, policy, batch, future)
            return dynamics(self.model, policy, batch, future)

    def _guided(self, policy: Policy, batch: Transitions, future: Tensor) -> Tensor:
        """Return the objective of the guide, which reads the model without changing it."""
        with fitting(self.guide):
            return _scalar(self.objective(self.model, self.guide, policy, batch, future), self.objective)


def _transitions(*tensors: Tensor) -> Transitions:
    """Return transitions from their fields, with their distinct states where these are among the fields."""
    kind = Transitions if len(tensors) == FIELDS else TransitionsWithStates
    return kind(*tensors)


def _require_fits(objective: Objective, training: str) -> None:
    """Raise `InputError` for an objective that cannot be trained in this way."""
    if training not in TRAININGS:
        raise InputError(unknown("training", training, TRAININGS))
    bound = isinstance(objective, Elbo | PyroElbo)
    name = getattr(objective, "name", type(objective).__name__)
    if training == "svi" and not bound:
        raise InputError(
            f"Expected an ELBO for training svi, but got {name}; take elbo or an ELBO of pyro.infer, such as "
            "Trace_ELBO, or another training."
        )
    if training == "alternating" and getattr(objective, "joint", False):
        raise InputError(
            "Expected an objective of the guide alone for alternating training, but got joint_elbo, whose gradient "
            "trains the model too; take elbo, or training joint."
        )


def _scalar(found: Any, objective: Objective) -> Tensor:
    """Return what an objective returned; raise `InputError` unless it is one number of torch."""
    if not isinstance(found, Tensor) or found.numel() != 1 or not found.is_floating_point():
        name = getattr(objective, "__name__", type(objective).__name__)
        raise InputError(
            f"Expected objective {name} to return a scalar tensor, the mean in nats, but got {shown(found, 80)}; "
            "return batch.mean(values), with values [B]."
        )
    return found.reshape(())


def trainable(program: Program) -> list[nn.Parameter]:
    """Return the parameters of a program that require gradients."""
    return [p for p in program.parameters() if p.requires_grad]
