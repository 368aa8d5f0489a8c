"""An explorer that takes the best of a few actions of the agent's policy, its value and the signal added up."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from gio_pyro.data.replay_buffer import Replay
from gio_pyro.errors import InputError
from gio_pyro.explorers.base import Act, Explorer, Source
from gio_pyro.nn.gradient_step import Figures
from gio_pyro.programs import imagine, log_probs, sample_actions
from gio_pyro.types import Transitions
from gio_pyro.utils.checks import whole

MOST_CANDIDATES = 10_000


class OptimisticExplorer(Explorer):
    """argmax over K actions of π of Q(s, a) + β E_{s'~p_ψ} signal(s, a, s').

    Values are combined instead of rewards: the task's value of an action, and what the signal expects of it one step
    ahead (MEEE: Yao et al., 2021, arXiv 2107.01825). It has nothing of its own to learn. Of finitely many actions
    log μ is exact; of continuous ones it is log π + log K − (K − 1) / K, what it is on average over the rank of the
    chosen one.

    Args:
        source: what it is built from.
        candidates: K.

    Raises:
        InputError: a number out of range, or a future that does not hold the next state.
    """

    step: Tensor
    """Environment steps at the last improvement, which the weight of the signal depends on."""

    def __init__(self, source: Source, candidates: int = 8) -> None:
        super().__init__(source)
        self.candidates = whole("candidates", candidates, 1, MOST_CANDIDATES)
        if not callable(source.fitted.future.outcome):
            raise InputError(
                f"Expected a future that holds the next state for the explorer Optimistic, but got "
                f"{source.fitted.future}; take NextState or NextStateAndReward."
            )
        self.register_buffer("step", torch.zeros((), dtype=torch.int64))

    def improve(self, replay: Replay, step: int) -> Figures:
        """Note the step, which the weight of the signal may depend on."""
        self.step.fill_(step)
        return {}

    def behaviour(self, replay: Replay) -> Act:
        """Return the function that draws candidates and takes the best."""

        @torch.no_grad()
        def act(state: Tensor, stream: Tensor) -> tuple[Tensor, Tensor]:
            pi = self.source.fitted.policy(state)
            chosen = sample_actions(pi, self.candidates)
            value = self.source.action_values(state, chosen)
            score = value + self._novelty(chosen.spread(state), chosen.action).reshape(value.shape)
            if pi.has_enumerate_support:
                log_mu = log_best(log_probs(pi), score, self.candidates)
                action = torch.multinomial(log_mu.exp(), 1).squeeze(-1)
                return action, log_mu.gather(-1, action[:, None]).squeeze(-1)
            row, best = torch.arange(len(state), device=score.device), score.argmax(-1)
            action = chosen.action.unflatten(0, score.shape)[row, best]
            shift = math.log(self.candidates) - (self.candidates - 1) / self.candidates
            return action, chosen.log_prob[row, best] + shift

        return act

    def _novelty(self, state: Tensor, action: Tensor) -> Tensor:
        """Return β E signal of each pair of a state and an action, `[M]`."""
        fitted = self.source.fitted
        dream = imagine(fitted.model, fitted.policy, state, action, samples=1)
        here, done = dream.spread(state), dream.spread(action)
        assert fitted.future.outcome is not None  # required where this is built
        next_state, _ = fitted.future.outcome(dream.future, fitted.spec.state_space)
        zero = torch.zeros(len(here), device=here.device)
        never = zero.bool()
        rows = Transitions(here, done, zero, next_state, never, never, zero, torch.ones_like(zero))
        return dream.mean(self.source.reward_mix.mix(rows, int(self.step)).reward)


def log_best(log_pi: Tensor, score: Tensor, candidates: int) -> Tensor:
    """Return the log-probability that an action is the best of K independent draws, `[B, A]` nats.

    G(x)^K is the probability that all draws score at most x, so the best scores x with G(x)^K − G(x−)^K. Actions of
    the same score share this in proportion to π.

    Args:
        log_pi: log π, `[B, A]`; what a mask forbids stays forbidden.
        score: `[B, A]`.
        candidates: K.
    """
    pi = log_pi.double().softmax(-1)
    upto = (pi[:, None] * (score[:, None] <= score[..., None])).sum(-1)  # G(score of a)
    equal = (pi[:, None] * (score[:, None] == score[..., None])).sum(-1)
    best = upto.clamp_max(1) ** candidates - (upto - equal).clamp_min(0) ** candidates
    return torch.where(pi > 0, (best * pi / equal).log().to(log_pi), log_pi)
