"""Intrinsic reward from the guide's log-probabilities (theory, equation 3).

It is evaluated on imagined or on replayed futures, with the same soft Bellman equation. With
log ρ̄(s, a) = E_{F|s,a} log q(a|s, F):

    V(s) = E_{a~π} [ Q(s, a) + α (bonus(s, a) − log π(a|s)) ],    Q(s, a) = r + α c(s, a, F) + γ V(s')

    imagined   bonus = log ρ̄ on futures of the model      c = 0              equation 5 as it stands
    replayed   bonus = 0                                  c = log q(a|s, F)  Q includes α log ρ̄

with c the `transition_bonus`. In both, the improved policy is softmax(Q/α + bonus): equation 6. The first needs an
accurate model and covers every action of the policy; the second needs no model but only covers actions that were taken.

Continuous actions are replayed as densities over the action box [−1, 1]^d: with log j(u) = Σ log(1 − tanh² u), the
log-Jacobian of the squash, bonus = log j and c = log q − log j. The improved policy is the same; but Q, a function
of the squashed action, could not represent log q itself, which is unbounded below as |u| → ∞.
"""

from dataclasses import dataclass
from typing import Protocol

import torch
from torch import Tensor

from gio_pyro.distributions.masks import legal
from gio_pyro.distributions.squash import tanh_log_det, uniform_in_box
from gio_pyro.errors import InputError, TrainingError, shown
from gio_pyro.programs import ActionSamples, Guide, Model, imagine
from gio_pyro.types import Policy, ReadFuture, Transitions


class Reward(Protocol):
    """Interface of intrinsic rewards."""

    def bonus(self, policy: Policy, state: Tensor, chosen: ActionSamples) -> Tensor:
        """Return the bonus of each action of a state, without −log π, `[B, K]` nats; differentiable in the action."""
        ...

    def transition_bonus(self, policy: Policy, batch: Transitions) -> Tensor | float:
        """Return the bonus of each replayed transition, `[B]` nats."""
        ...


@dataclass(frozen=True)
class Imagined:
    """Evaluate the guide on futures sampled from the model: log ρ̄(s, a) = E_{F~p_ψ(·|s,a)} log q(a|s, F).

    `samples` futures are drawn for each action where they cannot be enumerated.
    """

    model: Model
    guide: Guide
    samples: int

    def bonus(self, policy: Policy, state: Tensor, chosen: ActionSamples) -> Tensor:
        """Return log ρ̄, `[B, K]` nats."""
        spread = chosen.spread(state)
        dream = imagine(self.model, policy, spread, chosen.action, samples=self.samples)
        log_q = self.guide.log_prob(policy, dream.spread(spread), dream.future, dream.spread(chosen.action))
        return dream.mean(log_q).reshape(len(state), -1)

    def transition_bonus(self, policy: Policy, batch: Transitions) -> float:
        """Return 0."""
        return 0.0


@dataclass(frozen=True)
class Replayed:
    """Evaluate the guide on the futures of replayed transitions; the model is not used.

    The mutual information in the agent's metrics still comes from `Imagined`: this `bonus` is only a part of it.
    """

    guide: Guide
    future: ReadFuture

    def bonus(self, policy: Policy, state: Tensor, chosen: ActionSamples) -> Tensor:
        """Return 0, or for continuous actions the log-Jacobian of the squash, `[B, K]` nats."""
        if not chosen.action.is_floating_point():
            return torch.zeros_like(chosen.log_prob)
        return tanh_log_det(chosen.action).sum(-1).reshape(chosen.log_prob.shape)

    @torch.no_grad()
    def transition_bonus(self, policy: Policy, batch: Transitions) -> Tensor:
        """Return log q(a|s, F), for continuous actions as a density over the box, `[B]` nats."""
        log_q = self.guide.log_prob(policy, batch.state, self.future.of(batch), batch.action)
        return log_q - tanh_log_det(batch.action).sum(-1) if batch.action.is_floating_point() else log_q


class Entropy:
    """Entropy regularisation: log ρ of uniform actions, so that the intrinsic reward is −KL(π ‖ uniform).

    It is at most 0, so longer episodes are not rewarded by themselves.
    """

    def bonus(self, policy: Policy, state: Tensor, chosen: ActionSamples) -> Tensor:
        """Return −log of the number of allowed actions, or the uniform log-density if continuous, `[B, K]` nats."""
        if chosen.action.is_floating_point():
            uniform: Tensor = uniform_in_box(chosen.action).log_prob(chosen.action)
            return uniform.reshape(chosen.log_prob.shape)
        count = legal(chosen.log_prob).sum(-1, keepdim=True)
        return (-count.double().log()).to(chosen.log_prob).expand_as(chosen.log_prob)

    def transition_bonus(self, policy: Policy, batch: Transitions) -> float:
        """Return 0."""
        return 0.0


def reward_named(name: str, model: Model, guide: Guide, future: ReadFuture, *, samples: int) -> Reward:
    """Return the intrinsic reward with the given name.

    Raises:
        InputError: an unknown name, or a replayed reward with a future of several steps.
    """
    if name not in ("imagined", "replayed"):
        raise InputError(f"Expected intrinsic to be imagined or replayed, but got {shown(name)}.")
    if name == "imagined":
        return Imagined(model, guide, samples)
    if future.sequential:
        raise InputError(
            f"Expected a future of one step where the reward is read at replayed transitions, but got {future}; take "
            'intrinsic="imagined".'
        )
    return Replayed(guide, future)


def finite_nats(nats: Tensor, name: str) -> Tensor:
    """Return `nats` unchanged; raise `TrainingError`, with the name of the guide, if any is NaN or infinite."""
    if not bool(torch.isfinite(nats).all()):
        raise TrainingError(
            f"Expected finite log-probabilities from {name}, but got NaN or infinity; "
            "an action that the policy can take must keep some probability."
        )
    return nats


@torch.no_grad()
def intrinsic_reward(chosen: ActionSamples, log_rho: Tensor) -> Tensor:
    """Return Σ_a π(a|s) (log ρ̄(s, a) − log π(a|s)), `[B]` nats: the bound L_q of theory, equation 3.

    Args:
        chosen: actions of π: all of them, or samples, over which the sum becomes a mean.
        log_rho: `[B, K]` nats.
    """
    return chosen.mean(log_rho - chosen.log_prob)
