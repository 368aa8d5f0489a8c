"""What sequences of actions are drawn from: the prior, the policy, or a plan that earlier rounds have found."""

import math
from typing import Any

import torch
from gymnasium.spaces import Discrete
from torch import Tensor

from gio_pyro.distributions.masks import legal, restricted
from gio_pyro.planning.base import Problem
from gio_pyro.programs import log_probs

PRIOR_SHARE = 0.1
"""Share of the prior in what discrete actions are drawn from, so that every action can be found."""


class Proposal:
    """Draws the actions of N · K sequences, each in J copies that act alike, and scores them against the prior.

    Args:
        problem: the prior, the policy and the family of plans.
        shape: N states, K sequences for each, J copies of each.
        plan: what to draw from, `[N, H, P]`; None for the prior.
        following: how many of the K sequences follow the policy instead.
    """

    def __init__(self, problem: Problem, shape: tuple[int, int, int], plan: Tensor | None, following: int) -> None:
        self.problem, self.shape, self.plan = problem, shape, plan
        count, sequences, _ = shape
        first = sequences * torch.arange(count)
        self.rows = (first[:, None] + torch.arange(following)).flatten() if following else None
        self.draw = self._discrete if isinstance(problem.spec.action_space, Discrete) else self._continuous

    def __call__(self, number: int, state: Tensor) -> tuple[Tensor, Tensor]:
        """Return actions for the states `[N · K · J, ...]` at a step, and log p_a − log proposal, `[N · K · J]`."""
        copies = self.shape[2]
        action, ratio = self.draw(number, state if copies == 1 else state[::copies])
        if copies == 1:
            return action, ratio
        return action.repeat_interleave(copies, 0), ratio.repeat_interleave(copies, 0)

    def _planned(self, number: int) -> Tensor | None:
        """Return the plan of a step for each sequence, `[N · K, P]`; None for the prior."""
        return None if self.plan is None else self.plan[:, number].repeat_interleave(self.shape[1], 0)

    def _discrete(self, number: int, state: Tensor) -> tuple[Tensor, Tensor]:
        prior = log_probs(self.problem.prior(state)).float()
        if number == 0:
            return every_action(prior, self.shape[1])
        other, plan = prior, self._planned(number)
        if plan is not None:
            other = mixed(restricted(plan, legal(prior)), prior)
        if self.rows is not None:
            rows = self.rows.to(state.device)
            own = mixed(log_probs(self.problem.policy(state[rows])).float(), prior[rows])
            other = other.index_copy(0, rows, own)
        action = torch.multinomial(other.exp(), 1)
        return action.squeeze(-1), (prior - other).gather(-1, action).squeeze(-1)

    def _continuous(self, number: int, state: Tensor) -> tuple[Tensor, Tensor]:
        prior, plan = self.problem.prior(state), self._planned(number)
        other: Any = prior if plan is None else self.problem.family.distribution(plan)
        action = other.sample()
        log_prior = prior.log_prob(action) if plan is not None or self.rows is not None else action[:, 0]
        log_other = log_prior if plan is None else other.log_prob(action)
        if self.rows is None:
            return action, log_prior - log_other
        rows = self.rows.to(state.device)
        pi = self.problem.policy(state[rows])
        own = pi.sample()
        action = action.index_copy(0, rows, own)
        log_other = log_other.index_copy(0, rows, pi.log_prob(own))
        return action, prior.log_prob(action) - log_other


def mixed(log_q: Tensor, prior: Tensor) -> Tensor:
    """Return log-probabilities of a distribution with a share of the prior, `[M, A]`."""
    return torch.logaddexp(log_q.log_softmax(-1) + math.log1p(-PRIOR_SHARE), prior + math.log(PRIOR_SHARE))


def every_action(prior: Tensor, sequences: int) -> tuple[Tensor, Tensor]:
    """Return each allowed first action in as many of the sequences of a state as any other, as nearly as K allows.

    Args:
        prior: log p_a, `[N · K, A]` nats, the K sequences of a state one after the other.
        sequences: K.

    Returns:
        The actions and log p_a − log proposal, `[N · K]` each.
    """
    allowed = legal(prior)
    order = torch.argsort((~allowed).long(), dim=-1, stable=True)
    count = allowed.sum(-1, keepdim=True)
    turn = torch.arange(sequences, device=prior.device).repeat(len(prior) // sequences)[:, None] % count
    action = order.gather(-1, turn)
    return action.squeeze(-1), (prior.gather(-1, action) + count.log()).squeeze(-1)
