"""n-step empowerment by variational information maximisation (Mohamed and Rezende, 2015, arXiv 1509.08731).

    E_n(s) = max_ω I(A_1..A_n; S_n|s) ≥ E_{ω, p} [ log q(a_1..a_n|s, s_n) − log ω(a_1..a_n|s) ]       theory, section 5

With the optimal guide q the bound is the information of the source ω, and the optimal source is

    log ω(a|s) = E_{s_n|s, a} log q(a|s, s_n) − ψ(s),

where the normaliser ψ(s) is the empowerment (the Blahut-Arimoto iteration). Three networks are trained jointly:

    q     max E_ω log q                       on replayed sequences, with importance weights ω/μ
    ω     min ½ ( log ω + ψ − log q )²        on the same, for any behaviour μ: a regression, without enumeration
    ψ     min ½ E_ω ( ψ − log q + log ω )²    so that ψ is the mean of the bound

The source is trained on the guide, so the guide must be more accurate: the source is frozen while the guide learns from
uniform actions, and has a lower learning rate afterwards. Time and memory grow linearly in n, as the A^n sequences are
never enumerated.
"""

from collections.abc import Sequence
from functools import partial
from typing import Any

import torch
from gymnasium import Space
from gymnasium.spaces import Discrete, MultiDiscrete
from torch import Tensor, nn

from gio_pyro.distributions.sequences import ActionSequences, SequenceNetwork
from gio_pyro.empowerment.options import Options
from gio_pyro.errors import InputError, shown
from gio_pyro.nn import deduplicated, encoder, mlp
from gio_pyro.nn.gradient_step import Descent, Figures, adam
from gio_pyro.nn.graphs import GraphedFunction, Progress, Sources
from gio_pyro.nn.step_sizes import scale_step_sizes
from gio_pyro.programs import Guide, construct, detached, fitting, resolve
from gio_pyro.types import PyroProgram, Spec

MAX_WEIGHT = 5.0
"""Importance weights ω/μ of replayed sequences are clipped here."""
SOURCE_RATE = 0.5
"""Learning rate of the source relative to the guide's."""


class SourceDistribution(nn.Module):
    """The source ω(a_1, …, a_n|s), uniform at initialisation, and the empowerment estimate ψ(s)."""

    def __init__(self, states: Space[Any], actions: int, horizon: int, hidden: Sequence[int]) -> None:
        super().__init__()
        self.encoder = deduplicated(encoder(states), hidden[0])
        self.sequences = SequenceNetwork(self.encoder.size, horizon, actions, hidden)
        self.level = mlp(self.encoder.size, hidden[:1], 1)

    def observe(self, state: Tensor) -> None:
        """Update the input statistics with new states."""
        self.encoder.observe(state)

    def forward(self, state: Tensor) -> ActionSequences:
        """Return ω(·|s), a batch of B distributions, for states `[B, ...]`."""
        return self.evaluate(state)[0]

    def evaluate(self, state: Tensor) -> tuple[ActionSequences, Tensor]:
        """Return ω(·|s), and ψ(s) `[B]` nats."""
        features = self.encoder(state)
        return self.sequences(features), self.level(features).squeeze(-1)


class VariationalEmpowerment:
    """Variational n-step empowerment: a source, its guide and the estimate ψ(s), trained on collected sequences.

    Args:
        states: the space of s, Discrete or a Box.
        actions: the space of one action, Discrete.
        horizon: n ≥ 1 actions.
        guide: q: a class built from a `Spec` whose action space is MultiDiscrete([A] * n), or a name of one.
        hidden: units of each hidden layer.
        learning_rate: learning rate of Adam for the guide and ψ.
        device: device of the networks.
        graphs: whether steps run as captured graphs after the first ones: the same numbers in less time.

    Raises:
        InputError: a horizon below 1, or actions that are not Discrete.
        ProgramError: a guide that cannot be found or built.
    """

    def __init__(
        self,
        states: Space[Any],
        actions: Space[Any],
        horizon: int,
        *,
        guide: str | PyroProgram = "SequenceGuide",
        hidden: Sequence[int] = (128, 128),
        learning_rate: float = 1e-2,
        device: torch.device | None = None,
        graphs: bool = True,
    ) -> None:
        require_horizon(horizon)
        if not isinstance(actions, Discrete):
            raise InputError(
                f"Expected finitely many actions for n-step empowerment, but got {actions}; for continuous ones use "
                "gio_pyro.models.LinearChannelModel."
            )
        count = int(actions.n)
        self.horizon, self.rate = horizon, 1.0
        sequences = MultiDiscrete([count] * horizon)
        spec = Spec(states, sequences, states, hidden=tuple(hidden), action_parts=(count,) * horizon)
        self.source = SourceDistribution(states, count, horizon, hidden).to(device)
        self.guide = Guide(construct(resolve(guide, "guide"), spec)).to(device)
        slow = list(self.source.sequences.parameters())
        fast = [*self.guide.parameters(), *self.source.encoder.parameters(), *self.source.level.parameters()]
        groups = [{"params": fast, "lr": learning_rate}, {"params": slow, "lr": SOURCE_RATE * learning_rate}]
        self.optimiser = adam(groups, learning_rate)
        descent = Descent("empowerment", self._loss, self.optimiser)
        sources = Sources([self.source, self.guide], [self.optimiser])
        progress = Progress("auto" if graphs else False, captured_only=True)
        self.steps = {
            rests: GraphedFunction(partial(descent.step, rests), sources, progress) for rests in (True, False)
        }
        """Gradient steps by whether the source stays fixed."""

    def observe(self, options: Options) -> None:
        """Update the input statistics with new sequences."""
        self.source.observe(options.state)
        self.guide.observe(options.state, options.actions, options.final)
        self.recheck()

    def recheck(self) -> None:
        """Compare tensors with those of the graphs at the next step: other code, which may replace them, has run."""
        for step in self.steps.values():
            step.recheck()

    def update(self, options: Options, *, rate: float = 1.0, source_rests: bool = False) -> Figures:
        """Take one gradient step of all three networks and return its figures, nats.

        Args:
            options: B sequences collected by any behaviour.
            rate: factor of the learning rates.
            source_rests: whether to keep the source fixed, while the guide is inaccurate.
        """
        if rate != self.rate:
            scale_step_sizes([self.optimiser], rate)
            self.rate = rate
        return self.steps[source_rests](*options.tensors())

    def _loss(self, source_rests: bool, *tensors: Tensor) -> tuple[Tensor, Figures]:
        options = Options(*tensors)
        omega, level = self.source.evaluate(options.state)
        with torch.set_grad_enabled(torch.is_grad_enabled() and not source_rests):
            log_omega = omega.log_prob(options.actions)
        with fitting(self.guide):
            log_q = self.log_guide(options)
        # importance weights ω/μ, clipped
        weight = (log_omega.detach() - options.log_behaviour).exp().clamp_max(MAX_WEIGHT)
        bound = log_q.detach() - log_omega.detach()
        source_loss = 0.5 * (log_omega + level.detach() - log_q.detach()).square()
        loss = (weight * (0.5 * (level - bound).square() - log_q) + source_loss).mean()
        return loss, {"bound": (weight * bound).sum() / weight.sum(), "guide_nats": log_q.mean()}

    def log_guide(self, options: Options) -> Tensor:
        """Return log q(a_1..a_n|s, s_n), `[B]` nats."""
        return self.guide.log_prob(detached(self.source), options.state, options.final, options.actions)

    @torch.no_grad()
    def bound(self, options: Options) -> Tensor:
        """Return log q − log ω of each sequence, `[B]` nats; under ω its mean is a lower bound on E_n."""
        log_omega: Tensor = self.source(options.state).log_prob(options.actions)
        return self.log_guide(options) - log_omega

    @torch.no_grad()
    def __call__(self, state: Tensor) -> Tensor:
        """Return ψ(s), the estimate of E_n(s), `[B]` nats; `state` is `[B, ...]`."""
        level: Tensor = self.source.evaluate(state)[1]
        return level


def require_horizon(horizon: object) -> None:
    """Raise `InputError` unless this is an integer of at least 1."""
    if not isinstance(horizon, int) or isinstance(horizon, bool) or horizon < 1:
        raise InputError(f"Expected a horizon of at least 1 action, a whole number, but got {shown(horizon)}.")
