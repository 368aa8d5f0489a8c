"""A count-based model of finite MDPs with an exact posterior over p(F|s, a)."""

import pyro
import pyro.distributions as dist
import torch
from torch import Tensor, nn

from gio_pyro.types import Policy, Spec

CANDIDATES = 8
"""Proposals per draw of the rejection sampler; the probability that all are rejected is 1e-10."""


class DirichletModel(nn.Module):
    """p_ψ(F|s, a) = (n(s, a, F) + α) / (n(s, a) + F α): the mean of a Dirichlet posterior over each row of the channel.

    It has no parameters: `observe` updates the posterior by Bayes' rule, once per transition. The prior has the weight
    of `prior_weight` observations, shared equally among futures (Perks, 1947), so α is `prior_weight` / F. Epistemic
    uncertainty and information gain have closed forms.

    Raises:
        InputError: a space that is not Discrete.
    """

    counts: Tensor
    normal: Tensor
    log_uniform: Tensor
    log_boost: Tensor
    prior_weight = 1.0
    draws = 32
    """K, the number of fixed posterior draws in `beliefs`."""

    def __init__(self, spec: Spec) -> None:
        super().__init__()
        states, actions, futures = spec.sizes()
        self.register_buffer("counts", torch.zeros(states, actions, futures))
        self.register_buffer("normal", torch.randn(CANDIDATES, self.draws, 1, futures))
        self.register_buffer("log_uniform", -torch.empty(CANDIDATES, self.draws, 1, futures).exponential_())
        self.register_buffer("log_boost", -torch.empty(self.draws, 1, futures).exponential_())

    def observe(self, state: Tensor, action: Tensor, future: Tensor, weight: Tensor | None = None) -> None:
        """Count new transitions, `[B]` integers each, with weights `[B]` if given."""
        one = torch.ones_like(self.counts[0, 0, 0]) if weight is None else weight.to(self.counts)
        self.counts.index_put_((state, action, future), one, accumulate=True)

    def forward(self, policy: Policy, state: Tensor, future: Tensor | None = None) -> Tensor:
        """Sample "action" and "future", `[B]` integers each."""
        with pyro.plate("batch", state.shape[0]):
            action = pyro.sample("action", policy(state))
            posterior = self.posterior(state, action)
            return pyro.sample(
                "future", dist.Categorical(probs=posterior / posterior.sum(-1, keepdim=True)), obs=future
            )

    def posterior(self, state: Tensor, action: Tensor) -> Tensor:
        """Return the concentrations of the Dirichlet posterior of each row, `[B, F]`."""
        return self.counts[state, action] + self.prior_weight / self.counts.shape[-1]

    def beliefs(self, state: Tensor, action: Tensor) -> dist.Categorical:
        """Return p(F|s, a, w) under K fixed draws of the rows w from the posterior, batch shape `[K, B]`.

        A Dirichlet draw is a normalised vector of gamma variates. They are computed from stored random numbers by
        rejection sampling (Marsaglia and Tsang, 2000), in logarithms, as small ones underflow. All states share the
        stored random numbers: each row has the correct distribution, but rows are not independent.
        """
        alpha = self.posterior(state, action)
        d = alpha + 2 / 3  # d = shape − 1/3 for the shape α + 1; U^(1/α), log_boost, reduces it to α
        log_gamma = torch.zeros_like(alpha)
        for normal, log_uniform in zip(self.normal.flip(0), self.log_uniform.flip(0), strict=True):
            root = 1 + normal / (9 * d).sqrt()
            log_cube = 3 * root.clamp_min(torch.finfo(alpha.dtype).tiny).log()
            accepted = (root > 0) & (log_uniform < 0.5 * normal**2 + d * (1 - root**3 + log_cube))
            log_gamma = torch.where(accepted, d.log() + log_cube, log_gamma)
        return dist.Categorical(logits=log_gamma + self.log_boost / alpha)

    def sample_beliefs(self, state: Tensor, action: Tensor, draws: int) -> dist.Categorical:
        """Return p(F|s, a, w) under each of `draws` fresh draws of the rows w, batch shape `[draws, B]`."""
        row = dist.Dirichlet(self.posterior(state, action)).sample(torch.Size([draws]))
        return dist.Categorical(probs=row)

    def information_gain(self, state: Tensor, action: Tensor, future: Tensor) -> Tensor:
        """Return KL(Dir(α + e_F) ‖ Dir(α)) of one more observation, `[B]` nats; e_F is 1 at F and 0 elsewhere."""
        alpha = self.posterior(state, action).double()
        total, own = alpha.sum(-1), alpha.gather(-1, future.unsqueeze(-1)).squeeze(-1)
        gain = total.log() - own.log() + torch.digamma(own + 1) - torch.digamma(total + 1)
        return gain.to(self.counts.dtype)
