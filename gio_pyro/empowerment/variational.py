"""n-step empowerment by variational information maximisation (Mohamed and Rezende, 2015, arXiv 1509.08731).

    E_n(s) = max_ω I(A_1..A_n; S_n|s) ≥ E_{ω, p} [ log q(a_1..a_n|s, s_n) − log ω(a_1..a_n|s) ]       theory, section 5

With the best guide q the bound is the information of the source ω, and of all sources the best one has

    log ω(a|s) = E_{s_n|s, a} log q(a|s, s_n) − ψ(s),

where ψ(s), which normalises it, is the empowerment (the Blahut-Arimoto iteration). So three networks learn together:

    q     E_ω log q                       of sequences that were taken, weighted by ω/μ
    ω     ½ ( log ω + ψ − log q )²        of the same, whatever μ took them: a regression, no enumeration
    ψ     ½ E_ω ( ψ − log q + log ω )²    the mean of the bound

The source follows what the guide says, so the guide must know more than it does: the source waits while the guide
learns what uniform actions lead to, and is slower from then on. Nothing enumerates the A^n sequences: time and memory
grow linearly in n.
"""

from collections.abc import Sequence
from typing import Any

import torch
from gymnasium import Space
from gymnasium.spaces import Discrete, MultiDiscrete
from torch import Tensor, nn

from gio_pyro.distributions.sequences import ActionSequences, SequenceNetwork
from gio_pyro.empowerment.options import Options
from gio_pyro.errors import InputError, shown
from gio_pyro.nn import encoder, looking_once, mlp
from gio_pyro.nn.gradient_step import Descent, Figures, adam
from gio_pyro.programs import Guide, construct, detached, fitting, resolve
from gio_pyro.types import PyroProgram, Spec

MOST_WEIGHT = 5.0
"""Weights ω/μ of replayed sequences are cut here."""
SLOWER = 0.5
"""The source's step size, as a share of the guide's."""


class Source(nn.Module):
    """ω(a_1, …, a_n|s), uniform at first, and ψ(s)."""

    def __init__(self, states: Space[Any], actions: int, horizon: int, hidden: Sequence[int]) -> None:
        super().__init__()
        self.encoder = looking_once(encoder(states), hidden[0])
        self.sequences = SequenceNetwork(self.encoder.size, horizon, actions, hidden)
        self.level = mlp(self.encoder.size, hidden[:1], 1)

    def observe(self, state: Tensor) -> None:
        """Take new states into the statistics of the inputs."""
        self.encoder.observe(state)

    def forward(self, state: Tensor) -> ActionSequences:
        """Return ω(·|s), a batch of B distributions."""
        return self.read(state)[0]

    def read(self, state: Tensor) -> tuple[ActionSequences, Tensor]:
        """Return ω(·|s), and ψ(s) `[B]` nats."""
        features = self.encoder(state)
        return self.sequences(features), self.level(features).squeeze(-1)


class VariationalEmpowerment:
    """A source, its guide, and what they make of sequences that were taken.

    Args:
        states: the space of s, Discrete or a Box.
        actions: the space of one action, Discrete.
        horizon: n ≥ 1 actions.
        guide: q: a class built from a `Spec` whose action space is MultiDiscrete([A] * n), or a name of one.
        hidden: units of each hidden layer.
        learning_rate: Adam's step size of guide and ψ.
        device: where the networks live.

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
    ) -> None:
        require_horizon(horizon)
        if not isinstance(actions, Discrete):
            raise InputError(
                f"Expected finitely many actions for n-step empowerment, but got {actions}; continuous ones have "
                "gio_pyro.models.LinearChannelModel."
            )
        count = int(actions.n)
        self.horizon, self.learning_rate = horizon, learning_rate
        sequences = MultiDiscrete([count] * horizon)
        spec = Spec(states, sequences, states, hidden=tuple(hidden), action_parts=(count,) * horizon)
        self.source = Source(states, count, horizon, hidden).to(device)
        self.guide = Guide(construct(resolve(guide, "guide"), spec)).to(device)
        slow = list(self.source.sequences.parameters())
        fast = [*self.guide.parameters(), *self.source.encoder.parameters(), *self.source.level.parameters()]
        groups = [{"params": fast, "lr": learning_rate}, {"params": slow, "lr": SLOWER * learning_rate}]
        self.descent = Descent("empowerment", self._loss, adam(groups, learning_rate))

    def observe(self, options: Options) -> None:
        """Take new sequences into the statistics of the inputs."""
        self.source.observe(options.state)
        self.guide.observe(options.state, options.actions, options.final)

    def update(self, options: Options, *, rate: float = 1.0, source_rests: bool = False) -> Figures:
        """Take one step of all three networks, and return its figures, nats.

        Args:
            options: `[B]` sequences that were taken, by whatever behaviour.
            rate: the step sizes as shares of their own.
            source_rests: whether the source keeps still, as long as the guide knows little.
        """
        faster, slower = self.descent.optimiser.param_groups  # type: ignore[union-attr]
        faster["lr"] = rate * self.learning_rate
        slower["lr"] = rate * SLOWER * self.learning_rate
        return self.descent.step(source_rests, *options.tensors())

    def _loss(self, source_rests: bool, *tensors: Tensor) -> tuple[Tensor, Figures]:
        options = Options(*tensors)
        omega, level = self.source.read(options.state)
        with torch.set_grad_enabled(torch.is_grad_enabled() and not source_rests):
            log_omega = omega.log_prob(options.actions)
        with fitting(self.guide):
            log_q = self.log_guide(options)
        weight = (log_omega.detach() - options.log_behaviour).exp().clamp_max(MOST_WEIGHT)
        bound = log_q.detach() - log_omega.detach()
        missed = 0.5 * (log_omega + level.detach() - log_q.detach()).square()
        loss = (weight * (0.5 * (level - bound).square() - log_q) + missed).mean()
        return loss, {"bound": (weight * bound).sum() / weight.sum(), "guide_nats": log_q.mean()}

    def log_guide(self, options: Options) -> Tensor:
        """Return log q(a_1..a_n|s, s_n), `[B]` nats."""
        return self.guide.log_prob(detached(self.source), options.state, options.final, options.actions)

    @torch.no_grad()
    def bound(self, options: Options) -> Tensor:
        """Return log q − log ω of each sequence, `[B]` nats; of the source's own, on average a lower bound on E_n."""
        log_omega: Tensor = self.source(options.state).log_prob(options.actions)
        return self.log_guide(options) - log_omega

    @torch.no_grad()
    def __call__(self, state: Tensor) -> Tensor:
        """Return ψ(s), the estimate of E_n(s), `[B]` nats; `state` is `[B, ...]`."""
        level: Tensor = self.source.read(state)[1]
        return level


def require_horizon(horizon: object) -> None:
    """Raise `InputError` unless this is a whole number of at least 1 action."""
    if not isinstance(horizon, int) or isinstance(horizon, bool) or horizon < 1:
        raise InputError(f"Expected a horizon of at least 1 action, a whole number, but got {shown(horizon)}.")
