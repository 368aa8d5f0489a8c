"""Rollouts in the model for tables: expectations instead of samples where futures can be enumerated."""

from dataclasses import replace

import torch
from torch import Tensor

from gio_pyro.data.merging import concatenate, merge
from gio_pyro.dreaming.base import NoRollouts
from gio_pyro.dreaming.outcomes import Counted
from gio_pyro.programs import every_action, imagine, log_probs
from gio_pyro.signals import Fitted
from gio_pyro.types import UNKNOWN, Transitions


class TableDreams(NoRollouts):
    """All transitions of the first steps of π in p_ψ from replayed states, weighted by their probability, each once.

    A state begins a dream as often as it was visited. Its rows weigh what π(a|s) p_ψ(s'|s, a) say, so nothing is drawn
    at random; only of more futures than can be enumerated are `samples` of each pair drawn. A pair that was never tried
    is not dreamed of: nothing is known of it, and the critic's optimism about it is what makes the agent go there.

    Args:
        fitted: the spaces, the future, the model and the policy.
        horizon: steps of a rollout.
        share: share of rollouts in the weight of all rows, in (0, 1]; 1 leaves replayed rows out.
        samples: futures drawn for each pair where they cannot be enumerated.
    """

    def __init__(self, fitted: Fitted, horizon: int, share: float, *, samples: int) -> None:
        super().__init__()
        self.fitted, self.horizon, self.share, self.samples = fitted, horizon, share, samples

    def beside(self, rows: Transitions) -> Transitions:
        """Return replay `[B]` with imagined transitions that make up `share` of the weight."""
        dreamed = self.dreamed(rows)
        if self.share == 1:
            return dreamed
        scale = self.share / (1 - self.share) * rows.weight.sum() / dreamed.weight.sum()
        return concatenate(rows, replace(dreamed, weight=scale * dreamed.weight))

    @torch.no_grad()
    def dreamed(self, rows: Transitions) -> Transitions:
        """Return the imagined transitions from the states of replay, with their own weights."""
        states, actions, _ = self.fitted.spec.sizes()
        known, steps = Counted(rows, states, actions), []
        state, weight = rows.distinct_states()
        for _ in range(self.horizon):
            step = self._step(known, state, weight)
            steps.append(step)
            ahead = step[~step.terminated & torch.isin(step.next_state, known.visited)]
            if not len(ahead):
                break
            state, weight = replace(ahead, state=ahead.next_state).distinct_states()
        found = merge(concatenate(*steps))
        return replace(found, weight=found.weight.to(weight), log_behaviour=found.log_behaviour.to(weight))

    def _step(self, known: Counted, state: Tensor, weight: Tensor) -> Transitions:
        """Return the transitions of one step of the policy in the model from distinct states `[M]` of weights `[M]`."""
        policy, model = self.fitted.policy, self.fitted.model
        row, action = every_action(policy, state)
        log_pi = log_probs(policy(state)).flatten()
        tried = known.tried(state[row], action)
        row, action, log_pi = row[tried], action[tried], log_pi[tried]
        dream = imagine(model, policy, state[row], action, samples=self.samples)
        outcome = self.fitted.future.outcome
        assert outcome is not None  # `dreams_of` requires it
        next_state, reward = outcome(dream.future, self.fitted.spec.state_space)
        here, action, log_pi = (dream.spread(x) for x in (state[row], action, log_pi))
        mean, ending = known.of(here, action, next_state)
        share = dream.spread(weight[row]) * log_pi.exp() * dream.weight
        no = torch.zeros_like(tried[:1]).expand(len(here))
        received = (mean if reward is None else reward).to(weight)
        count, none = share * (1 - ending).to(share), torch.full_like(next_state, UNKNOWN)
        goes_on = Transitions(here, action, received, next_state, no, no, log_pi, count, none, none, none)
        ends = replace(goes_on, terminated=~no, weight=share * ending.to(share))
        both = concatenate(goes_on, ends)
        return both[both.weight > 0]
