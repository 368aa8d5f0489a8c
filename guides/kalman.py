"""Filters of a linear-Gaussian world model: the exact one, and one that is learned."""

import pyro
import pyro.distributions as dist
import torch
from torch import Tensor, nn

from gio_pyro.errors import InputError
from gio_pyro.nn import mlp
from gio_pyro.types import Seen, WorldSpec, require_world_spec

FIRST_GAIN = 0.5
"""Relative gain before training, of what is seen directly."""
FIRST_SHRINKAGE = -0.5
"""log of the share of a deviation that an observation leaves, before training."""


class KalmanFilter(nn.Module):
    """q(z|belief, a, x), exact: a belief is the mean and covariance of z given all that was seen (Kalman, 1960).

    It has no parameters; those of the world model are trained through it. Rewards are not conditioned on.

    Raises:
        InputError: a world model that is not linear-Gaussian.
    """

    def __init__(self, spec: WorldSpec) -> None:
        super().__init__()
        require_world_spec(type(self).__name__, spec)
        require_linear(type(self).__name__, spec.world_model)
        self.held = (spec.world_model,)

    def forward(self, belief: Tensor, action: Tensor | None, seen: Seen) -> Tensor:
        """Sample "state", and return the belief after."""
        world = self.held[0]
        mean, covariance = world.predicted(belief, action)
        emission, noise = world.emission, torch.diag_embed(world.noise.square())
        surprise = world.seen(seen.observation) - mean @ emission.T
        cross = covariance @ emission.T
        gain = torch.linalg.solve(emission @ cross + noise, cross.mT).mT
        mean = mean + (gain @ surprise.unsqueeze(-1)).squeeze(-1)
        kept = torch.eye(world.size).to(mean) - gain @ emission
        covariance = kept @ covariance @ kept.mT + gain @ noise @ gain.mT
        with pyro.plate("batch", belief.shape[0]):
            pyro.sample("state", dist.MultivariateNormal(mean, covariance_matrix=covariance))
        return torch.cat([mean, covariance.flatten(-2)], -1)


class GaussianFilter(nn.Module):
    """q(z|belief, a, x) = N(prediction + K · surprise, L Lᵀ), with gain K and L learned functions of the prediction.

    Both are relative: K to the predicted deviations of z over those of x, L to those of z.

    Raises:
        InputError: a world model that is not linear-Gaussian.
    """

    learning_rate = 3e-3
    """At 1e-2 the fit of seed 1 in `filters.py` ended half a nat from the exact filter."""

    def __init__(self, spec: WorldSpec) -> None:
        super().__init__()
        require_world_spec(type(self).__name__, spec)
        require_linear(type(self).__name__, spec.world_model)
        self.held = (spec.world_model,)
        n, seen = spec.world_model.size, len(spec.world_model.noise)
        self.shape, self.below = (n, seen), n * (n + 1) // 2
        self.net = mlp(self.below + seen, (64, 64), n * seen + self.below)
        last = self.net[-1]
        assert isinstance(last, nn.Linear)
        nn.init.zeros_(last.weight)
        nn.init.zeros_(last.bias)
        last.bias.data[: n * seen] = FIRST_GAIN * spec.world_model.emission.detach().T.sign().flatten()
        last.bias.data[n * seen + _diagonal(n)] = FIRST_SHRINKAGE

    def forward(self, belief: Tensor, action: Tensor | None, seen: Seen) -> Tensor:
        """Sample "state", and return the belief after."""
        world, (n, shown) = self.held[0], self.shape
        mean, covariance = world.predicted(belief, action)
        row, column = torch.tril_indices(n, n, device=mean.device)
        deviation = covariance.diagonal(dim1=-2, dim2=-1).sqrt()
        shape = covariance / (deviation.unsqueeze(-1) * deviation.unsqueeze(-2))
        seen_covariance = world.emission @ covariance @ world.emission.T + torch.diag(world.noise.square())
        scale = seen_covariance.diagonal(dim1=-2, dim2=-1).sqrt()
        known = torch.where(row == column, deviation[..., row].log(), shape[..., row, column])
        raw_gain, raw = self.net(torch.cat([known, scale.log()], -1)).split([n * shown, self.below], -1)
        gain = raw_gain.unflatten(-1, (n, shown)) * deviation.unsqueeze(-1) / scale.unsqueeze(-2)
        lower = torch.zeros_like(covariance)
        values = torch.where(row == column, raw.clamp(-8.0, 4.0).exp(), raw) * deviation[..., row]
        lower[..., row, column] = values
        surprise = world.seen(seen.observation) - mean @ world.emission.T
        mean = mean + (gain @ surprise.unsqueeze(-1)).squeeze(-1)
        with pyro.plate("batch", belief.shape[0]):
            pyro.sample("state", dist.MultivariateNormal(mean, scale_tril=lower))
        return torch.cat([mean, (lower @ lower.mT).flatten(-2)], -1)


def _diagonal(size: int) -> Tensor:
    """Return where the diagonal is among the entries of a lower triangle, row by row."""
    row = torch.arange(size)
    return row * (row + 1) // 2 + row


def require_linear(name: str, world_model: object) -> None:
    """Raise `InputError` unless a world model has what a filter of linear-Gaussian worlds reads."""
    wanted = ("predicted", "emission", "noise", "seen", "size")
    missing = [attribute for attribute in wanted if not hasattr(world_model, attribute)]
    if missing:
        raise InputError(
            f"Expected a linear-Gaussian world model for {name}, but {type(world_model).__name__} has no "
            f"{', '.join(missing)}; take GaussianStateSpace, or another filter."
        )
