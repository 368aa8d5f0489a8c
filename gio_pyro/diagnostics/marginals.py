"""Marginal log-densities of the dimensions of a future, for distributions over vectors or images that have them."""

import torch
from torch import Tensor
from torch.distributions import (
    Distribution,
    Independent,
    LowRankMultivariateNormal,
    MultivariateNormal,
    Normal,
    ReshapeTransform,
    TransformedDistribution,
)

from gio_pyro.distributions.mixtures import MixtureOfNormals


def marginal_log_prob(distribution: Distribution, value: Tensor) -> Tensor | None:
    """Return the marginal log-densities of `value` `[..., B, *event]`, in its shape; None if unavailable."""
    if isinstance(distribution, Independent):
        own: Tensor = distribution.base_dist.log_prob(value)
        return own
    if isinstance(distribution, MultivariateNormal | LowRankMultivariateNormal):
        each: Tensor = Normal(distribution.mean, distribution.variance.sqrt()).log_prob(value)
        return each
    if isinstance(distribution, MixtureOfNormals):
        each = Normal(distribution.loc, distribution.scale).log_prob(value.unsqueeze(-2))
        return torch.logsumexp(distribution.logits.unsqueeze(-1) + each, -2)
    if isinstance(distribution, TransformedDistribution) and _only_reshapes(distribution):
        flat = marginal_log_prob(distribution.base_dist, value.flatten(-len(distribution.event_shape)))
        return None if flat is None else flat.reshape(value.shape)
    return None


def _only_reshapes(distribution: TransformedDistribution) -> bool:
    return all(isinstance(transform, ReshapeTransform) for transform in distribution.transforms)
