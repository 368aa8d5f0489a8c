"""Empowerment of the state that was reached: how much of what one might do would be seen in what follows."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from gio_pyro.empowerment.options import options_from_sequences
from gio_pyro.empowerment.variational import VariationalEmpowerment
from gio_pyro.errors import InputError
from gio_pyro.nn.gradient_step import Figures
from gio_pyro.signals.base import Fitted, Signal, as_fitted
from gio_pyro.types import Transitions, finite

STEP = 5e-3
"""Adam's step size; unlike that of `learn_empowerment` it does not fall to 0 in the end, and so is smaller."""


class Empowerment(Signal):
    """E_n(s'), learned by variational information maximisation (Mohamed and Rezende, 2015, arXiv 1509.08731), nats.

    Whoever is paid it goes where much can be done. The sequences are those of replay: whatever chose their actions, and
    although it looked, the weights ω/μ make up for it. Few of them count where n is large, so n should be small. An
    episode that is over has an empowerment of 0.

    Args:
        fitted: what is read: the spaces and the replay.
        horizon: n ≥ 1 actions.
        updates: gradient steps in each `update`.
        batch_size: sequences in each of them.
        rest: gradient steps in which the source rests, while the guide learns what uniform actions lead to.

    Raises:
        InputError: a horizon below 1, actions that are not Discrete, or no replay.
    """

    def __init__(
        self, fitted: Fitted, horizon: int = 2, updates: int = 4, batch_size: int = 128, rest: int = 1_000
    ) -> None:
        super().__init__(as_fitted(fitted))
        if fitted.replay is None:
            raise InputError("Expected a replay to read sequences from, but there is none; use the signal in GIO.")
        spec = fitted.spec
        self.learner = VariationalEmpowerment(
            spec.state_space, spec.action_space, horizon, hidden=spec.hidden[:2], learning_rate=STEP
        )
        self.source, self.guide = self.learner.source, self.learner.guide
        self.actions = finite(spec.action_space, "action")
        self.updates, self.batch_size, self.rest = updates, batch_size, rest
        self.done = 0

    def observe(self, rows: Transitions) -> None:
        """Take new states into the statistics of the inputs."""
        self.source.observe(rows.state)
        self.guide.observe(rows.state, rows.action, rows.next_state)

    def update(self, rows: Transitions) -> Figures:
        """Take `updates` gradient steps on sequences of replay; `rows` are single transitions and are not read."""
        assert self.fitted.replay is not None
        if self.fitted.spec.allowed(rows.state) is not None:
            raise InputError(
                "Expected an environment without action masks for the signal Empowerment, whose sequences are taken "
                "without looking, but it forbids some actions; take another signal, such as PredictionError."
            )
        figures: Figures = {}
        with torch.enable_grad():
            for _ in range(self.updates):
                options = options_from_sequences(
                    self.fitted.replay.sequences(self.batch_size, self.learner.horizon), self.actions
                )
                if len(options):
                    figures = self.learner.update(options, source_rests=self.done < self.rest)
                    self.done += 1
        return {f"empowerment_{name}": value for name, value in figures.items() if "gradient" not in name}

    def read(self, rows: Transitions) -> Tensor:
        """Return ψ(s'), `[B]` nats; 0 where the episode is over."""
        return self.learner(rows.next_state) * ~rows.terminated

    def get_extra_state(self) -> Any:
        """Return the optimiser's state and the number of steps."""
        assert self.learner.descent.optimiser is not None
        return {"optimiser": self.learner.descent.optimiser.state_dict(), "done": self.done}

    def set_extra_state(self, state: Any) -> None:
        """Go on from them."""
        assert self.learner.descent.optimiser is not None
        self.learner.descent.optimiser.load_state_dict(state["optimiser"])
        self.done = int(state["done"])
