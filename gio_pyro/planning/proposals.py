"""What sequences of actions are drawn from: the prior, the policy, or a plan that earlier rounds have found."""

import math

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
        self.discrete = isinstance(problem.spec.action_space, Discrete)
        count, sequences, _ = shape
        self.follows = (torch.arange(sequences) < following).repeat(count)
        self.any, self.all = following > 0, following == sequences

    def __call__(self, number: int, state: Tensor) -> tuple[Tensor, Tensor]:
        """Return actions for the states `[N · K · J, ...]` at a step, and log p_a − log proposal, `[N · K · J]`."""
        copies = self.shape[2]
        first = state if copies == 1 else state[::copies]
        draw = self._discrete if self.discrete else self._continuous
        action, ratio = draw(number, first)
        if copies == 1:
            return action, ratio
        return action.repeat_interleave(copies, 0), ratio.repeat_interleave(copies, 0)

    def _discrete(self, number: int, state: Tensor) -> tuple[Tensor, Tensor]:
        prior = log_probs(self.problem.prior(state)).float()
        if number == 0:
            return self._every_action(prior)
        other = prior
        if self.plan is not None:
            wanted = self.plan[:, number].repeat_interleave(self.shape[1], 0)
            other = _mixed(restricted(wanted, legal(prior)), prior)
        if self.any:
            own = _mixed(log_probs(self.problem.policy(state)).float(), prior)
            other = torch.where(self.follows.to(prior.device)[:, None], own, other)
        action = torch.multinomial(other.exp(), 1)
        return action.squeeze(-1), (prior - other).gather(-1, action).squeeze(-1)

    def _every_action(self, prior: Tensor) -> tuple[Tensor, Tensor]:
        """Return each allowed first action in as many sequences as any other, as nearly as K allows."""
        allowed = legal(prior)
        order = torch.argsort((~allowed).long(), dim=-1, stable=True)
        count = allowed.sum(-1, keepdim=True)
        turn = torch.arange(self.shape[1], device=prior.device).repeat(self.shape[0])[:, None] % count
        action = order.gather(-1, turn)
        return action.squeeze(-1), (prior.gather(-1, action) + count.log()).squeeze(-1)

    def _continuous(self, number: int, state: Tensor) -> tuple[Tensor, Tensor]:
        prior = self.problem.prior(state)
        other = prior
        if self.plan is not None:
            other = self.problem.family.distribution(self.plan[:, number].repeat_interleave(self.shape[1], 0))
        if not self.any:
            action = other.sample()
            return action, torch.zeros_like(action[:, 0]) if other is prior else _ratio(prior, other, action)
        pi, follows = self.problem.policy(state), self.follows.to(state.device)
        action = torch.where(follows[:, None], pi.sample(), other.sample())
        ratio = _ratio(prior, pi, action) if other is prior else prior.log_prob(action) - torch.where(
            follows, pi.log_prob(action), other.log_prob(action)
        )
        return action, torch.where(follows, ratio, 0.0) if other is prior else ratio


def _ratio(prior: torch.distributions.Distribution, other: torch.distributions.Distribution, action: Tensor) -> Tensor:
    found: Tensor = prior.log_prob(action) - other.log_prob(action)
    return found


def _mixed(log_q: Tensor, prior: Tensor) -> Tensor:
    """Return log-probabilities of a distribution with a share of the prior, `[M, A]`."""
    return torch.logaddexp(log_q.log_softmax(-1) + math.log1p(-PRIOR_SHARE), prior + math.log(PRIOR_SHARE))
