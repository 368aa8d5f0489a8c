"""Exact policy iteration for every guide (theory, equations 4 to 6).

One iteration evaluates the policy by a linear solve, and improves it:

    Q(s,a) = r + γ E_{s'} V(s'),    V(s) = Σ_a π(a|s) [ Q(s,a) + α ( log ρ̄(s,a) − log π(a|s) ) ]
    π_new(·|s) ∝ exp( Q(s,·)/α + log ρ̄(s,·) ),    log ρ̄(s,a) = E_{F|s,a} log ρ(a|s,F)

With `guide=bayes` the intrinsic term averages to α I_π(F; A|s), and each iteration improves the value of every state.
The advantage of an action is Q(s,a) + α ( log ρ̄ − log π ) − V(s); at the optimum no action has a positive one.
"""

import warnings
from dataclasses import dataclass

import torch
from torch import Tensor

from gio_pyro.errors import ConvergenceWarning, InputError, shown
from gio_pyro.tabular.episodes import solve_chain
from gio_pyro.tabular.futures import Future, channel_of, next_state, state_chain
from gio_pyro.tabular.guides import Guide, bayes, log_rho_of
from gio_pyro.tabular.information import LARGEST_REWARD, divergence_from_mean
from gio_pyro.tabular.mdp import TabularMDP, as_mdp, as_policy
from gio_pyro.utils.checks import positive, real, real_tensor, whole

MIN_PROBABILITY = 1e-300
"""Lower bound of the probability of actions in the support of the first policy, against underflow."""


@dataclass(frozen=True)
class Solution:
    """The result of `policy_iteration` after n iterations; S states, A actions."""

    policy: Tensor
    """`[..., S, A]`."""
    q: Tensor
    """`[..., S, A]`, reward units: equation 5's fixed point for `policy`."""
    value: Tensor
    """`[..., S]`, reward units: equation 4 from each state; 0 where terminal."""
    intrinsic: Tensor
    """`[..., S]` nats: the intrinsic reward Σ_a π (log ρ̄ − log π); the mutual information for `bayes`."""
    mutual_information: Tensor
    """`[..., S]` nats: I_π(F; A|s) of `policy`, whatever the guide."""
    gap: Tensor
    """`[...]`, reward units: largest advantage over actions in the support of π_0, divided by 1 − γ. For `bayes`
    and a future that does not depend on the policy, it bounds the suboptimality of `value`; infinite at γ = 1."""
    history: Tensor
    """`[n + 1, ..., S]`: the values of the first policy and after each iteration."""


def posterior(mdp: TabularMDP, policy: object, future: Future = next_state) -> Tensor:
    """Return p_π(a|s, F) of theory, equation 2, `[..., S, F, A]`.

    For a future of probability 0 the posterior is undefined; its row is the policy.
    """
    pi = as_policy(mdp, policy)
    joint = (pi[..., None] * channel_of(mdp, pi, future)).mT
    total = joint.sum(-1, keepdim=True)
    return torch.where(total > 0, joint / total.clamp_min(torch.finfo(total.dtype).tiny), pi[..., None, :])


def intrinsic_bellman(
    mdp: TabularMDP,
    policy: object,
    q: object,
    *,
    temperature: float,
    guide: Guide = bayes,
    future: Future = next_state,
) -> Tensor:
    """Return T^π Q, one Bellman backup (theory, equation 5), `[..., S, A]` reward units.

    Args:
        mdp: the MDP, or a batch of MDPs.
        policy: π(a|s), `[..., S, A]`.
        q: Q(s, a), `[..., S, A]`, reward units.
        temperature: α > 0, reward units per nat.
        guide: log ρ; `bayes` gives mutual information.
        future: the future F.

    Raises:
        InputError: a policy that is not a distribution, temperature ≤ 0, shapes that disagree.
    """
    pi, alpha, q = as_policy(mdp, policy), as_temperature(temperature), real_tensor("Q", q).to(mdp.reward.device)
    if q.shape != mdp.reward.shape or not bool((q.abs() <= LARGEST_REWARD).all()):
        raise InputError(f"Expected a finite Q of shape {tuple(mdp.reward.shape)}, but got {shown(q)}, or NaN in it.")
    value = (pi * q).sum(-1) + alpha * intrinsic_reward(pi, log_rho_of(mdp, pi, channel_of(mdp, pi, future), guide))
    return _backup(mdp, value)


def policy_iteration(
    mdp: TabularMDP,
    temperature: float | None = None,
    policy: object = None,
    *,
    guide: Guide = bayes,
    future: Future = next_state,
    tolerance: float = 1e-9,
    max_iterations: int = 10_000,
) -> Solution:
    """Alternate evaluation (5), solved exactly, and improvement (6) until no advantage exceeds `tolerance`.

    Args:
        mdp: the MDP; a batch of MDPs is solved together.
        temperature: α > 0, reward units per nat; required.
        policy: π_0, `[..., S, A]`; uniform over the allowed actions by default. Actions of probability 0
            stay at 0.
        guide: `bayes`, `uniform`, `marginal`, `fixed_prior(p)`, `fixed_posterior(q)`, or a function like them.
        future: `next_state`, `next_state_and_reward`, `state_after(k)`, or a function like them.
        tolerance: largest advantage, reward units, at convergence.
        max_iterations: iterations after which it stops with a `ConvergenceWarning`.

    Returns:
        A `Solution`. Improvement is monotone for `bayes` with a future that does not depend on the policy; see
        `history`.

    Raises:
        InputError: a policy that is not a distribution, temperature ≤ 0, shapes that disagree.
    """
    mdp, alpha = as_mdp(mdp), as_temperature(temperature)
    tolerance = real("tolerance", tolerance, 0, LARGEST_REWARD)
    max_iterations = whole("max_iterations", max_iterations, 0)
    pi = mdp.uniform if policy is None else as_policy(mdp, policy)
    support = pi > 0
    log_rho, q, value = _evaluate(mdp, pi, alpha, guide, future)
    history = [value]
    advantage = _advantage(mdp, pi, alpha, log_rho, q, value, support)
    while bool((advantage > tolerance).any()) and len(history) <= max_iterations:
        # improvement, equation 6
        pi = torch.softmax(q / alpha + log_rho, -1).clamp_min(MIN_PROBABILITY) * support
        log_rho, q, value = _evaluate(mdp, pi, alpha, guide, future)
        history.append(value)
        advantage = _advantage(mdp, pi, alpha, log_rho, q, value, support)
    if bool((advantage > tolerance).any()):
        warnings.warn(
            f"Stopped after {max_iterations} rounds with an advantage of {advantage.max():.1e} left, above the "
            f"tolerance of {tolerance:.0e}; raise max_iterations, or read the gap.",
            ConvergenceWarning,
            stacklevel=2,
        )
    information = (pi * divergence_from_mean(channel_of(mdp, pi, future), pi)).sum(-1)
    gap = advantage / (1 - mdp.discount) if mdp.discount < 1 else torch.full_like(advantage, torch.inf)
    return Solution(pi, q, value, intrinsic_reward(pi, log_rho), information, gap, torch.stack(history))


def intrinsic_reward(policy: Tensor, log_rho: Tensor) -> Tensor:
    """Return Σ_a π(a|s) (log ρ̄(s,a) − log π(a|s)), `[..., S]` nats; actions of probability 0 contribute 0."""
    support = policy > 0
    ratio = torch.where(support, log_rho, 0.0) - torch.where(support, policy, 1.0).log()
    return (policy * ratio).sum(-1)


def as_temperature(temperature: float | None) -> float:
    """Return α; raises `InputError` unless it is a positive number."""
    return positive("temperature", temperature, wanted="a temperature > 0 (reward units per nat)")


def _evaluate(mdp: TabularMDP, pi: Tensor, alpha: float, guide: Guide, future: Future) -> tuple[Tensor, Tensor, Tensor]:
    """Return (log ρ̄ `[..., S, A]`, Q `[..., S, A]`, V `[..., S]`) of a policy: equation 5, solved exactly."""
    log_rho = log_rho_of(mdp, pi, channel_of(mdp, pi, future), guide)
    if not bool(torch.isfinite(torch.where(pi > 0, log_rho, 0.0)).all()):
        raise InputError(
            "Expected the guide to give some probability to every action of the policy, but it gives one 0 or NaN."
        )
    # reward of a state, extrinsic and intrinsic
    live = (~mdp.terminal).to(pi)
    gain = ((pi * mdp.reward).sum(-1) + alpha * intrinsic_reward(pi, log_rho)) * live
    # V = gain + γ P_π V
    chain = state_chain(mdp, pi) * (live[..., None, :] * live[..., :, None])
    value = solve_chain(mdp.discount * chain, gain, "the value of the policy")
    return log_rho, _backup(mdp, value), value


def _advantage(
    mdp: TabularMDP, pi: Tensor, alpha: float, log_rho: Tensor, q: Tensor, value: Tensor, support: Tensor
) -> Tensor:
    """Return the largest max_a Q + α (log ρ̄ − log π) − V of any non-terminal state, `[...]`, at least 0."""
    ratio = torch.where(support, log_rho - pi.log(), -torch.inf)
    advantage = (q + alpha * ratio - value[..., None]).amax(-1)
    return torch.where(mdp.terminal, 0.0, advantage).amax(-1).clamp_min(0.0)


def _backup(mdp: TabularMDP, value: Tensor) -> Tensor:
    """Return r + γ E V(s'), `[..., S, A]`, with V = 0 in terminal states."""
    return mdp.reward + mdp.discount * torch.einsum("...san,...n->...sa", mdp.continuation, value)
