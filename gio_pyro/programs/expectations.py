"""Expectations over what a model and a policy can do: enumerated where that is possible, sampled where not."""

from dataclasses import dataclass

import torch
from torch import Tensor
from torch.distributions import Distribution

from gio_pyro.errors import TrainingError
from gio_pyro.programs.program import Model, all_actions
from gio_pyro.types import Policy

MAX_ENUMERATED_FUTURES = 64
"""Above this many values the futures of a model are sampled instead of enumerated."""


@dataclass(frozen=True)
class Imagined:
    """Futures of every action in each of B states, as N weighted rows."""

    pair: Tensor
    """`[N]`: b · A + a, which state with which action."""
    row: Tensor
    """`[N]`: b, the index of the state among those asked for."""
    action: Tensor
    """`[N, ...]`."""
    future: Tensor
    """`[N, ...]`."""
    weight: Tensor
    """`[N]`: p_ψ(F|s, a), or 1/K for each of K samples; sums to 1 for every pair."""
    states: int
    """B."""

    def mean(self, values: Tensor) -> Tensor:
        """Return the expectation over futures of `values` `[N]` for every state and action, `[B, A]`."""
        pairs = int(self.pair[-1]) + 1
        total = torch.zeros(pairs, dtype=values.dtype, device=values.device)
        return total.index_add(0, self.pair, self.weight * values).reshape(self.states, -1)


def every_action(policy: Policy, state: Tensor) -> tuple[Tensor, Tensor]:
    """Return (row, action), both `[B · A]`: each state with each action that the policy can enumerate."""
    actions = all_actions(policy(state[:1]), "the policy")
    row = torch.arange(len(state), device=state.device).repeat_interleave(len(actions))
    return row, actions.repeat(len(state))


@torch.no_grad()
def imagine(model: Model, policy: Policy, state: Tensor, *, samples: int) -> Imagined:
    """Return the futures that the model gives to every action in each state `[B, ...]`, without gradients.

    Finite futures of at most `MAX_ENUMERATED_FUTURES` values are enumerated with their probabilities. Others are
    `samples` draws each: systematic ones where the futures are finite (one uniform number spaces the draws evenly
    over the distribution function: unbiased, and exact for a sure outcome), independent ones where not.
    """
    row, action = every_action(policy, state)
    distribution = model.future(policy, state[row], action)
    if not distribution.has_enumerate_support:
        draws = distribution.sample(torch.Size([samples])).transpose(0, 1)
    else:
        values = distribution.enumerate_support(expand=False).flatten()
        weight = probabilities(distribution, values)
        if not bool(torch.isfinite(weight.sum())):
            raise TrainingError(f"Expected probabilities from {model.name}, but got NaN; look for log 0 or 0/0.")
        if len(values) <= MAX_ENUMERATED_FUTURES:
            pair, which = (weight > 0).nonzero(as_tuple=True)
            return Imagined(pair, row[pair], action[pair], values[which], weight[pair, which], len(state))
        draws = values[systematic(weight, samples)]
    pair = torch.arange(len(row), device=row.device).repeat_interleave(samples)
    share = torch.full((len(pair),), 1.0 / samples, device=row.device)
    return Imagined(pair, row[pair], action[pair], draws.flatten(0, 1), share, len(state))


def probabilities(distribution: Distribution, values: Tensor) -> Tensor:
    """Return the probability of each of `values` `[F]` under N distributions, `[N, F]`.

    A categorical distribution has the table at hand; scoring F values one by one takes ten times as long.
    """
    table: Tensor | None = getattr(distribution, "probs", None)
    indices = torch.arange(len(values), device=values.device)
    if table is not None and table.shape[-1:] == values.shape and table.ndim == 2 and torch.equal(values, indices):
        return table
    log_prob: Tensor = distribution.log_prob(values[:, None])
    return log_prob.exp().T


def systematic(probability: Tensor, samples: int) -> Tensor:
    """Return `[N, samples]` indices drawn from `probability` `[N, F]` by systematic sampling."""
    cumulative = probability.cumsum(-1)
    offset = torch.rand(len(probability), 1, device=probability.device)
    position = (torch.arange(samples, device=probability.device) + offset) / samples * cumulative[:, -1:]
    position = position.clamp_min(torch.finfo(position.dtype).tiny)  # a first value of probability 0 is never drawn
    return torch.searchsorted(cumulative, position).clamp_max(probability.shape[-1] - 1)


def score_every_action(model: Model, policy: Policy, state: Tensor, future: Tensor) -> Tensor:
    """Return log p_ψ(F|s, a) for every action, `[B, A]` nats; `state` and `future` are `[B, ...]`."""
    row, action = every_action(policy, state)
    return model.log_prob(policy, state[row], action, future[row]).reshape(len(state), -1)
