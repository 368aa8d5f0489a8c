"""MIRL's action marginal over visited states, and the mutual information I(S; A) that MIRL penalises."""

import torch
from torch import Tensor

from gio_pyro.errors import InputError
from gio_pyro.tabular.episodes import discounted_visits
from gio_pyro.tabular.information import as_distribution
from gio_pyro.tabular.mdp import TabularMDP, as_policy


def action_marginal(mdp: TabularMDP, policy: object, *, visits: object = None) -> Tensor:
    """Return Σ_s d(s) π(a|s), `[..., A]`: the prior of least expected KL divergence from the policy.

    Args:
        mdp: the MDP.
        policy: π(a|s), `[..., S, A]`.
        visits: d(s), `[S]` or `[..., S]`; the discounted visits of the policy from `mdp.start` by default.

    Raises:
        InputError: a policy or visits that are not distributions, or of another size.
    """
    pi = as_policy(mdp, policy)
    return torch.einsum("...s,...sa->...a", _visits(mdp, pi, visits), pi)


def action_information(mdp: TabularMDP, policy: object, *, visits: object = None) -> Tensor:
    """Return I(S; A) = Σ_s d(s) KL(π(·|s) ‖ Σ_s d(s) π(·|s)), `[...]` nats: MIRL's cost per step.

    Arguments and errors are those of `action_marginal`.
    """
    pi = as_policy(mdp, policy)
    d = _visits(mdp, pi, visits)
    joint = d[..., None] * pi
    ratio = torch.where(joint > 0, pi / joint.sum(-2, keepdim=True), 1.0)
    return (joint * ratio.log()).sum((-1, -2))


def _visits(mdp: TabularMDP, pi: Tensor, visits: object) -> Tensor:
    if visits is None:
        return discounted_visits(mdp, pi)
    d = as_distribution("the visits", visits).to(pi.device)
    if d.shape not in (pi.shape[:-1], pi.shape[-2:-1]):
        raise InputError(f"Expected visits of shape {tuple(pi.shape[:-1])}, but got {tuple(d.shape)}.")
    return d.expand(pi.shape[:-1])
