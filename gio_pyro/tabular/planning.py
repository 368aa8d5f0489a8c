"""Planning as inference in finite models, exactly, with the information that the planning bound rewards.

    Q_t(s, a) = r(s, a) + α w I(s, a) + γ E V_{t+1}(s'),    V_t(s) = α log Σ_a p(a|s) exp( Q_t(s, a) / α ),
    q_t(a|s) ∝ p(a|s) exp( Q_t(s, a) / α ),    I(s, a) = H(x|s, a) − E_{s'} H(x|a, s')

p(a|s) is the prior of actions, a habit, and I the mutual information between the state s' that an action leads to and
what is seen there, x. It is 0 where emissions do not depend on the state, and with emissions without noise it is the
entropy of the transition: w > 0 then prefers stochastic transitions, w < 0 deterministic ones.
"""

from dataclasses import dataclass

import torch
from torch import Tensor

from gio_pyro.errors import InputError
from gio_pyro.tabular.information import LARGEST_REWARD, as_distribution
from gio_pyro.tabular.mdp import TabularMDP, as_mdp
from gio_pyro.tabular.pomdp import POMDP
from gio_pyro.utils.checks import MAX_STEPS, real, real_tensor, whole

TOLERANCE = 1e-12
"""Error of the values of a plan without a horizon, relative to 1 and the largest, where rounding allows it."""
ROUNDING = 1e-15
"""Change of the values, relative to 1 and the largest, that rounding alone may cause."""
MAX_BACKUPS = 200_000
"""Backups after which a plan without a horizon is given up."""


@dataclass(frozen=True)
class Plan:
    """The plan at each of H steps; without a horizon at any step, and then without the axis H."""

    policy: Tensor
    """`[H, S, A]`: q_t(a|s)."""
    q: Tensor
    """`[H, S, A]`, reward units: Q_t(s, a), with the information α w I; −∞ for actions of prior probability 0."""
    value: Tensor
    """`[H, S]`, reward units: V_t(s); 0 where terminal."""
    information: Tensor
    """`[S, A]` nats: I(s, a); 0 where terminal."""


def plan(
    model: TabularMDP | POMDP,
    horizon: int | None = None,
    *,
    temperature: float,
    prior: object = None,
    information_weight: float = 1.0,
    value: object = None,
) -> Plan:
    """Return the plan q(a|s) of every step by soft backward induction.

    Args:
        model: a POMDP, which is planned for in its latent states; or an MDP, where what is seen is s' itself.
        horizon: number of steps H, at least 1; None for the fixed point of an unlimited number.
        temperature: α ≥ 0, reward units per nat. At 0 plans are greedy, information counts nothing, and equally good
            actions keep the ratio of their priors.
        prior: p(a|s), `[S, A]` or `[A]`; uniform over the allowed actions by default.
        information_weight: w, nats of reward for each nat of information; negative to avoid it.
        value: V_H(s), `[S]`, reward units, the value at the horizon; 0 by default and in terminal states. Without a
            horizon, the values to begin with.

    Raises:
        InputError: arguments that do not fit the model, or values that do not settle without a horizon, as at discount
            1 where the information of an episode without end is worth more than its end.
    """
    mdp = model.mdp if isinstance(model, POMDP) else as_mdp(model)
    if mdp.transition.ndim != 3:
        raise InputError(f"Expected one MDP, but got a batch {tuple(mdp.transition.shape[:-3])}; plan one by one.")
    alpha = real("temperature", temperature, 0.0, LARGEST_REWARD, wanted="a temperature of at least 0")
    weight = real("information_weight", information_weight, -LARGEST_REWARD, LARGEST_REWARD)
    log_prior, information = _as_log_prior(mdp, prior), arrival_information(model)
    reward = mdp.reward + (alpha * weight * information if alpha > 0 else 0.0)
    last = _as_value(mdp, value)
    if horizon is None:
        return Plan(*_settle(mdp, reward, log_prior, alpha, last), information)
    steps = []
    for _ in range(whole("horizon", horizon, 1, MAX_STEPS, advice="None is no limit")):
        steps.append(_backup(mdp, reward, log_prior, alpha, last))
        last = steps[-1][-1]
    policy, q, values = (torch.stack(step[::-1]) for step in zip(*steps, strict=True))
    return Plan(policy, q, values, information)


def arrival_information(model: TabularMDP | POMDP) -> Tensor:
    """Return I(s, a) = H(x|s, a) − E_{s'} H(x|a, s'), `[S, A]` nats; in an MDP, H(s'|s, a). 0 in terminal states."""
    if not isinstance(model, POMDP):
        return _entropy(as_mdp(model).transition) * ~model.terminal[..., None]
    p, seen = model.mdp.transition, model.observation
    noise = torch.einsum("san,an->sa", p, _entropy(seen))
    information = _entropy(torch.einsum("san,anx->sax", p, seen)) - noise
    return information.clamp_min(0.0) * ~model.mdp.terminal[:, None]


def _backup(
    mdp: TabularMDP, reward: Tensor, log_prior: Tensor, alpha: float, value: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """Return the policy `[S, A]`, Q `[S, A]` and value `[S]` one step before `value`."""
    q = reward + mdp.discount * torch.einsum("san,n->sa", mdp.continuation, value)
    if alpha > 0:
        score = q / alpha + log_prior
        policy, before = torch.softmax(score, -1), alpha * torch.logsumexp(score, -1)
    else:
        possible = q.masked_fill(log_prior == -torch.inf, -torch.inf)
        before = possible.amax(-1)
        best = possible >= before[:, None] - TOLERANCE * before[:, None].abs().clamp_min(1.0)
        policy = torch.softmax(log_prior.masked_fill(~best, -torch.inf), -1)
    return policy, q.masked_fill(log_prior == -torch.inf, -torch.inf), before.masked_fill(mdp.terminal, 0.0)


def _settle(
    mdp: TabularMDP, reward: Tensor, log_prior: Tensor, alpha: float, value: Tensor
) -> tuple[Tensor, Tensor, Tensor]:
    """Return the fixed point of `_backup`."""
    tolerance = max(ROUNDING, TOLERANCE * (1 - mdp.discount))
    for _ in range(MAX_BACKUPS):
        policy, q, before = _backup(mdp, reward, log_prior, alpha, value)
        change, value = float((before - value).abs().amax()), before
        if change <= tolerance * max(1.0, float(value.abs().amax())):
            return policy, q, value
    raise InputError(
        f"Expected values that settle without a horizon, but they still change by {change:.1e} after {MAX_BACKUPS:,} "
        "steps; give a horizon or a smaller discount."
    )


def _as_log_prior(mdp: TabularMDP, prior: object) -> Tensor:
    """Return log p(a|s), `[S, A]`, −∞ for impossible actions."""
    if prior is None:
        return mdp.uniform.log()
    p = as_distribution("the prior", prior).to(mdp.reward.device)
    if p.shape not in (mdp.reward.shape, mdp.reward.shape[-1:]):
        raise InputError(
            f"Expected a prior of shape {tuple(mdp.reward.shape)} or ({mdp.actions},), but got {tuple(p.shape)}."
        )
    p = p.expand(mdp.reward.shape)
    if bool(((p > 0) & ~mdp.allowed).any()):
        raise InputError("Expected a prior of allowed actions, but it gives others some probability; give them 0.")
    return p.log()


def _as_value(mdp: TabularMDP, value: object) -> Tensor:
    if value is None:
        return torch.zeros_like(mdp.start)
    v = real_tensor("the value", value).to(mdp.reward.device)
    if v.shape != mdp.start.shape or not bool((v.abs() <= LARGEST_REWARD).all()):
        raise InputError(f"Expected a finite value of each of {mdp.states} states, but got {tuple(v.shape)}, or NaN.")
    return v.masked_fill(mdp.terminal, 0.0)


def _entropy(p: Tensor) -> Tensor:
    """Return −Σ p log p over the last axis, nats."""
    total: Tensor = torch.special.xlogy(p, p).sum(-1)
    return -total
