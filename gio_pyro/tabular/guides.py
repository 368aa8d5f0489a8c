"""Exact guides: the log ρ that defines each method of the family (theory, section 4).

Each is a function `(mdp, policy, channel) -> E_{F|s,a} log ρ(a|s, F)`, `[..., S, A]` nats. `policy_iteration`
reads nothing else, so swapping the function swaps the method. ρ is normalised over the allowed actions of each state.
"""

import math
from collections.abc import Callable

import torch
from torch import Tensor

from gio_pyro.errors import InputError, raised_by, shown
from gio_pyro.tabular.information import as_distribution, divergence_from_mean, require_one_batch, safe_log
from gio_pyro.tabular.marginals import action_marginal
from gio_pyro.tabular.mdp import TabularMDP, as_mdp, as_policy

Guide = Callable[[TabularMDP, Tensor, Tensor], Tensor]
MIN_MARGINAL = 1e-300
"""Lower bound of a marginal prior, so that log ρ of an action never taken is −691 nats, not −∞."""


def bayes(mdp: TabularMDP, policy: Tensor, channel: Tensor) -> Tensor:
    """Return E log p_π(a|s, F), the exact posterior (theory, equation 2): the reward is mutual information."""
    policy, channel = _as_tables(mdp, policy, channel)
    return policy.log() + divergence_from_mean(channel, policy)


def uniform(mdp: TabularMDP, policy: Tensor, channel: Tensor) -> Tensor:
    """Return log of the uniform prior over allowed actions: maximum-entropy RL, less log A at every step."""
    policy, _ = _as_tables(mdp, policy, channel)
    return _normalise_log_prior(torch.full_like(policy, -math.log(mdp.actions)), mdp)


def marginal(mdp: TabularMDP, policy: Tensor, channel: Tensor) -> Tensor:
    """Return log π_0(a), π_0(a) = E_{s~d_π} π(a|s) with discounted state visits d_π: MIRL, which penalises I(S; A).

    The prior of an action that no visited state takes is `MIN_MARGINAL`.
    """
    policy, _ = _as_tables(mdp, policy, channel)
    return _log_prior(action_marginal(mdp, policy), policy, mdp)


def marginal_over(visits: object) -> Guide:
    """Return the guide log π_0(a), π_0(a) = Σ_s visits(s) π(a|s), for fixed state visits `[S]`, such as replay's.

    Raises:
        InputError: `visits` is not a distribution, or has another number of states than the MDP.
    """
    table = as_distribution("the visits", visits)

    def guide(mdp: TabularMDP, policy: Tensor, channel: Tensor) -> Tensor:
        policy, _ = _as_tables(mdp, policy, channel)
        return _log_prior(action_marginal(mdp, policy, visits=table), policy, mdp)

    return guide


def _log_prior(prior: Tensor, policy: Tensor, mdp: TabularMDP) -> Tensor:
    return _normalise_log_prior(prior.clamp_min(MIN_MARGINAL).log()[..., None, :].expand_as(policy), mdp)


def _normalise_log_prior(log_rho: Tensor, mdp: TabularMDP) -> Tensor:
    """Return log ρ `[..., S, A]` normalised over the allowed actions of each state, −∞ for the others."""
    if bool(mdp.allowed.all()):
        return log_rho
    return torch.log_softmax(log_rho.masked_fill(~mdp.allowed, -math.inf), -1)


def fixed_prior(prior: object) -> Guide:
    """Return the guide of a fixed prior π_0(a|s), `[S, A]` or `[A]`: KL-regularised control.

    Raises:
        InputError: `prior` is not a distribution, or has another number of actions than the MDP.
    """
    table = as_distribution("the prior", prior)

    def guide(mdp: TabularMDP, policy: Tensor, channel: Tensor) -> Tensor:
        policy, _ = _as_tables(mdp, policy, channel)
        if table.shape not in (policy.shape, policy.shape[-2:], policy.shape[-1:]):
            raise InputError(f"Expected a prior of shape {tuple(policy.shape)}, but got {tuple(table.shape)}.")
        return _normalise_log_prior(table.to(policy).log().expand_as(policy), mdp)

    return guide


def fixed_posterior(q: object) -> Guide:
    """Return the guide of a fixed q(a|s, F), `[S, F, A]`: a lower bound on the information (theory, equation 3)."""
    table = as_distribution("the guide", q)

    def guide(mdp: TabularMDP, policy: Tensor, channel: Tensor) -> Tensor:
        policy, channel = _as_tables(mdp, policy, channel)
        if table.shape[-3:] != channel.mT.shape[-3:]:
            raise InputError(f"Expected a guide of shape {tuple(channel.mT.shape)}, but got {tuple(table.shape)}.")
        require_one_batch(table.shape[:-3], channel.shape[:-3], "the guide and the channel")
        log_q = safe_log(table.to(policy))
        if not bool(mdp.allowed.all()):
            total = log_q.masked_fill(~mdp.allowed[..., None, :], -math.inf).logsumexp(-1, keepdim=True)
            log_q = log_q - total
        found = torch.einsum("...saf,...sfa->...sa", channel, log_q)
        return found.masked_fill(~mdp.allowed, -math.inf)

    return guide


def log_rho_of(mdp: TabularMDP, policy: Tensor, channel: Tensor, guide: Guide) -> Tensor:
    """Return E_{F|s,a} log ρ(a|s, F) of a guide, `[..., S, A]` nats.

    Raises:
        InputError: it is not a function, or does not return floats of the shape of the policy.
        ProgramError: it raises.
    """
    if not callable(guide) or isinstance(guide, type):
        raise InputError(f"Expected a guide such as tabular.bayes, but got {shown(guide)}; see tabular.Guide.")
    with raised_by(getattr(guide, "__name__", type(guide).__name__), "the guide"):
        found = guide(mdp, policy, channel)
    if not isinstance(found, Tensor) or found.shape != policy.shape or not found.is_floating_point():
        raise InputError(f"Expected the guide to return nats {tuple(policy.shape)}, but got {shown(found)}.")
    return found.to(policy)


def _as_tables(mdp: TabularMDP, policy: Tensor, channel: Tensor) -> tuple[Tensor, Tensor]:
    """Return policy and channel as float64 tables; skip the checks of those that have this shape and dtype.

    Raises:
        InputError: not an MDP, or tables that are not distributions of its shape.
    """
    shape = as_mdp(mdp).reward.shape
    if not (isinstance(policy, Tensor) and policy.dtype == torch.float64 and policy.shape == shape):
        policy = as_policy(mdp, policy)
    if not (isinstance(channel, Tensor) and channel.dtype == torch.float64 and channel.shape[:-1] == shape):
        channel = as_distribution("the channel", channel)
    if channel.ndim < 3 or channel.shape[:-1] != shape:
        raise InputError(f"Expected a channel {[*shape]} of futures, but got shape {tuple(channel.shape)}.")
    return policy, channel
