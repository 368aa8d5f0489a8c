"""Variational n-step empowerment of the next state."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from torch.optim.swa_utils import AveragedModel

from gio_pyro.empowerment.options import options_from_sequences
from gio_pyro.empowerment.variational import VariationalEmpowerment
from gio_pyro.errors import InputError
from gio_pyro.nn import restore_optimiser
from gio_pyro.nn.gradient_step import Figures
from gio_pyro.signals.base import Fitted, Signal, as_fitted
from gio_pyro.types import Transitions, finite

STEP = 5e-3
"""Adam's step size; smaller than that of `learn_empowerment`, since it is not annealed to 0."""
RECENCY = 8
"""η of the average of ψ: the weight of a network of k updates ago in t falls as (1 - k/t)^η."""


class Empowerment(Signal):
    """E_n(s'), learned by variational information maximisation (Mohamed and Rezende, 2015, arXiv 1509.08731), nats.

    It rewards states in which action sequences have many distinguishable outcomes. The sequences are read from replay;
    importance weights ω/μ correct for the behaviour policy, which is closed-loop. The effective sample size falls with
    n, so n should be small. The empowerment of a terminal state is 0.

    What is read is ψ with weights that are averaged over the updates, since those of a constant step size wander about
    as much as states differ. The average is the polynomial one (Shamir and Zhang, 2013, arXiv 1212.1824), so that the
    first ones are forgotten.

    Args:
        fitted: spaces and replay of the agent.
        horizon: n ≥ 1 actions.
        updates: gradient steps in each `update`.
        batch_size: sequences in each gradient step.
        rest: first gradient steps, in which the source stays fixed and only the guide is trained.

    Raises:
        InputError: a horizon below 1, actions that are not Discrete, or no replay.
    """

    reads_programs = False

    def __init__(
        self, fitted: Fitted, horizon: int = 2, updates: int = 4, batch_size: int = 128, rest: int = 1_000
    ) -> None:
        super().__init__(as_fitted(fitted))
        if fitted.replay is None:
            raise InputError("Expected a replay to read sequences from, but there is none; use the signal in GIO.")
        spec = fitted.spec
        self.learner = VariationalEmpowerment(
            spec.state_space,
            spec.action_space,
            horizon,
            hidden=spec.hidden[:2],
            learning_rate=STEP,
            graphs=fitted.graphs,
        )
        self.source, self.guide = self.learner.source, self.learner.guide
        self.averaged = AveragedModel(self.source, multi_avg_fn=polynomial_average).requires_grad_(False)
        self.actions = finite(spec.action_space, "action")
        self.updates, self.batch_size, self.rest = updates, batch_size, rest
        self.done = 0

    def observe(self, rows: Transitions) -> None:
        """Update input normalisers with new transitions."""
        self.source.observe(rows.state)
        self.guide.observe(rows.state, rows.action, rows.next_state)
        self.learner.recheck()

    def update(self, rows: Transitions) -> Figures:
        """Take `updates` gradient steps on sequences of replay; `rows` are single transitions and are not used."""
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
                    again = torch.arange(self.batch_size, device=options.state.device) % len(options)
                    figures = self.learner.update(options[again], source_rests=self.done < self.rest)
                    self.done += 1
            if figures:
                self.averaged.update_parameters(self.source)
        return {f"empowerment_{name}": value for name, value in figures.items() if "gradient" not in name}

    def read(self, rows: Transitions) -> Tensor:
        """Return ψ(s'), `[B]` nats; 0 after termination."""
        return self.estimate(rows.next_state) * ~rows.terminated

    @torch.no_grad()
    def estimate(self, state: Tensor) -> Tensor:
        """Return ψ(s), the averaged estimate of E_n(s), `[B]` nats, of states `[B, ...]`."""
        source: Any = self.averaged.module
        level: Tensor = source.evaluate(state)[1]
        return level

    def _load_from_state_dict(self, state_dict: dict[str, Tensor], prefix: str, *others: Any) -> None:
        """Load what was saved before there was an average as one that begins with the network."""
        if f"{prefix}averaged.n_averaged" not in state_dict:
            for name, tensor in self.averaged.state_dict().items():
                latest = state_dict.get(name.replace("module.", f"{prefix}source.", 1))
                state_dict[f"{prefix}averaged.{name}"] = torch.zeros_like(tensor) if latest is None else latest
        super()._load_from_state_dict(state_dict, prefix, *others)

    def get_extra_state(self) -> Any:
        """Return the optimiser's state and the number of steps."""
        return {"optimiser": self.learner.optimiser.state_dict(), "done": self.done}

    def set_extra_state(self, state: Any) -> None:
        """Restore what `get_extra_state` returned."""
        restore_optimiser(self.learner.optimiser, state["optimiser"])
        self.learner.recheck()
        self.done = int(state["done"])


@torch.no_grad()
def polynomial_average(average: Sequence[Tensor], latest: Sequence[Tensor], before: Tensor | int) -> None:
    """Move an average of `before` ≥ 1 sets of parameters towards the latest one, in place."""
    weight = (RECENCY + 1) / (before + 1 + RECENCY)
    for mean, tensor in zip(average, latest, strict=True):
        mean += weight * (tensor - mean)
