"""Objectives of a guide (theory, section 3): each is a mean in nats, to be *maximised*.

    name        maximises                                              closes                data
    elbo        E_q[ log p_ψ(F|s,a) + log π(a|s) − log q(a|s,F) ]      KL(q ‖ p_π)           F from replay
    forward_kl  (π(a|s) / μ(a|s)) log q(a|s,F)                         E KL(p_π ‖ q)         (a, F) from replay
    sleep       E_{a~π, F~p_ψ} log q(a|s,F)                            the gap of (3)        s from replay
    wake_sleep  E_{a~p_π(·|s,F)} log q(a|s,F)                          KL(p_π ‖ q)           F from replay

The gap of the mutual-information bound (3) is E_F KL(p_π ‖ q) under the model's own futures, which is exactly what
`sleep` minimises. Finite actions are enumerated, so their gradients are exact; others are sampled, and reparameterised
where a gradient passes through them. μ is the policy that collected the data.

Only the dynamics term trains the model. The gradient of the ELBO is stopped before it, because replay was collected by
μ, and explaining μ's futures by π's actions biases the dynamics wherever the two policies differ; `joint_elbo` does not
stop it, for data that π itself collected.
"""

from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import dataclass

import torch
from torch import Tensor

from gio_pyro.programs import Guide, Model, frozen_parameters, imagine, prior, sample_actions, score
from gio_pyro.types import Policy, Transitions, weighted_mean

Objective = Callable[[Model, Guide, Policy, Transitions, Tensor], Tensor]
"""`(model, guide, policy, batch, future [B, ...]) -> scalar` nats, the weighted mean over the batch."""


def dynamics(model: Model, policy: Policy, batch: Transitions, future: Tensor) -> Tensor:
    """Return the mean log p_ψ(F|s, a), or the model's own bound, at the replayed actions: maximum likelihood of ψ."""
    return batch.mean(model.evidence(policy, batch.state, batch.action, future))


@dataclass(frozen=True)
class Elbo:
    """The one-step evidence lower bound (theory, equation 7); with `joint` its gradient also trains the model.

    It equals `pyro.infer.TraceEnum_ELBO` with the guide's finite actions enumerated, and `pyro.infer.Trace_ELBO` with
    reparameterised ones, in value and gradient.
    """

    samples: int = 1
    """Actions sampled for each example where they cannot be enumerated."""
    joint: bool = False

    def __call__(self, model: Model, guide: Guide, policy: Policy, batch: Transitions, future: Tensor) -> Tensor:
        """Return the mean bound on log p_ψ(F|s)."""
        chosen = sample_actions(guide.posterior(policy, batch.state, future), self.samples)  # a ~ q(·|s, F)
        with nullcontext() if self.joint else frozen_parameters(model):
            log_p = score(model, policy, batch.state, chosen, future)
        log_pi = prior(policy, batch.state, chosen)
        return batch.mean(chosen.mean(log_p + log_pi - chosen.log_prob))  # log p_ψ(F|s,a) + log π(a|s) − log q(a|s,F)


@dataclass(frozen=True)
class ForwardKL:
    """Maximum likelihood of replayed actions, weighted by π/μ; without `weighted` q approaches the posterior of μ."""

    weighted: bool = True

    def __call__(self, model: Model, guide: Guide, policy: Policy, batch: Transitions, future: Tensor) -> Tensor:
        """Return the mean of (π/μ) log q(a|s, F)."""
        log_q = guide.log_prob(policy, batch.state, future, batch.action)
        if not self.weighted:
            return batch.mean(log_q)
        ratio = (policy(batch.state).log_prob(batch.action) - batch.log_behaviour).exp()
        return batch.mean(ratio * log_q)


@dataclass(frozen=True)
class Sleep:
    """Maximum likelihood of actions sampled from π with futures sampled from the model, as for the reward.

    It is the sleep-φ loss of `pyro.infer.ReweightedWakeSleep(insomnia=0)`, with sums over finite actions and futures in
    place of samples.
    """

    samples: int = 4
    """Futures sampled for each action, and actions for each state, where they cannot be enumerated."""

    def __call__(self, model: Model, guide: Guide, policy: Policy, batch: Transitions, future: Tensor) -> Tensor:
        """Return the mean over replayed states of E_{a~π, F~p_ψ} log q(a|s, F)."""
        state, weight = batch.distinct_states()
        # Sample a ~ π(·|s) and F ~ p_ψ(·|s, a), without gradients: q is fitted to them as to data.
        with torch.no_grad():
            chosen = sample_actions(policy(state), self.samples)
            spread = chosen.spread(state)
            dream = imagine(model, policy, spread, chosen.action, samples=self.samples, fixed_shapes=batch.fixed_shapes)
        # Average log q(a|s, F) over futures, then over actions, then over states.
        log_q = guide.log_prob(policy, dream.spread(spread), dream.future, dream.spread(chosen.action))
        per_state = chosen.mean(dream.mean(log_q).reshape(len(state), -1))
        return weighted_mean(weight, per_state)


@dataclass(frozen=True)
class WakeSleep:
    """Reweighted wake-sleep's wake update of the guide (Bornschein and Bengio, 2015, arXiv 1406.2751).

    Finite actions are enumerated, the limit of many proposals; others are samples of the guide, weighted by importance.
    It is the wake-φ loss of `pyro.infer.ReweightedWakeSleep`, evaluated on each example by itself: Pyro's weights the
    particles of a whole batch at once.
    """

    proposals: int = 8
    """Actions sampled for each example where they cannot be enumerated."""

    def __call__(self, model: Model, guide: Guide, policy: Policy, batch: Transitions, future: Tensor) -> Tensor:
        """Return the mean over replayed futures of E_{a~p_π(·|s,F)} log q(a|s, F)."""
        q = guide.posterior(policy, batch.state, future)
        with torch.no_grad():
            # Self-normalised importance weights of p_π(a|s, F) ∝ p_ψ(F|s, a) π(a|s), proposals from q.
            chosen = sample_actions(q, self.proposals)
            joint = score(model, policy, batch.state, chosen, future) + prior(policy, batch.state, chosen)
            posterior = torch.softmax(joint + (chosen.log_weight - chosen.log_prob), -1)
        actions = chosen.action.reshape(len(posterior), chosen.count, *chosen.action.shape[1:])
        log_q = q.log_prob(actions.transpose(0, 1)).T
        return batch.mean((posterior * log_q).sum(-1))
