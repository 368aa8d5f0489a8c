"""The trajectory evidence lower bound (theory, equation 8), and its importance-weighted form.

    log p_ψ(F_{0:T}|s_0) ≥ E_q Σ_t [ log p_ψ(F_t|s_t, a_t) + log π(a_t|s_t) − log q(a_t|s_t, F_t) ]

It is read along replayed pieces of episodes, whose states are seen. Given them the actions are independent of one
another, so the plain bound is the sum of the one-step bounds (7) of its transitions, and differs from them only in
which transitions come together: neighbours instead of independent draws. With K draws of the whole action sequence,

    log p_ψ(F_{0:T}|s_0) ≥ E log (1/K) Σ_k Π_t w_t^k,    w_t = p_ψ(F_t|s_t, a_t) π(a_t|s_t) / q(a_t|s_t, F_t)

is tighter (Burda, Grosse and Salakhutdinov, 2016), but the weights of a sequence multiply, and so do their variances.
"""

import math
from dataclasses import dataclass

import torch
from torch import Tensor

from gio_pyro.errors import InputError
from gio_pyro.inference.objectives import Elbo, score
from gio_pyro.programs import Guide, Model, drawn, frozen_parameters
from gio_pyro.types import Policy, Transitions, weighted_mean


@dataclass(frozen=True)
class TrajectoryElbo:
    """Equation 8 along pieces of `steps` transitions, in nats a transition.

    It is given transitions `[B · steps]`, the pieces one after the other; those after the end of an episode weigh
    nothing.
    """

    steps: int = 8
    samples: int = 1
    """Actions drawn at each transition where they cannot be enumerated."""

    def __call__(self, model: Model, guide: Guide, policy: Policy, batch: Transitions, future: Tensor) -> Tensor:
        """Return the mean bound of a transition."""
        return Elbo(self.samples)(model, guide, policy, batch, future)


@dataclass(frozen=True)
class WeightedTrajectoryElbo:
    """The importance-weighted bound along pieces of `steps` transitions, in nats a transition.

    Its gradient passes through draws that are reparameterised. Where actions are finite, and so cannot be, each
    sequence of them is scored against what the others would have given (VIMCO: Mnih and Rezende, 2016).
    """

    steps: int = 8
    particles: int = 8
    """K ≥ 2: action sequences drawn for each piece."""

    def __call__(self, model: Model, guide: Guide, policy: Policy, batch: Transitions, future: Tensor) -> Tensor:
        """Return the mean bound of a transition; raises `InputError` for a batch that is not made of pieces."""
        if len(batch) % self.steps:
            raise InputError(
                f"Expected transitions in pieces of {self.steps}, but got {len(batch)}; draw them with "
                "gio_pyro.data.training_batches.pieces."
            )
        q = guide.posterior(policy, batch.state, future)
        pathwise = q.has_rsample and torch.is_grad_enabled()
        size = torch.Size([self.particles])
        action = q.rsample(size) if pathwise else q.sample(size)
        chosen = drawn(q, action)
        with frozen_parameters(model):
            log_p = score(model, policy, batch.state, chosen, future)
        log_pi = policy(batch.state).log_prob(action).T
        log_weight = self._whole(log_p + log_pi - chosen.log_prob, batch)
        bound = torch.logsumexp(log_weight, -1) - math.log(self.particles)
        if not pathwise:
            bound = bound + self._scored(log_weight.detach(), self._whole(chosen.log_prob, batch))
        weight = batch.weight.unflatten(0, (-1, self.steps))
        known = (weight > 0).to(bound).sum(-1)
        return weighted_mean(weight.sum(-1), bound / known.clamp_min(1.0))

    def _whole(self, values: Tensor, batch: Transitions) -> Tensor:
        """Return the sum over each piece of `values` `[B · steps, K]`, `[B, K]`."""
        known = torch.where(batch.weight[:, None] > 0, values, 0.0)
        whole: Tensor = known.unflatten(0, (-1, self.steps)).sum(1)
        return whole

    def _scored(self, log_weight: Tensor, log_q: Tensor) -> Tensor:
        """Return 0 with the gradient of the choice of discrete actions, `[B]`."""
        count = self.particles
        mean_of_others = (log_weight.sum(-1, keepdim=True) - log_weight) / (count - 1)
        own = torch.eye(count, dtype=torch.bool, device=log_weight.device)
        without = torch.where(own, mean_of_others[:, :, None], log_weight[:, None, :])
        gain = torch.logsumexp(log_weight, -1, keepdim=True) - torch.logsumexp(without, -1)
        return (gain * (log_q - log_q.detach())).sum(-1)
