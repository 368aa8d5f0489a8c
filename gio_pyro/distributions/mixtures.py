"""A mixture of normals with exact reparameterised gradients.

Pyro's `MixtureOfDiagNormals` multiplies the scales of all dimensions, so that its gradient is NaN from about twenty
dimensions on; torch's `MixtureSameFamily` has no `rsample`. Two estimators are used here:

    weights without gradient     z = μ_k + σ_k ε with k ~ w: exact, as k does not depend on the parameters
    weights with gradient        implicit reparameterisation (Figurnov, Mohamed and Mnih, 2018): with F the distribution
                                 function of one dimension given the previous ones, F(z; θ) = u is constant, so
                                 dz/dθ = −(∂F/∂θ) / p(z)

The gradient of the weights comes from draws between the components. Components more than about seven scales apart have
hardly any such draws: a finite sample then underestimates the gradient of the weights.
"""

from typing import Any

import pyro.distributions as dist
import torch
from torch import Tensor
from torch.distributions import constraints

MIN_DENSITY = 1e-12
"""Lower bound of the density in the denominator; draws of a smaller density practically never occur."""


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
        """Return the variance of each dimension, `[B, n]`."""
        square = (self.logits.exp().unsqueeze(-1) * (self.scale.square() + self.loc.square())).sum(-2)
        return square - self.mean.square()

    def expand(self, batch_shape: Any, _instance: Any = None) -> "MixtureOfNormals":
        """Return the distributions expanded to a larger batch."""
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
        """Return `draw` `[..., B, n]` with implicit reparameterisation gradients, dimension by dimension."""
        log_weight, dimensions = self.logits, []
        for number in range(draw.shape[-1]):
            each = dist.Normal(self.loc[..., number], self.scale[..., number])
            value = draw[..., number]
            weight = torch.softmax(log_weight, -1)
            # distribution function F and density p of this dimension given the previous ones
            cdf = (weight * each.cdf(value.unsqueeze(-1))).sum(-1)
            density = (weight * each.log_prob(value.unsqueeze(-1)).exp()).sum(-1).detach().clamp_min(MIN_DENSITY)
            # dz/dθ = −(∂F/∂θ) / p(z); the value is unchanged
            dimensions.append(value - (cdf - cdf.detach()) / density)
            # posterior weights of the components given the dimensions so far
            log_weight = log_weight + each.log_prob(dimensions[-1].unsqueeze(-1))
        return torch.stack(dimensions, -1)
