"""Planners that sample: sequences of actions, rolled out in the model, weighted, and fitted by a plan.

The plan is a distribution of each action by itself, categorical or normal. In the first round sequences are drawn from
the prior along the rollout, a share of them from the policy; in later rounds from the plan so far. Weights correct for
where a sequence came from, so that the plan stays that of the prior:

    w_k ∝ exp(score_k/α) Π_t p_a(a_t|s_t) / proposal(a_t)

Of finitely many first actions each gets as many sequences as any other. Where the model is stochastic, a sequence that
was lucky is weighted like one that is good (the optimism of planning as inference); `particles` rolls each sequence out
several times and weighs it by its mean, and finite states are backed up together (`meetings`).
"""

import math
from collections.abc import Callable
from functools import partial
from typing import Any

import torch
from gymnasium.spaces import Discrete
from torch import Tensor

from gio_pyro.nn.gradient_step import Figures
from gio_pyro.planning.base import Planner, Problem
from gio_pyro.planning.checks import (
    MOST_DRAWS,
    MOST_ROUNDS,
    check_horizon,
    check_real,
    check_switch,
    check_weight,
    check_whole,
)
from gio_pyro.planning.meetings import sampled_induction
from gio_pyro.planning.proposals import Proposal
from gio_pyro.planning.rollouts import finite_scores, roll_out
from gio_pyro.programs import log_probs

FLOOR = 1e-4
"""Share of the prior in a plan over finitely many actions, so that log μ is finite."""
EFFECTIVE = 8.0
"""Least effective number of sequences that a normal is fitted to; below, weights are raised to a power under 1."""


class PathIntegral(Planner):
    """Sequences weighted by exp(score/α): path integral control (Williams et al., 2017, arXiv 1707.02342).

    Args:
        problem: what it is built from.
        horizon: H, steps of a rollout.
        draws: rollouts for each state and round.
        rounds: how often the plan is refined.
        replan: steps that are acted by a plan before the next is made, at most the horizon.
        value: whether the critic's value follows after the horizon.
        information_weight: w of the information of each step; None for the bound's (see `Imagination`).
        temperature: of the weights, reward units per nat; None for the agent's α.
        particles: rollouts of each sequence, which its weight is the mean of.
        policy_share: share of the sequences of the first round that follow the policy.

    Raises:
        InputError: a number out of range.
    """

    def __init__(
        self,
        problem: Problem,
        horizon: int = 12,
        draws: int = 256,
        rounds: int = 2,
        replan: int = 1,
        value: bool = True,
        information_weight: float | None = None,
        temperature: float | None = None,
        particles: int = 1,
        policy_share: float = 0.25,
    ) -> None:
        super().__init__(problem)
        self.horizon = check_horizon(horizon)
        self.draws = check_whole("draws", draws, 1, MOST_DRAWS)
        self.rounds = check_whole("rounds", rounds, 1, MOST_ROUNDS)
        self.replan = check_whole("replan", replan, 1, self.horizon)
        self.value = check_switch("value", value)
        self.weight = check_weight(information_weight, problem.imagination)
        self.temperature = None if temperature is None else check_real("temperature", temperature, 1e-12, 1e30)
        self.particles = check_whole("particles", particles, 1, self.draws)
        self.policy_share = check_real("policy_share", policy_share, 0, 1)
        self.discrete = isinstance(problem.spec.action_space, Discrete)
        capture = problem.captured or (lambda function: function)
        self._rounds: dict[bool, Callable[..., Figures]] = {
            first: capture(partial(self._directly, first)) for first in (True, False)
        }

    @property
    def sequences(self) -> int:
        """K, the sequences of each state and round."""
        return max(1, self.draws // self.particles)

    @torch.no_grad()
    def plan(self, state: Tensor, start: Tensor | None = None) -> Tensor:
        """Return the parameters of q of the next H actions from each state `[N, ...]`, `[N, H, P]`."""
        if self.meets:
            return self._with_prior(state, self._induced(state))
        family = self.problem.family
        plan = None if start is None else family.start(start)
        actions, scores, ratios = [], [], []
        for number in range(self.rounds):
            run = self._rounds[number == 0] if len(state) == 1 else partial(self._round, number == 0)
            found = run(state, self._alpha_of_agent(state), *(() if plan is None else (plan,)))
            actions.append(found["action"])
            scores.append(finite_scores(found["score"]))
            ratios.append(found["log_ratio"])
            weight = self.weigh(torch.cat(scores, 1), torch.cat(ratios, 1))
            plan = family.refit(torch.cat(actions, 1), weight)
        assert plan is not None
        return self._with_prior(state, plan) if self.discrete else plan

    def _round(self, first: bool, state: Tensor, alpha: Tensor, plan: Tensor | None = None) -> Figures:
        """Return the actions `[N, K, H, ...]`, the scores and log p_a − log proposal `[N, K]` of one round."""
        shape = len(state), self.sequences, self.particles
        following = round(self.policy_share * self.sequences) if first else 0
        propose = Proposal(self.problem, shape, plan, following)
        states = state.repeat_interleave(shape[1] * shape[2], 0)
        given: dict[str, Any] = {"alpha": alpha, "weight": self.weight, "value": self.value}
        found = roll_out(self.problem, states, propose, self.horizon, **given)
        return {
            "action": found.action.unflatten(0, shape)[:, :, 0],
            "score": found.score.unflatten(0, shape).mean(-1),
            "log_ratio": found.log_ratio.unflatten(0, shape)[..., 0],
        }

    def _directly(self, first: bool, *given: Tensor) -> Figures:
        """Do the same with steps that are not graphs of their own, as part of one graph."""
        with self.problem.imagination.direct():
            return self._round(first, *given)

    def _alpha_of_agent(self, state: Tensor) -> Tensor:
        """Return α as a tensor on the device of the states."""
        alpha = self.problem.temperature()
        return alpha if isinstance(alpha, Tensor) else torch.full((), alpha, device=state.device)

    @property
    def meets(self) -> bool:
        """Whether rollouts meet in states, so that they are backed up together."""
        return self.discrete and isinstance(self.problem.spec.state_space, Discrete)

    def _induced(self, state: Tensor) -> Tensor:
        return sampled_induction(
            self.problem,
            state,
            horizon=self.horizon,
            sequences=self.draws,
            rounds=self.rounds,
            alpha=self._alpha(),
            weight=self.weight,
            value=self.value,
        )

    def _alpha(self) -> Tensor | float:
        """Return the temperature of the weights, reward units per nat."""
        return self.problem.temperature() if self.temperature is None else self.temperature

    def weigh(self, score: Tensor, log_ratio: Tensor) -> Tensor:
        """Return the weights of sequences, `[N, K]`, from their scores and log p_a − log proposal, `[N, K]` each."""
        log_weight = (score - score.amax(-1, keepdim=True)) / self._alpha() + log_ratio
        return log_weight.softmax(-1) if self.discrete else tempered(log_weight, min(EFFECTIVE, score.shape[-1]))

    def _with_prior(self, state: Tensor, plan: Tensor) -> Tensor:
        """Return the plan with a small share of the prior, `[N, H, A]` nats."""
        prior = log_probs(self.problem.prior(state)).float()[:, None]
        return torch.logaddexp(plan + math.log1p(-FLOOR), prior + math.log(FLOOR))


class CrossEntropy(PathIntegral):
    """The plan is fitted to the best sequences, in several rounds: the cross-entropy method (Rubinstein, 1999).

    The prior is what the first sequences are drawn from, and does not count beyond that. The best sequences are often
    the luckiest, also where only the fitted model leaves something to chance; more rounds make it worse, `particles`
    with as many more draws make it better.

    Args:
        problem: what it is built from.
        horizon: H, steps of a rollout.
        draws: rollouts for each state and round.
        rounds: how often the plan is refined.
        elites: share of the sequences that the plan is fitted to.
        **settings: see `PathIntegral`, all but the temperature.

    Raises:
        InputError: a number out of range.
    """

    def __init__(
        self,
        problem: Problem,
        horizon: int = 12,
        draws: int = 256,
        rounds: int = 3,
        replan: int = 1,
        value: bool = True,
        information_weight: float | None = None,
        particles: int = 1,
        policy_share: float = 0.25,
        elites: float = 0.1,
    ) -> None:
        super().__init__(
            problem, horizon, draws, rounds, replan, value, information_weight, None, particles, policy_share
        )
        self.elites = check_real("elites", elites, 1e-9, 1)

    @property
    def meets(self) -> bool:
        """Whether rollouts are backed up together: not here, each sequence counts by itself."""
        return False

    def weigh(self, score: Tensor, log_ratio: Tensor) -> Tensor:
        """Return equal weights of the best sequences, 0 for the others, `[N, K]`."""
        count = max(1, round(self.elites * self.sequences))
        best = score.topk(count, -1).indices
        return torch.zeros_like(score).scatter(-1, best, 1.0 / count)


class OneStep(PathIntegral):
    """One step and the critic's value: q(a|s) ∝ p_a(a|s) exp((r + α w I + γ V(s'))/α).

    Of finitely many actions each is taken `draws` / A times, and the scores are averaged; continuous ones are drawn.

    Args:
        problem: what it is built from.
        draws: next states for each state.
        information_weight: w of the information; None for the bound's (see `Imagination`).

    Raises:
        InputError: a number out of range.
    """

    def __init__(self, problem: Problem, draws: int = 64, information_weight: float | None = None) -> None:
        check_whole("draws", draws, 1, MOST_DRAWS)
        space = problem.spec.action_space
        each = max(1, draws // int(space.n)) if isinstance(space, Discrete) else 1
        super().__init__(
            problem,
            horizon=1,
            draws=each * int(space.n) if isinstance(space, Discrete) else draws,
            rounds=1,
            information_weight=information_weight,
            particles=each,
        )


def tempered(log_weight: Tensor, effective: float) -> Tensor:
    """Return normalised weights `[N, K]`, raised to the largest power ≤ 1 with which so many draws count.

    Args:
        log_weight: `[N, K]` nats.
        effective: least effective number of draws, 1/Σ w².
    """
    low, high = torch.zeros_like(log_weight[:, :1]), torch.ones_like(log_weight[:, :1])
    whole = log_weight.softmax(-1)
    enough = 1 / whole.square().sum(-1, keepdim=True) >= effective
    for _ in range(20):
        middle = (low + high) / 2
        count = 1 / (middle * log_weight).softmax(-1).square().sum(-1, keepdim=True)
        low, high = torch.where(count >= effective, middle, low), torch.where(count >= effective, high, middle)
    return torch.where(enough, whole, (low * log_weight).softmax(-1))
