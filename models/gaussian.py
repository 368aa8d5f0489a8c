"""Gaussian models of real-valued futures, with independent or correlated dimensions."""

from typing import Any

import pyro.distributions as dist
import torch
from torch import Tensor

from gio_pyro.models.real import RealModel, bounded_scale
from gio_pyro.nn import mlp
from gio_pyro.types import Spec


class GaussianModel(RealModel):
    """p_ψ(F|s, a) = N(mean, scale²), independent dimensions of F, from one network of state and action."""

    def __init__(self, spec: Spec) -> None:
        super().__init__(spec)
        self.net = mlp(self.inputs, spec.hidden, 2 * self.size)

    def outcome(self, state: Tensor, action: Tensor) -> dist.Independent:
        """Return p_ψ(F|s, a), a batch of B normal distributions."""
        mean, raw = self.net(self.features(state, action)).unflatten(-1, (2, *self.shape)).unbind(-1 - len(self.shape))
        outcome: dist.Independent = dist.Normal(self.place(state, mean), self.scale(raw)).to_event(len(self.shape))
        return outcome


class FullGaussianModel(RealModel):
    """p_ψ(F|s, a) = N(mean, L Lᵀ) with a full covariance, for noise that is correlated between dimensions.

    The floor applies to the diagonal of L, the conditional scale of each dimension given the previous ones. The network
    has n (n + 3) / 2 outputs for n dimensions; for more than about fifty use `LowRankGaussianModel`.
    """

    def __init__(self, spec: Spec) -> None:
        super().__init__(spec)
        self.below = self.size * (self.size - 1) // 2
        self.net = mlp(self.inputs, spec.hidden, 2 * self.size + self.below)

    def outcome(self, state: Tensor, action: Tensor) -> Any:
        """Return p_ψ(F|s, a), a batch of B normal distributions."""
        mean, raw, below = self.net(self.features(state, action)).split([self.size, self.size, self.below], -1)
        row, column = torch.tril_indices(self.size, self.size, -1, device=state.device)
        triangle = torch.diag_embed(bounded_scale(raw, self.floor_nats))
        triangle[..., row, column] = below
        location = self.place(state, mean.unflatten(-1, self.shape)).flatten(-len(self.shape))
        scale_tril = self.target.deviation.flatten()[:, None] * triangle
        return self.shaped(dist.MultivariateNormal(location, scale_tril=scale_tril))


class LowRankGaussianModel(RealModel):
    """p_ψ(F|s, a) = N(mean, W Wᵀ + scale²), with `rank` directions W of correlated noise."""

    rank = 4

    def __init__(self, spec: Spec) -> None:
        super().__init__(spec)
        self.net = mlp(self.inputs, spec.hidden, (2 + self.rank) * self.size)

    def outcome(self, state: Tensor, action: Tensor) -> Any:
        """Return p_ψ(F|s, a), a batch of B normal distributions."""
        out = self.net(self.features(state, action)).unflatten(-1, (2 + self.rank, self.size))
        location = self.place(state, out[..., 0, :].unflatten(-1, self.shape)).flatten(-len(self.shape))
        own = self.scale(out[..., 1, :].unflatten(-1, self.shape)).flatten(-len(self.shape))
        shared = self.target.deviation.flatten()[:, None] * out[..., 2:, :].mT
        return self.shaped(dist.LowRankMultivariateNormal(location, shared, own.square()))
