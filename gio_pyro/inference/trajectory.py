"""The trajectory evidence lower bound (theory, equation 8), and its importance-weighted form.

    log p_ψ(F_{0:T}|s_0) ≥ E_q Σ_t [ log p_ψ(F_t|s_t, a_t) + log π(a_t|s_t) − log q(a_t|s_t, F_t) ]

It is evaluated on replayed sequences, whose states are observed. Given the states the actions are independent, so the
plain bound is the sum of the one-step bounds (7) of its transitions, and differs from them only in how transitions are
drawn: in sequences instead of independently. With K samples of the whole action sequence,

    log p_ψ(F_{0:T}|s_0) ≥ E log (1/K) Σ_k Π_t w_t^k,    w_t = p_ψ(F_t|s_t, a_t) π(a_t|s_t) / q(a_t|s_t, F_t)

is tighter (Burda, Grosse and Salakhutdinov, 2016), but the weights of a sequence multiply, and so do their variances.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from gio_pyro.errors import InputError
from gio_pyro.inference.objectives import Elbo
from gio_pyro.programs import Guide, Model, drawn, frozen_parameters, score
from gio_pyro.types import Policy, Transitions, weighted_mean


@dataclass(frozen=True)
class TrajectoryElbo:
    """Equation 8 on sequences of `steps` transitions, in nats per transition.

    It is called with transitions `[B · steps]`, one sequence after the other; those after the end of an episode have
    the weight 0.
    """

    steps: int = 8
    samples: int = 1
    """Actions sampled at each transition where they cannot be enumerated."""

    def __call__(self, model: Model, guide: Guide, policy: Policy, batch: Transitions, future: Tensor) -> Tensor:
        """Return the mean bound per transition."""
        return Elbo(self.samples)(model, guide, policy, batch, future)


@dataclass(frozen=True)
class WeightedTrajectoryElbo:
    """The importance-weighted bound on sequences of `steps` transitions, in nats per transition.

    Continuous actions are reparameterised. Finite ones cannot be: each sampled sequence has the leave-one-out baseline
    of the others in a score-function gradient (VIMCO: Mnih and Rezende, 2016).
    """

    steps: int = 8
    particles: int = 8
    """K ≥ 2: action sequences sampled for each replayed sequence."""

    def __call__(self, model: Model, guide: Guide, policy: Policy, batch: Transitions, future: Tensor) -> Tensor:
        """Return the mean bound per transition; raises `InputError` for a batch that is not made of whole sequences."""
        if len(batch) % self.steps:
            raise InputError(
                f"Expected sequences of {self.steps} transitions, but got {len(batch)} transitions; draw them with "
                "gio_pyro.data.training_batches.sequence_batch."
            )
        # K action sequences from q(a_t|s_t, F_t), with gradients where they can be reparameterised.
        q = guide.posterior(policy, batch.state, future)
        pathwise = q.has_rsample and torch.is_grad_enabled()
        size = torch.Size([self.particles])
        action = q.rsample(size) if pathwise else q.sample(size)
        chosen = drawn(q, action)
        with frozen_parameters(model):
            log_p = score(model, policy, batch.state, chosen, future)
        # log Π_t w_t of each sequence, and the bound log (1/K) Σ_k Π_t w_t^k.
        log_pi = policy(batch.state).log_prob(action).T
        log_weight = self._sum(log_p + log_pi - chosen.log_prob, batch)
        bound = torch.logsumexp(log_weight, -1) - math.log(self.particles)
        if not pathwise:
            bound = bound + self._score_gradient(log_weight.detach(), self._sum(chosen.log_prob, batch))
        weight = batch.weight.unflatten(0, (-1, self.steps))
        known = (weight > 0).to(bound).sum(-1)
        return weighted_mean(weight.sum(-1), bound / known.clamp_min(1.0))

    def _sum(self, values: Tensor, batch: Transitions) -> Tensor:
        """Return the sum over each sequence of `values` `[B · steps, K]`, `[B, K]`."""
        known = torch.where(batch.weight[:, None] > 0, values, 0.0)
        total: Tensor = known.unflatten(0, (-1, self.steps)).sum(1)
        return total

    def _score_gradient(self, log_weight: Tensor, log_q: Tensor) -> Tensor:
        """Return 0 with the VIMCO gradient of discrete actions, `[B]`."""
        # The baseline of a sequence: the bound with its log-weight replaced by the mean of the others.
        count = self.particles
        mean_of_others = (log_weight.sum(-1, keepdim=True) - log_weight) / (count - 1)
        own = torch.eye(count, dtype=torch.bool, device=log_weight.device)
        without = torch.where(own, mean_of_others[:, :, None], log_weight[:, None, :])
        gain = torch.logsumexp(log_weight, -1, keepdim=True) - torch.logsumexp(without, -1)
        return (gain * (log_q - log_q.detach())).sum(-1)
