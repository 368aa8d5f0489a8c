"""What a guide is fitted to: the objectives of theory, section 3, each a mean in nats to be *maximised*.

    name        maximises                                              closes                data
    elbo        E_q[ log p_ψ(F|s,a) + log π(a|s) − log q(a|s,F) ]      KL(q ‖ p_π)           F from replay
    forward_kl  (π(a|s) / μ(a|s)) log q(a|s,F)                         E KL(p_π ‖ q)         (a, F) from replay
    sleep       E_{a~π, F~p_ψ} log q(a|s,F)                            the slack of (3)      s from replay, rest dreamt
    wake_sleep  E_{a~p_π(·|s,F)} log q(a|s,F)                          KL(p_π ‖ q)           F from replay

The loss that the mutual-information bound (3) suffers is E_F KL(p_π ‖ q) under the model's own futures, which is what
`sleep` closes without remainder. Actions are enumerated, so every gradient is exact; μ is the policy that collected
the data.

Only the dynamics term reaches the model. A gradient of the ELBO would too, but replay was collected by μ, and
explaining μ's futures by π's actions bends the dynamics wherever the two policies differ; `joint_elbo` lets it
through, for data collected by π itself.
"""

from collections.abc import Callable, Mapping
from contextlib import nullcontext
from dataclasses import dataclass
from types import MappingProxyType

import torch
from torch import Tensor

from gio_pyro.errors import InputError
from gio_pyro.programs import Guide, Model, imagine, log_probs, score_every_action
from gio_pyro.types import Policy, Transitions

Objective = Callable[[Model, Guide, Policy, Transitions, Tensor], Tensor]
"""`(model, guide, policy, batch, future [B, ...]) -> scalar` nats, the weighted mean over the batch."""


def dynamics(model: Model, policy: Policy, batch: Transitions, future: Tensor) -> Tensor:
    """Return the mean log p_ψ(F|s, a) at the actions that were really taken: what pins ψ down."""
    return batch.mean(model.log_prob(policy, batch.state, batch.action, future))


@dataclass(frozen=True)
class Elbo:
    """The one-step evidence lower bound (theory, equation 7); `joint` also lets its gradient into the model."""

    joint: bool = False

    def __call__(self, model: Model, guide: Guide, policy: Policy, batch: Transitions, future: Tensor) -> Tensor:
        """Return the mean bound on log p_ψ(F|s)."""
        log_q = log_probs(guide.posterior(policy, batch.state, future), guide.name)
        with nullcontext() if self.joint else torch.no_grad():
            log_p = score_every_action(model, policy, batch.state, future)
        log_pi = log_probs(policy(batch.state))
        return batch.mean((log_q.exp() * (log_p + log_pi - log_q)).sum(-1))


@dataclass(frozen=True)
class ForwardKL:
    """Maximum likelihood of replayed actions; without `weighted` it learns the posterior under μ, not under π."""

    weighted: bool = True

    def __call__(self, model: Model, guide: Guide, policy: Policy, batch: Transitions, future: Tensor) -> Tensor:
        """Return the mean of (π/μ) log q(a|s, F)."""
        log_q = guide.log_prob(policy, batch.state, future, batch.action)
        if not self.weighted:
            return batch.mean(log_q)
        return batch.mean(policy(batch.state).log_prob(batch.action).exp() / batch.behaviour * log_q)


@dataclass(frozen=True)
class Sleep:
    """Maximum likelihood of imagined actions, on the very data that the reward is read on.

    `samples` futures are drawn for each action where the model's futures cannot be enumerated.
    """

    samples: int = 4

    def __call__(self, model: Model, guide: Guide, policy: Policy, batch: Transitions, future: Tensor) -> Tensor:
        """Return the mean over replayed states of E_{a~π, F~p_ψ} log q(a|s, F)."""
        state, weight = batch.distinct_states()
        dream = imagine(model, policy, state, samples=self.samples)
        log_q = guide.log_prob(policy, state[dream.row], dream.future, dream.action)
        per_state = (log_probs(policy(state)).exp() * dream.mean(log_q)).sum(-1)
        return (weight * per_state).sum() / weight.sum()


@dataclass(frozen=True)
class WakeSleep:
    """Reweighted wake-sleep's wake update of the guide, in the limit of many proposals: actions are enumerated."""

    def __call__(self, model: Model, guide: Guide, policy: Policy, batch: Transitions, future: Tensor) -> Tensor:
        """Return the mean over replayed futures of E_{a~p_π(·|s,F)} log q(a|s, F)."""
        log_q = log_probs(guide.posterior(policy, batch.state, future), guide.name)
        with torch.no_grad():
            log_p = score_every_action(model, policy, batch.state, future)
            posterior = torch.softmax(log_p + log_probs(policy(batch.state)), -1)
        return batch.mean((posterior * log_q).sum(-1))


OBJECTIVES: Mapping[str, Objective] = MappingProxyType(
    {
        "elbo": Elbo(),
        "joint_elbo": Elbo(joint=True),
        "forward_kl": ForwardKL(),
        "sleep": Sleep(),
        "wake_sleep": WakeSleep(),
    }
)


def objective_named(objective: str | Objective) -> Objective:
    """Return the objective of that name, or the given function; raises `InputError` for an unknown name."""
    if callable(objective):
        return objective
    if objective not in OBJECTIVES:
        raise InputError(f"Expected an objective among {', '.join(OBJECTIVES)}, but got {objective!r}.")
    return OBJECTIVES[objective]
