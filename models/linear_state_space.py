"""A linear-Gaussian world model, whose exact filter is the Kalman filter."""

import math
from typing import Any

import pyro
import pyro.distributions as dist
import torch
from gymnasium.spaces import Box
from torch import Tensor, nn

from gio_pyro.errors import InputError
from gio_pyro.nn import Standardise, action_features, width
from gio_pyro.types import Seen, Transitions, WorldSpec, require_world_spec

LEAST_SCALE = 1e-3
"""Lower bound of every scale, in deviations of the observation."""

SETTLED = 1_000
"""Transitions that the units of observations and rewards are taken from."""

DIFFUSE = 30.0
"""Scales of a given system in the midst of an episode, in those of its first state."""


class GaussianStateSpace(nn.Module):
    """z' = A z + B a + w, x = C z + v, with independent normal noise w and v; a is the action in (−1, 1), or one-hot.

    A belief is a normal distribution of z: its mean and covariance, `[B, n + n²]`. Observations are standardised by the
    statistics that `observe` updates. The reward is normal around a quadratic function of z and a.

    Raises:
        InputError: an observation space that is not a Box of vectors.
    """

    learning_rate = 1e-2
    filter = "KalmanFilter"
    """The filter that is taken unless another is named."""
    states: int | None = None
    """n, the number of dimensions of z; by default (None) twice those of the observation: positions and velocities."""
    rewards = True
    """Whether the site "reward" is modelled."""
    own_states = False
    """Whether z is the environment's own state, so that a filter can be compared with it; True of matrices that are
    given."""

    def __init__(self, spec: WorldSpec, states: int | None = None) -> None:
        super().__init__()
        require_world_spec(type(self).__name__, spec)
        space = spec.observation_space
        if not isinstance(space, Box) or len(space.shape) != 1:
            raise InputError(
                f"Expected a Box of vectors for {type(self).__name__}, but got {space}; use another world model."
            )
        seen, actions = space.shape[0], width(spec.action_space)
        n = states or self.states or 2 * seen
        self.size, self.actions, self.belief_size = n, spec.action_space, n + n * n
        self.seen = Linear((seen,))
        self.transition = nn.Parameter(torch.eye(n) + 0.1 * torch.diag(torch.ones(max(n - seen, 0)), seen)[:n, :n])
        self.control = nn.Parameter(0.1 * torch.randn(n, actions))
        self.emission = nn.Parameter(torch.eye(seen, n))
        self.log_process = nn.Parameter(torch.full((n,), math.log(0.1)))
        self.log_noise = nn.Parameter(torch.full((seen,), math.log(0.3)))
        self.first_mean = nn.Parameter(torch.zeros(n))
        self.log_first = nn.Parameter(torch.zeros(n))
        self.log_midway = nn.Parameter(torch.zeros(n))
        self.paid = Standardise((1,))
        self.quadratic = nn.Linear((n + actions) * (n + actions + 1) // 2 + n + actions, 1)
        self.log_paid = nn.Parameter(torch.zeros(()))
        nn.init.zeros_(self.quadratic.weight)

    @classmethod
    def of(cls, system: Any, bound: float = 1.0) -> "GaussianStateSpace":
        """Return the world model of a `tabular.LinearGaussian` without rewards, with its matrices, which stay as given.

        Args:
            system: the system, whose covariances are diagonal.
            bound: of the box of actions, the same for each.

        Raises:
            InputError: a covariance that is not diagonal.
        """
        for name in ("process_noise", "observation_noise", "covariance"):
            table = getattr(system, name)
            if not torch.equal(table, torch.diag(table.diagonal())):
                raise InputError(f"Expected a diagonal {name} for {cls.__name__}, but got {table.tolist()}; rotate z.")
        shown, actions = (Box(-1.0, 1.0, (size,)) for size in (system.observations, system.actions))
        made = cls(WorldSpec(shown, actions), states=system.states)
        made.rewards, made.own_states = False, True
        scales = {"process": system.process_noise, "noise": system.observation_noise, "first": system.covariance}
        tables = {"transition": system.transition, "control": system.control * bound, "emission": system.emission}
        tables |= {f"log_{name}": table.diagonal().sqrt().log() for name, table in scales.items()}
        for name, table in (tables | {"first_mean": system.mean}).items():
            getattr(made, name).data.copy_(table)
        made.log_midway.data.copy_(made.log_first + math.log(DIFFUSE))
        return made.requires_grad_(False)

    def observe(self, rows: Transitions) -> None:
        """Update the statistics of observations and rewards with new transitions, until `SETTLED` were seen.

        They are the units of the matrices, which later ones would only have to follow. Given matrices need none.
        """
        if not self.transition.requires_grad or float(self.seen.count) >= SETTLED:
            return
        first = not bool(self.seen.count)
        self.seen.observe(rows.next_state)
        if first:
            self._begin(rows)
        self.paid.observe(rows.reward.unsqueeze(-1))

    @torch.no_grad()
    def _begin(self, rows: Transitions) -> None:
        """Begin with scales of noise as large as half of the changes of the observation, in its deviations."""
        change = ((rows.next_state - rows.state) / self.seen.deviation).square().mean(0).sqrt()
        half = (change / 2).clamp(LEAST_SCALE, 1.0).log()
        self.log_noise.copy_(half)
        self.log_process.copy_(half.repeat(self.size // len(half) + 1)[: self.size])

    def predicted(self, belief: Tensor, action: Tensor | None) -> tuple[Tensor, Tensor]:
        """Return mean `[B, n]` and covariance `[B, n, n]` of z given the belief before and the action."""
        count = belief.shape[:-1]
        if action is None:
            first = torch.diag_embed(self.log_first.exp().square().clamp_min(LEAST_SCALE**2))
            return self.first_mean.expand(*count, -1), first.expand(*count, -1, -1)
        mean, covariance = unpacked(belief, self.size)
        mean = mean @ self.transition.T + action_features(self.actions, action) @ self.control.T
        return mean, definite(self.transition @ covariance @ self.transition.T) + self.process

    def midway(self) -> Tensor:
        """Return what is believed in the midst of an episode of which nothing was seen, `[n + n²]`: learned scales."""
        wide = torch.diag(self.log_midway.exp().square())
        return packed(torch.zeros_like(self.log_midway), wide)

    @property
    def process(self) -> Tensor:
        """Covariance of w, `[n, n]`."""
        return torch.diag_embed(self.log_process.exp().square().clamp_min(LEAST_SCALE**2))

    @property
    def noise(self) -> Tensor:
        """Scale of v in deviations of the observation, `[p]`."""
        return self.log_noise.exp().clamp_min(LEAST_SCALE)

    def forward(self, belief: Tensor, action: Tensor | None, seen: Seen | None = None) -> None:
        """Sample "state", "observation" and, after an action, "reward"."""
        mean, covariance = self.predicted(belief, action)
        with pyro.plate("batch", belief.shape[0]):
            z = pyro.sample("state", dist.MultivariateNormal(mean, covariance_matrix=covariance))
            shown = self.seen.mean + self.seen.deviation * (z @ self.emission.T)
            noisy = dist.Normal(shown, self.seen.deviation * self.noise).to_event(1)
            pyro.sample("observation", noisy, obs=None if seen is None else seen.observation)
            if action is not None and self.rewards:
                pyro.sample("reward", self.reward(z, action), obs=None if seen is None else seen.reward)

    def log_marginal(self, belief: Tensor, action: Tensor | None, seen: Seen) -> Tensor | None:
        """Return log p(x|belief, a), `[B]` nats; None with rewards, which are not linear in the state."""
        if self.rewards and action is not None:
            return None
        mean, covariance = self.predicted(belief, action)
        shown = self.emission @ covariance @ self.emission.T + torch.diag_embed(self.noise.square())
        unit = self.seen.deviation
        scaled = unit.unsqueeze(-1) * shown * unit
        centre = self.seen.mean + unit * (mean @ self.emission.T)
        found: Tensor = dist.MultivariateNormal(centre, covariance_matrix=scaled).log_prob(seen.observation)
        return found

    def quadratic_reward(self) -> tuple[Tensor, Tensor]:
        """Return G `[n + m, n + m]` and g `[n + m]`: the mean reward is uᵀ G u + gᵀ u and a constant, u = (z', a).

        Reward units; a is the action in (−1, 1).

        Raises:
            InputError: a world model without rewards.
        """
        if not self.rewards:
            raise InputError(
                f"Expected a {type(self).__name__} with rewards, but it has rewards=False; learn one that has them, "
                "or set them to True and give the weights of `quadratic` where its matrices are given."
            )
        size = self.size + self.control.shape[1]
        weight = self.paid.deviation * self.quadratic.weight[0]
        row, column = torch.triu_indices(size, size, device=weight.device)
        upper = weight.new_zeros(size, size).index_put((row, column), weight[size:])
        return (upper + upper.T) / 2, weight[:size]

    def reward(self, z: Tensor, action: Tensor) -> Any:
        """Return the distribution of the reward, a batch of B."""
        both = torch.cat([z, action_features(self.actions, action).expand(*z.shape[:-1], -1)], -1)
        row, column = torch.triu_indices(both.shape[-1], both.shape[-1], device=z.device)
        mean = self.quadratic(torch.cat([both, both[..., row] * both[..., column]], -1)).squeeze(-1)
        scale = self.log_paid.exp().clamp_min(LEAST_SCALE)
        return dist.Normal(self.paid.mean + self.paid.deviation * mean, self.paid.deviation * scale)


class Linear(Standardise):
    """(x − mean) / standard deviation, without the bound of `Standardise`: a clipped observation is not linear in z."""

    def forward(self, x: Tensor) -> Tensor:
        """Return standardised values of the same shape."""
        return (x - self.mean) / self.deviation


def definite(covariance: Tensor) -> Tensor:
    """Return covariances `[..., n, n]` made symmetric, with as much more variance as rounding may have taken."""
    variance = covariance.diagonal(dim1=-2, dim2=-1)
    return (covariance + covariance.mT) / 2 + torch.diag_embed(8 * torch.finfo(variance.dtype).eps * variance)


def packed(mean: Tensor, covariance: Tensor) -> Tensor:
    """Return a normal distribution as a belief, `[B, n + n²]`."""
    return torch.cat([mean, covariance.flatten(-2)], -1)


def unpacked(belief: Tensor, size: int) -> tuple[Tensor, Tensor]:
    """Return mean `[B, n]` and covariance `[B, n, n]` of a belief."""
    mean, covariance = belief.split([size, size * size], -1)
    return mean, covariance.unflatten(-1, (size, size))
