"""Sampled backward induction: rollouts of finite states that meet in a state are backed up together.

In a stochastic world a sequence of actions is weighted by its luck, and cannot answer to what happens. Where states are
finite, rollouts meet: the draws of a state and an action at step t give a mean, and the means a soft maximum,

    Q_t(s, a) = mean of r + α w I + γ V_{t+1}(s'),    V_t(s) = α log Σ_a p_a(a|s) exp(Q_t(s, a)/α)

which is `BackwardInduction` of the empirical transitions. An action that was not drawn where rollouts met is worth
what the critic says of the state; without a critic the maximum is over those that were drawn.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from gio_pyro.distributions.masks import ILLEGAL, legal
from gio_pyro.planning.base import Problem
from gio_pyro.planning.proposals import every_action, mixed
from gio_pyro.planning.rollouts import finite_scores
from gio_pyro.programs import log_probs


@dataclass(frozen=True)
class Steps:
    """One step of N · K rollouts."""

    place: Tensor
    """`[M]`: the index n · S + s of a root n and a state s."""
    action: Tensor
    """`[M]`."""
    gain: Tensor
    """`[M]`: r + α w I, reward units."""
    going: Tensor
    """`[M]`: γ times the probability that the episode goes on."""
    arrived: Tensor
    """`[M]`: the index of the next state."""


def sampled_induction(
    problem: Problem,
    state: Tensor,
    *,
    horizon: int,
    sequences: int,
    rounds: int,
    alpha: Tensor | float,
    weight: float,
    value: bool,
) -> Tensor:
    """Return log q of the next H actions from each state `[N]`, `[N, H, A]` nats: of later ones the marginal.

    Args:
        problem: the model, the prior and the critic.
        state: the roots.
        horizon: H.
        sequences: K, rollouts of each root and round.
        rounds: after the first, actions are drawn from the plan so far, with a share of the prior.
        alpha: temperature of the plan, reward units per nat.
        weight: w of the information.
        value: whether the critic's value follows after the horizon.
    """
    count, states = len(state), int(problem.spec.state_space.n)  # type: ignore[attr-defined]
    root = torch.arange(count, device=state.device).repeat_interleave(sequences)
    log_prior = log_probs(problem.prior(torch.arange(states, device=state.device))).double()
    steps: list[list[Steps]] = [[] for _ in range(horizon)]
    log_q: list[Tensor] = []
    for _ in range(rounds):
        _roll(problem, state.repeat_interleave(sequences), root, steps, log_q, log_prior, sequences, weight)
        log_q = _backed_up(problem, [_joined(parts) for parts in steps], count, log_prior, alpha, value=value)
    return _plan(log_q, steps, state, states, sequences)


def _roll(
    problem: Problem,
    state: Tensor,
    root: Tensor,
    steps: list[list[Steps]],
    log_q: list[Tensor],
    log_prior: Tensor,
    sequences: int,
    weight: float,
) -> None:
    """Append one rollout from each of the states `[N · K]` to the steps."""
    states, alpha = len(log_prior), problem.temperature()
    for number, parts in enumerate(steps):
        place = root * states + state
        if number == 0:
            action, _ = every_action(log_prior[state], sequences)
        else:
            other = mixed(log_q[number].flatten(0, 1)[place], log_prior[state]) if log_q else log_prior[state]
            action = torch.multinomial(other.exp(), 1).squeeze(-1)
        found = problem.imagination.step(state, action)
        gain = found.reward + alpha * weight * found.information
        going = problem.discount * (1 - found.ended)
        state = found.next_state
        parts.append(Steps(place, action, finite_scores(gain).double(), going.double(), root * states + state))


def _joined(parts: list[Steps]) -> Steps:
    return Steps(*(torch.cat(field) for field in zip(*(vars(part).values() for part in parts), strict=True)))


def _backed_up(
    problem: Problem, steps: list[Steps], count: int, log_prior: Tensor, alpha: Tensor | float, *, value: bool
) -> list[Tensor]:
    """Return log q_t(a|s) for every step, `[N, S, A]` nats each."""
    states, actions = log_prior.shape
    last = steps[-1].arrived % states
    critic = torch.zeros(states, dtype=torch.float64, device=log_prior.device)
    if value:
        every = torch.arange(states, device=log_prior.device)
        critic = finite_scores(problem.value(every, problem.temperature())).double()
    after = critic[last]
    found: list[Tensor] = []
    for step in reversed(steps):
        zero = torch.zeros(count * states * actions, dtype=torch.float64, device=log_prior.device)
        pair = step.place * actions + step.action
        number = zero.index_add(0, pair, torch.ones_like(step.gain))
        q = (zero.index_add(0, pair, step.gain + step.going * after) / number).view(count, states, actions)
        drawn = (number > 0).view_as(q) & legal(log_prior)
        counted = legal(log_prior).expand_as(drawn) if value else drawn
        own = log_prior.masked_fill(~counted, ILLEGAL).log_softmax(-1)
        q = torch.where(drawn, q, critic[:, None])
        score = (own + q / alpha).masked_fill(~counted, ILLEGAL)
        total = score.logsumexp(-1, keepdim=True)
        met = drawn.any(-1, keepdim=True)
        found.insert(0, torch.where(met, score - total, log_prior))
        if len(found) < len(steps):
            before = steps[len(steps) - len(found) - 1]
            after = (alpha * total).flatten()[before.arrived]
    return found


def _plan(log_q: list[Tensor], steps: list[list[Steps]], state: Tensor, states: int, sequences: int) -> Tensor:
    """Return log q of each step along the last round's rollouts, weighted by q of their first actions, `[N, H, A]`."""
    count = len(state)
    first = log_q[0][torch.arange(count), state]
    share = first.exp().gather(-1, steps[0][-1].action.view(count, sequences))
    share = share / share.sum(-1, keepdim=True)
    later = [
        torch.einsum("nk,nka->na", share, each.flatten(0, 1)[parts[-1].place].exp().view(count, sequences, -1)).log()
        for each, parts in zip(log_q[1:], steps[1:], strict=True)
    ]
    return torch.stack([first, *later], 1).clamp_min(ILLEGAL).float()
