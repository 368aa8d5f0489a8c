"""Models of real futures by one normal distribution: its numbers each on their own, or correlated."""

from typing import Any

import pyro.distributions as dist
import torch
from torch import Tensor

from gio_pyro.models.real import RealModel, bounded_scale
from gio_pyro.nn import mlp
from gio_pyro.types import Spec


class GaussianModel(RealModel):
    """p_ψ(F|s, a) = N(mean, scale²), each number of F on its own, from one network of state and action."""

    def __init__(self, spec: Spec) -> None:
        super().__init__(spec)
        self.net = mlp(self.inputs, spec.hidden, 2 * self.size)

    def outcome(self, state: Tensor, action: Tensor) -> dist.Independent:
        """Return p_ψ(F|s, a), a batch of B normal distributions."""
        mean, raw = self.net(self.features(state, action)).reshape(len(state), 2, *self.shape).unbind(1)
        outcome: dist.Independent = dist.Normal(self.place(state, mean), self.scale(raw)).to_event(len(self.shape))
        return outcome


class FullGaussianModel(RealModel):
    """p_ψ(F|s, a) = N(mean, L Lᵀ): all numbers of F together, where noise is shared between them.

    The floor is that of L's diagonal, the scale of each number once those before it are known. The network has
    n (n + 3) / 2 outputs for n numbers; from some fifty on, `LowRankGaussianModel` is the one to take.
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
        triangle[:, row, column] = below
        location = self.place(state, mean.unflatten(-1, self.shape)).flatten(1)
        spread = self.target.deviation.flatten()[:, None] * triangle
        return self.shaped(dist.MultivariateNormal(location, scale_tril=spread))


class LowRankGaussianModel(RealModel):
    """p_ψ(F|s, a) = N(mean, W Wᵀ + scale²), with `rank` directions W of shared noise."""

    rank = 4

    def __init__(self, spec: Spec) -> None:
        super().__init__(spec)
        self.net = mlp(self.inputs, spec.hidden, (2 + self.rank) * self.size)

    def outcome(self, state: Tensor, action: Tensor) -> Any:
        """Return p_ψ(F|s, a), a batch of B normal distributions."""
        out = self.net(self.features(state, action)).unflatten(-1, (2 + self.rank, self.size))
        location = self.place(state, out[:, 0].unflatten(-1, self.shape)).flatten(1)
        own = self.scale(out[:, 1].unflatten(-1, self.shape)).flatten(1)
        shared = self.target.deviation.flatten()[:, None] * out[:, 2:].mT
        return self.shaped(dist.LowRankMultivariateNormal(location, shared, own.square()))
