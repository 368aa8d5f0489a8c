"""A mixture of normals whose draws pass on exact gradients.

Pyro's own `MixtureOfDiagNormals` multiplies the scales of all dimensions, and its gradient is NaN from some twenty
dimensions on; torch's `MixtureSameFamily` has no gradient. So:

    component drawn, weights fixed       z = μ_k + σ_k ε, whose gradient is exact as the choice of k depends on nothing
    weights that depend on parameters    implicit reparameterisation (Figurnov, Mohamed and Mnih, 2018): with F the
                                         distribution function of one number given those before it, F(z; θ) = u is
                                         constant, so dz/dθ = −(∂F/∂θ) / p(z)

What the weights are told passes through draws that fall between the components. Of components more than some seven
scales apart hardly any does: the mean of finitely many gradients is too small then, and does not say which to choose.
"""

from typing import Any

import pyro.distributions as dist
import torch
from torch import Tensor
from torch.distributions import constraints

LEAST_DENSITY = 1e-12
"""What the density of a draw is at least, where it divides: a draw of less is as good as never seen."""


class MixtureOfNormals(dist.TorchDistribution):
    """Σ_k w_k N(loc_k, scale_k²) over vectors, a batch of B.

    Args:
        loc: `[B, K, n]`.
        scale: `[B, K, n]`.
        logits: `[B, K]`, log w up to a constant.
    """

    arg_constraints = {}  # noqa: RUF012 - torch's own name for it
    support = constraints.real_vector
    has_rsample = True

    def __init__(self, loc: Tensor, scale: Tensor, logits: Tensor) -> None:
        self.loc, self.scale, self.logits = loc, scale, torch.log_softmax(logits, -1)
        super().__init__(loc.shape[:-2], loc.shape[-1:], validate_args=False)

    @property
    def mean(self) -> Tensor:
        """Return the mean, `[B, n]`."""
        return (self.logits.exp().unsqueeze(-1) * self.loc).sum(-2)

    @property
    def variance(self) -> Tensor:
        """Return the variance of each number, `[B, n]`."""
        square = (self.logits.exp().unsqueeze(-1) * (self.scale.square() + self.loc.square())).sum(-2)
        return square - self.mean.square()

    def expand(self, batch_shape: Any, _instance: Any = None) -> "MixtureOfNormals":
        """Return the same distributions, repeated over a larger batch."""
        shape = torch.Size(batch_shape)
        parts = (x.expand(shape + x.shape[len(self.batch_shape) :]) for x in (self.loc, self.scale, self.logits))
        return MixtureOfNormals(*parts)

    def log_prob(self, value: Tensor) -> Tensor:
        """Return the log-density of each `value` `[..., B, n]`, `[..., B]` nats."""
        each = dist.Normal(self.loc, self.scale).log_prob(value.unsqueeze(-2)).sum(-1)
        return torch.logsumexp(self.logits + each, -1)

    def rsample(self, sample_shape: Any = torch.Size()) -> Tensor:  # noqa: B008 - torch's own signature
        """Return draws `[*sample_shape, B, n]` that carry gradients to every parameter."""
        shape = self._extended_shape(sample_shape)
        component = torch.distributions.Categorical(logits=self.logits).sample(sample_shape)
        where = component[..., None, None].expand(*component.shape, 1, shape[-1])
        full = (*component.shape, *self.loc.shape[-2:])
        loc, scale = (x.expand(full).gather(-2, where).squeeze(-2) for x in (self.loc, self.scale))
        draw = loc + scale * torch.randn(shape, dtype=loc.dtype, device=loc.device)
        if torch.is_grad_enabled() and self.logits.requires_grad:
            return self._implicit(draw.detach())
        return draw

    def _implicit(self, draw: Tensor) -> Tensor:
        """Return `draw` `[..., B, n]` with the gradient that its distribution function gives it, number by number."""
        log_weight, passed = self.logits, []
        for number in range(draw.shape[-1]):
            each = dist.Normal(self.loc[..., number], self.scale[..., number])
            value = draw[..., number]
            weight = torch.softmax(log_weight, -1)
            below = (weight * each.cdf(value.unsqueeze(-1))).sum(-1)
            density = (weight * each.log_prob(value.unsqueeze(-1)).exp()).sum(-1).detach().clamp_min(LEAST_DENSITY)
            passed.append(value - (below - below.detach()) / density)
            log_weight = log_weight + each.log_prob(passed[-1].unsqueeze(-1))
        return torch.stack(passed, -1)
