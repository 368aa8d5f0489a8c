"""The family of methods, exactly: what stands in for the guide's log ρ (theory, section 4).

Each is a function `(mdp, policy, channel) -> E_{F|s,a} log ρ(a|s, F)`, `[..., S, A]` nats. The one loop of
`policy_iteration` reads nothing else, so swapping the function swaps the method. Where a state does not allow every
action, ρ is normalised over those that it allows.
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
LEAST_PRIOR = 1e-300
"""No action's share of a marginal prior counts as less: one that was lost costs 691 nats, not infinitely many."""


def bayes(mdp: TabularMDP, policy: Tensor, channel: Tensor) -> Tensor:
    """The exact posterior p_π(a|s, F) (theory, equation 2): the intrinsic reward is mutual information."""
    policy, channel = _given(mdp, policy, channel)
    return policy.log() + divergence_from_mean(channel, policy)


def uniform(mdp: TabularMDP, policy: Tensor, channel: Tensor) -> Tensor:
    """A uniform distribution over the allowed actions: maximum-entropy control, less log A at every step."""
    policy, _ = _given(mdp, policy, channel)
    return _over_allowed(torch.full_like(policy, -math.log(mdp.actions)), mdp)


def marginal(mdp: TabularMDP, policy: Tensor, channel: Tensor) -> Tensor:
    """MIRL's prior π_0(a) = E_{s~d_π} π(a|s), d_π the discounted state visits: penalises I(S; A).

    An action that no visited state takes keeps `LEAST_PRIOR`, so that its logarithm is finite.
    """
    policy, _ = _given(mdp, policy, channel)
    return _log_prior(action_marginal(mdp, policy), policy, mdp)


def marginal_over(visits: object) -> Guide:
    """MIRL's prior over given state visits, `[S]`, such as those that a replay holds: π_0(a) = Σ_s visits(s) π(a|s).

    Raises:
        InputError: `visits` is no distribution, or has another number of states than the MDP.
    """
    table = as_distribution("the visits", visits)

    def guide(mdp: TabularMDP, policy: Tensor, channel: Tensor) -> Tensor:
        policy, _ = _given(mdp, policy, channel)
        return _log_prior(action_marginal(mdp, policy, visits=table), policy, mdp)

    return guide


def _log_prior(prior: Tensor, policy: Tensor, mdp: TabularMDP) -> Tensor:
    return _over_allowed(prior.clamp_min(LEAST_PRIOR).log()[..., None, :].expand_as(policy), mdp)


def _over_allowed(log_rho: Tensor, mdp: TabularMDP) -> Tensor:
    """Return log ρ of a prior `[..., S, A]`, normalised over the allowed actions of each state; −∞ for the others."""
    if bool(mdp.allowed.all()):
        return log_rho
    return torch.log_softmax(log_rho.masked_fill(~mdp.allowed, -math.inf), -1)


def fixed_prior(prior: object) -> Guide:
    """A given prior π_0(a|s), `[S, A]` or `[A]`: KL-regularised control.

    Raises:
        InputError: `prior` is no distribution, or has another number of actions than the MDP.
    """
    table = as_distribution("the prior", prior)

    def guide(mdp: TabularMDP, policy: Tensor, channel: Tensor) -> Tensor:
        policy, _ = _given(mdp, policy, channel)
        if table.shape not in (policy.shape, policy.shape[-2:], policy.shape[-1:]):
            raise InputError(f"Expected a prior of shape {tuple(policy.shape)}, but got {tuple(table.shape)}.")
        return _over_allowed(table.to(policy).log().expand_as(policy), mdp)

    return guide


def fixed_posterior(q: object) -> Guide:
    """A given guide q(a|s, F), `[S, F, A]`, that does not follow the policy: the slack of theory, equation 3."""
    table = as_distribution("the guide", q)

    def guide(mdp: TabularMDP, policy: Tensor, channel: Tensor) -> Tensor:
        policy, channel = _given(mdp, policy, channel)
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
    """Return what a guide says, `[..., S, A]` nats.

    Raises:
        InputError: it is no function, or returns another kind or shape than that of the policy.
        ProgramError: it raises.
    """
    if not callable(guide) or isinstance(guide, type):
        raise InputError(f"Expected a guide such as tabular.bayes, but got {shown(guide)}; see tabular.Guide.")
    with raised_by(getattr(guide, "__name__", type(guide).__name__), "the guide"):
        found = guide(mdp, policy, channel)
    if not isinstance(found, Tensor) or found.shape != policy.shape or not found.is_floating_point():
        raise InputError(f"Expected the guide to return nats {tuple(policy.shape)}, but got {shown(found)}.")
    return found.to(policy)


def _given(mdp: TabularMDP, policy: Tensor, channel: Tensor) -> tuple[Tensor, Tensor]:
    """Return the policy and the channel that a guide is asked about; tables that fit already are not looked at again.

    Raises:
        InputError: no MDP, or tables that are no distributions of its shape.
    """
    shape = as_mdp(mdp).reward.shape
    if not (isinstance(policy, Tensor) and policy.dtype == torch.float64 and policy.shape == shape):
        policy = as_policy(mdp, policy)
    if not (isinstance(channel, Tensor) and channel.dtype == torch.float64 and channel.shape[:-1] == shape):
        channel = as_distribution("the channel", channel)
    if channel.ndim < 3 or channel.shape[:-1] != shape:
        raise InputError(f"Expected a channel {[*shape]} of futures, but got shape {tuple(channel.shape)}.")
    return policy, channel
