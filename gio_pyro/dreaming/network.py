"""Rollouts in the model for networks: a few samples for each batch."""

import math

import torch
from torch import Tensor

from gio_pyro.data.merging import concatenate
from gio_pyro.dreaming.base import NoRollouts
from gio_pyro.dreaming.outcomes import Frame, Outcomes
from gio_pyro.errors import InputError
from gio_pyro.nn.gradient_step import Descent, Figures, adam
from gio_pyro.signals import Fitted
from gio_pyro.types import Transitions


class NetworkOutcomes(NoRollouts):
    """Reward, termination and range of states, fitted to replay: what dreams and planners ask beside the model.

    Args:
        fitted: the spaces, the future, the model, the policy and replay.
        learning_rate: Adam's step size for reward and termination.
    """

    def __init__(self, fitted: Fitted, *, learning_rate: float) -> None:
        super().__init__()
        self.fitted = fitted
        self.outcomes, self.frame = Outcomes(fitted.spec), Frame(fitted.spec.state_space)
        self.optimisers["dreams"] = adam(list(self.outcomes.parameters()), learning_rate)
        self.descent = Descent("dreams", self.outcomes.loss, self.optimisers["dreams"])

    @torch.no_grad()
    def observe(self, rows: Transitions) -> None:
        """Update input normalisers and the range of states with new transitions."""
        self.outcomes.observe(rows)
        for state in (rows.state, rows.next_state):
            self.frame.observe(state)

    def update(self, rows: Transitions) -> Figures:
        """Take one gradient step on the models of reward and termination with replayed transitions."""
        return self.descent.step(None, *rows.tensors())

    def read(self, state: Tensor, action: Tensor, found: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return s', the reward and the logit of termination of the futures that were found, `[M, ...]` each."""
        outcome, space = self.fitted.future.outcome, self.fitted.spec.state_space
        assert outcome is not None  # required where this is built
        next_state, reward = outcome(found, space)
        next_state = self.outcomes.masked(state, action, self.frame(next_state))
        mean, logit = self.outcomes(state, action, next_state)
        return next_state, mean if reward is None else reward, logit


class NetworkDreams(NetworkOutcomes):
    """Sampled first steps of π in p_ψ from replayed states.

    Where a dream ends by termination another begins in its place, so that all rows count the same.

    Args:
        fitted: the spaces, the future, the model, the policy and replay.
        horizon: steps of a dream.
        share: of the rows of a batch, in (0, 1]; at least one row is dreamed.
        learning_rate: Adam's step size for reward and termination.
    """

    def __init__(self, fitted: Fitted, horizon: int, share: float, *, learning_rate: float) -> None:
        super().__init__(fitted, learning_rate=learning_rate)
        self.horizon, self.share = horizon, share

    def beside(self, rows: Transitions) -> Transitions:
        """Return a batch `[B]` whose last rows are replaced by imagined transitions."""
        count = max(1, round(self.share * len(rows)))
        return concatenate(rows[: len(rows) - count], self.dreamed(count))

    @torch.no_grad()
    def dreamed(self, count: int) -> Transitions:
        """Return `count` imagined transitions."""
        replay = self.fitted.replay
        if replay is None:
            raise InputError("Expected a replay to begin dreams from, but got none; pass it in Fitted.")
        streams = math.ceil(count / self.horizon)
        starts = replay.sample(streams * self.horizon)
        place = torch.arange(streams, device=starts.state.device)
        whole = step = self._step(starts.state[place], starts[place])
        for number in range(1, self.horizon):
            fresh = place % streams + number * streams
            over = step.terminated
            state = torch.where(over.reshape(-1, *[1] * (starts.state.ndim - 1)), starts.state[fresh], step.next_state)
            place = torch.where(over, fresh, place)
            step = self._step(state, starts[place])
            whole = concatenate(whole, step)
        return whole[:count]

    def _step(self, state: Tensor, start: Transitions) -> Transitions:
        """Return one transition of the policy in the model from each state `[M, ...]`, in the episode of `start`."""
        policy = self.fitted.policy
        pi = policy(state)
        action = pi.sample()
        found = self.fitted.model.future(policy, state, action).sample()
        next_state, paid, logit = self.read(state, action, found)
        ended = torch.rand_like(logit) < logit.sigmoid()
        never, one = torch.zeros_like(ended), torch.ones_like(logit)
        links = start.stream, start.episode, start.time
        return Transitions(state, action, paid, next_state, ended, never, pi.log_prob(action), one, *links)
