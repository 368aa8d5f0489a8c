"""Expectations over the actions of a policy and the futures of a model: enumerated if finite, sampled otherwise."""

import math
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.distributions import Categorical, Distribution

from gio_pyro.distributions.listed import ListedCategorical
from gio_pyro.errors import ProgramError, TrainingError
from gio_pyro.programs.marginal import Marginal, is_branching
from gio_pyro.programs.model import Model
from gio_pyro.programs.scores import all_actions
from gio_pyro.types import Policy

MAX_ENUMERATED_FUTURES = 64
"""Maximum number of futures that are enumerated; more are sampled."""


@dataclass(frozen=True)
class ActionSamples:
    """K actions in each of B states with weights: all of them, or samples."""

    action: Tensor
    """`[B · K, ...]`, the K actions of a state one after the other."""
    log_prob: Tensor
    """`[B, K]` nats: log-probability under the distribution they come from."""
    log_weight: Tensor
    """`[B, K]`: log-probabilities of enumerated actions, −log K of draws; the weights sum to 1 for every state."""

    @property
    def count(self) -> int:
        """K, the number of actions per state."""
        return self.log_weight.shape[-1]

    def spread(self, x: Tensor) -> Tensor:
        """Return each row of `x` `[B, ...]` once for every action, `[B · K, ...]`; `x` itself where K is 1."""
        return x if self.count == 1 else x.repeat_interleave(self.count, 0)

    def mean(self, values: Tensor) -> Tensor:
        """Return the expectation over actions of `values` `[B, K]`, `[B]`."""
        if self.count == 1:
            return values.squeeze(-1)
        return (self.log_weight.exp() * values).sum(-1)


def sample_actions(distribution: Distribution, samples: int = 1) -> ActionSamples:
    """Return every action of a batch of B distributions where they are finite, or `samples` draws of each.

    Where gradients are enabled, draws carry them to the distribution's parameters; raises `ProgramError` for a
    distribution that cannot be reparameterised then.
    """
    if distribution.has_enumerate_support:
        values = distribution.enumerate_support(expand=False)
        log_prob = distribution.log_prob(values).T
        return ActionSamples(values.flatten().repeat(len(log_prob)), log_prob, log_prob)
    return drawn(distribution, _draws(distribution, samples))


def drawn(distribution: Distribution, draws: Tensor) -> ActionSamples:
    """Return K draws for each of B states, `[K, B, ...]`, as `ActionSamples`, scored by a batch of B distributions."""
    log_prob = distribution.log_prob(draws).T
    return ActionSamples(
        draws.transpose(0, 1).flatten(0, 1), log_prob, torch.full_like(log_prob, -math.log(len(draws)))
    )


def _draws(distribution: Distribution, samples: int) -> Tensor:
    size = torch.Size([samples])
    if not torch.is_grad_enabled():
        return distribution.sample(size)
    if not distribution.has_rsample:
        raise ProgramError(
            f"Expected draws that pass on a gradient, but a {type(distribution).__name__} cannot be reparameterised; "
            "use a distribution that has rsample, or for a guide another objective than elbo."
        )
    return distribution.rsample(size)


@dataclass(frozen=True)
class FutureSamples:
    """Futures of M pairs of a state and an action, as N weighted rows."""

    pair: Tensor
    """`[N]`: index of the pair."""
    future: Tensor
    """`[N, ...]`."""
    weight: Tensor
    """`[N]`: p_ψ(F|s, a), or 1/J for each of J samples; sums to 1 for every pair."""
    pairs: int
    """M, the number of pairs."""
    single: bool = False
    """Whether every pair has exactly one sample, in order, so that nothing needs averaging."""

    def spread(self, x: Tensor) -> Tensor:
        """Return the row of `x` `[M, ...]` that each future belongs to, `[N, ...]`."""
        return x if self.single else x[self.pair]

    def mean(self, values: Tensor) -> Tensor:
        """Return the expectation over futures of `values` `[N]`, `[M]`."""
        if self.single:
            return values
        shares = self.weight * values.masked_fill(self.weight == 0, 0.0)  # a future of probability 0 may score −inf
        return torch.zeros(self.pairs, dtype=shares.dtype, device=shares.device).index_add(0, self.pair, shares)


def every_action(policy: Policy, state: Tensor) -> tuple[Tensor, Tensor]:
    """Return (row, action), both `[B · A]`: each state with each action that the policy can enumerate."""
    actions = all_actions(policy(state[:1]), "the policy")
    row = torch.arange(len(state), device=state.device).repeat_interleave(len(actions))
    return row, actions.repeat(len(state))


def imagine(
    model: Model, policy: Policy, state: Tensor, action: Tensor, *, samples: int, fixed_shapes: bool = False
) -> FutureSamples:
    """Return the futures that the model gives to each pair of `state` `[M, ...]` and `action` `[M, ...]`.

    Finite futures of at most `MAX_ENUMERATED_FUTURES` values are enumerated with their probabilities. Otherwise
    `samples` are drawn per pair: by systematic sampling if the futures are finite (one uniform number per pair spaces
    the draws evenly over the distribution function: unbiased, and exact for a deterministic outcome), independently if
    not. With continuous actions finite futures are always enumerated, without synchronising with the device; with
    `fixed_shapes` those of probability 0 are listed, too, and NaN is not looked for.
    Gradients, where enabled, pass through reparameterised draws and through enumerated probabilities; raises
    `ProgramError` where neither is possible.
    """
    distribution = model.future(policy, state, action)
    pairs = len(state)
    if is_branching(distribution) and not distribution.has_enumerate_support:
        return _each_branch(distribution, pairs, samples)
    if not distribution.has_enumerate_support:
        draws = _draws(distribution, samples).transpose(0, 1)
        return _equally_weighted(draws, pairs, samples)
    if (parts := getattr(distribution, "weighted_support", None)) is not None:
        return _listed(*parts())
    values = distribution.enumerate_support(expand=False).flatten()
    weight = enumerated_probabilities(distribution, values)
    if action.is_floating_point() or (fixed_shapes and len(values) <= MAX_ENUMERATED_FUTURES):
        return _enumerated(values, weight)
    if not bool(torch.isfinite(weight.sum())):
        raise TrainingError(f"Expected probabilities from {model.name}, but got NaN; look for log 0 or 0/0.")
    if len(values) <= MAX_ENUMERATED_FUTURES or weight.requires_grad:
        pair, which = (weight > 0).nonzero(as_tuple=True)
        return FutureSamples(pair, values[which], weight[pair, which], pairs)
    return _equally_weighted(values[systematic(weight, samples)], pairs, samples)


def _each_branch(distribution: Marginal, pairs: int, samples: int) -> FutureSamples:
    """Return `samples` futures for each combination of the finite latent sites, weighted by its probability."""
    future, weight = distribution.branches(samples)
    pair = torch.arange(pairs, device=weight.device).repeat(weight.numel() // pairs)
    return FutureSamples(pair, future.flatten(0, 1), weight.flatten() / samples, pairs)


def _enumerated(values: Tensor, weight: Tensor) -> FutureSamples:
    """Return every future of each pair, those of probability 0 too: dropping them would synchronise with the device."""
    pairs, count = weight.shape
    pair = torch.arange(pairs, device=weight.device).repeat_interleave(count)
    return FutureSamples(pair, values.repeat(pairs), weight.flatten(), pairs)


def _listed(values: Tensor, weight: Tensor) -> FutureSamples:
    """Return the futures that a distribution lists for each pair, with their weights, `[M, K]` each."""
    pairs, count = weight.shape
    pair = torch.arange(pairs, device=weight.device).repeat_interleave(count)
    return FutureSamples(pair, values.flatten(), weight.flatten(), pairs)


def _equally_weighted(draws: Tensor, pairs: int, samples: int) -> FutureSamples:
    """Return `samples` equally weighted futures of each pair, `draws` `[M, samples, ...]`."""
    pair = torch.arange(pairs, device=draws.device).repeat_interleave(samples)
    share = torch.full((len(pair),), 1.0 / samples, device=draws.device)
    return FutureSamples(pair, draws.flatten(0, 1), share, pairs, single=samples == 1)


def enumerated_probabilities(distribution: Distribution, values: Tensor) -> Tensor:
    """Return the probability of each of `values` `[F]` under N distributions, `[N, F]`.

    A categorical distribution holds the table; scoring F values separately takes ten times as long.
    """
    if isinstance(distribution, Categorical | ListedCategorical) and distribution.probs.ndim == 2:
        table: Tensor = distribution.probs
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


def score(model: Model, policy: Policy, state: Tensor, chosen: ActionSamples, future: Tensor) -> Tensor:
    """Return log p_ψ(F|s, a) of K actions each, `[B, K]` nats; `state` and `future` are `[B, ...]`."""
    log_p = model.log_prob(policy, chosen.spread(state), chosen.action, chosen.spread(future))
    return log_p.reshape(len(state), -1)


def prior(policy: Policy, state: Tensor, chosen: ActionSamples) -> Tensor:
    """Return log π(a|s) of K actions each, `[B, K]` nats."""
    log_pi: Tensor = policy(chosen.spread(state)).log_prob(chosen.action)
    return log_pi.reshape(len(state), -1)
