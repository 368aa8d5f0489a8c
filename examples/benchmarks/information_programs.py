"""Programs of a user for real vectors, of one conditional density: `SplineModel` p_ψ(F|a) and `SplineGuide` q(a|F).

Each dimension v_i of the density depends on the other side c and on the previous dimensions:

    v_i = m_i + σ_i Φ⁻¹(u_i),    u_i ∈ (0, 1) with a piecewise linear density of 17 knots

where Φ is the normal distribution function. m_i, log σ_i and the log-densities at the knots come from a masked network
(MADE, Germain et al., 2015) that multiplies features of v and of c. The mean also has a linear part r_i c_i, and the
network is 0 at initialisation, so that fitting begins with a linear-Gaussian density. `observe` fits r_i by least
squares where the correlation of v_i and c_i is larger than noise. Both sides are expected to be standardised and in
canonical coordinates, and the policy to be standard normal; the state is ignored.

A guide sees actions turned by its own random orthogonal matrix, so that its dimensions are not those of other guides.
`MixtureGuide` is the equal mixture of several guides.
"""

import math
from collections.abc import Callable, Sequence
from typing import Any, Self

import pyro
import pyro.distributions as dist
import torch
from torch import Tensor, nn
from torch.distributions import constraints
from torch.nn.functional import linear, pad, silu

from gio_pyro.distributions.autoregressive import Autoregressive
from gio_pyro.nn import width
from gio_pyro.types import Policy, Spec

BINS = 16
NORMAL = 0.5 * math.log(2 * math.pi)
LIMIT = 1e-6
"""Draws of u_i stay this far from 0 and 1."""

Conditionals = Callable[[Tensor], tuple[Tensor, Tensor, Tensor]]
"""`v [..., B, d] -> m [..., B, d], log σ [..., B, d], log densities at the knots [..., B, d, BINS + 1]`."""


class MaskedLinear(nn.Module):
    """A linear layer from units to units of the same or a higher degree, `[..., n] -> [..., m]`.

    Args:
        inputs: `[n]`, the degree of each input.
        outputs: `[m]`, the degree of each output.
    """

    mask: Tensor

    def __init__(self, inputs: Tensor, outputs: Tensor) -> None:
        super().__init__()
        self.linear = nn.Linear(len(inputs), len(outputs))
        self.register_buffer("mask", (outputs[:, None] >= inputs).float())

    def forward(self, x: Tensor) -> Tensor:
        """Return the outputs."""
        return linear(x, self.linear.weight * self.mask, self.linear.bias)


class Network(nn.Module):
    """A masked network: outputs of dimension i depend on c and on v_j for j < i, `[..., d], [B, c] -> [..., d, n]`.

    Args:
        size: d, dimensions of v.
        given: dimensions of c.
        hidden: units of each layer.
        outputs: n, for each dimension.
    """

    drop = 0.2

    def __init__(self, size: int, given: int, hidden: int, outputs: int) -> None:
        super().__init__()
        degree, order = torch.arange(hidden) % size, torch.arange(size)  # degree i: depends on v_j for j < i
        self.value = nn.ModuleList([MaskedLinear(order.repeat(2) + 1, degree), MaskedLinear(degree, degree)])
        self.given = nn.ModuleList([nn.Linear(2 * given, hidden), nn.Linear(hidden, hidden)])
        self.joint = MaskedLinear(degree, degree)
        self.last = MaskedLinear(degree, order.repeat_interleave(outputs))
        self.shape = (size, outputs)
        nn.init.zeros_(self.last.linear.weight)
        nn.init.zeros_(self.last.linear.bias)

    def forward(self, value: Tensor, given: Tensor) -> Tensor:
        """Return the outputs of each dimension."""
        first, second = self.value
        v = second(self._active(first(squares(value))))
        first, second = self.given
        c = second(silu(first(squares(given))))
        return self.last(self._active(self.joint(self._active(v * c + v + c)))).unflatten(-1, self.shape)

    def _active(self, x: Tensor) -> Tensor:
        """Return activations with dropout, whose mask is drawn faster than that of `nn.Dropout`."""
        x = silu(x)
        return x * ((torch.rand_like(x) >= self.drop) / (1 - self.drop)) if self.training else x


def squares(x: Tensor) -> Tensor:
    """Return numbers and their squares less 1, clipped, `[..., 2 n]`."""
    return torch.cat([x, x.square() - 1], -1).clamp(-10, 10)


class SplineConditional(nn.Module):
    """The density of `size` numbers given `given` others, `[B, given]`.

    Args:
        size: d, dimensions of the density.
        given: dimensions of the condition.
        hidden: units of each layer of the network.
        turned: whether the dimensions of the network are those of v turned by a random orthogonal matrix.

    Attributes:
        turn: `[d, d]`, from v to the coordinates of the network.
        slope: `[d]`, r_i of v, before it is turned.
        weight: `[d, d]`, of the residuals of the linear part of the previous dimensions, in the network's coordinates.
        scale: `[d]`, standard deviations of the linear part given the previous dimensions.
    """

    turn: Tensor
    slope: Tensor
    weight: Tensor
    scale: Tensor

    def __init__(self, size: int, given: int, hidden: int, *, turned: bool = False) -> None:
        super().__init__()
        self.size, self.shared = size, min(size, given)
        self.register_buffer("turn", torch.linalg.qr(torch.randn(size, size)).Q if turned else torch.eye(size))
        self.register_buffer("slope", torch.zeros(size))
        self.register_buffer("weight", torch.zeros(size, size))
        self.register_buffer("scale", torch.ones(size))
        self.net = Network(size, given, hidden, BINS + 3)

    @torch.no_grad()
    def observe(self, value: Tensor, given: Tensor) -> None:
        """Fit the linear part by least squares, 0 where the slope is not larger than those of noise.

        The singular values of the correlations of N independent rows of d and m numbers end at (√d + √m) / √N.
        """
        noise = (math.sqrt(self.size) + math.sqrt(given.shape[1])) / math.sqrt(len(value))
        v, c = value[:, : self.shared], given[:, : self.shared]
        slope = (v * c).mean(0) / c.square().mean(0)
        slope = torch.where(slope.abs() > noise, slope, 0.0)
        variance = torch.ones_like(self.scale)
        variance[: self.shared] = torch.where(slope == 0, 1.0, (v - slope * c).square().mean(0))
        # With L L' the turned covariance, residual i has the mean Σ_{j<i} (tril(L, −1) L⁻¹)_ij e_j given the previous.
        lower = torch.linalg.cholesky(self.turn.T @ (variance[:, None] * self.turn))
        self.slope[: self.shared] = slope
        self.weight.copy_(torch.linalg.solve_triangular(lower, lower.tril(-1), upper=False, left=False).T)
        self.scale.copy_(lower.diagonal())

    def distribution(self, given: Tensor) -> "SplineAutoregressive":
        """Return the density given `[B, given]`, a batch of B of event shape `[size]`."""
        mean = (self.slope * pad(given[..., : self.shared], (0, self.size - self.shared))) @ self.turn
        log_scale = self.scale.log()

        def conditionals(value: Tensor) -> tuple[Tensor, Tensor, Tensor]:
            shift, raw, knots = self.net(value, given).split([1, 1, BINS + 1], -1)
            linear = mean + (value - mean) @ self.weight
            return linear + shift.squeeze(-1), log_scale + raw.squeeze(-1), knots

        return SplineAutoregressive(conditionals, mean, self.turn)


class SplineAutoregressive(Autoregressive):
    """A batch of the densities of this module, over vectors.

    Args:
        conditionals: the parameters of every dimension of the turned vector.
        like: a tensor of the shape of the batch, `[..., B, d]`.
        turn: the orthogonal matrix, `[d, d]`.
    """

    def __init__(self, conditionals: Conditionals, like: Tensor, turn: Tensor) -> None:
        super().__init__(conditionals, like)
        self.turn = turn

    def expand(self, batch_shape: Any, _instance: Any = None) -> Self:
        """Return the distributions expanded to a larger batch."""
        return type(self)(self.conditionals, self.like.expand(*batch_shape, *self.event_shape), self.turn)

    def log_prob(self, value: Tensor) -> Tensor:
        """Return the log-density of each `value` `[..., B, d]`, `[..., B]` nats."""
        value = value @ self.turn
        mean, log_scale, knots = self.conditionals(value)
        z = (value - mean) * (-log_scale).exp()
        place, density = torch.special.ndtr(z) * BINS, normalised(knots)
        bin = place.detach().floor().clamp(0, BINS - 1)
        low, high = (density.gather(-1, bin.long().unsqueeze(-1) + n).squeeze(-1) for n in (0, 1))
        within = torch.log(low + (high - low) * (place - bin))
        return (within - 0.5 * z.square() - log_scale - NORMAL).sum(-1)

    def rsample(self, sample_shape: Any = torch.Size()) -> Tensor:  # noqa: B008 - torch's own signature
        """Return reparameterised draws `[*sample_shape, B, d]`, dimension by dimension."""
        shape = self._extended_shape(sample_shape)
        noise = torch.rand(shape, dtype=self.like.dtype, device=self.like.device)

        def draw(mean: Tensor, log_scale: Tensor, knots: Tensor) -> Tensor:
            u = inverse(normalised(knots), noise).clamp(LIMIT, 1 - LIMIT)
            return mean + log_scale.exp() * torch.special.ndtri(u)

        return self.by_dimension(noise, draw) @ self.turn.T


class Mixture(dist.TorchDistribution):
    """A batch of equal mixtures of K conditional densities.

    Args:
        members: the densities.
        given: their condition, `[..., B, c]`.
    """

    arg_constraints = {}  # noqa: RUF012 - torch's own name for it
    support = constraints.real_vector

    def __init__(self, members: Sequence[SplineConditional], given: Tensor) -> None:
        self.members, self.given = members, given
        super().__init__(given.shape[:-1], torch.Size([members[0].size]), validate_args=False)

    def expand(self, batch_shape: Any, _instance: Any = None) -> Self:
        """Return the distributions expanded to a larger batch."""
        return type(self)(self.members, self.given.expand(*batch_shape, -1))

    def log_prob(self, value: Tensor) -> Tensor:
        """Return the log-density of each `value` `[..., B, d]`, `[..., B]` nats."""
        each = torch.stack([member.distribution(self.given).log_prob(value) for member in self.members])
        return each.logsumexp(0) - math.log(len(self.members))

    @torch.no_grad()
    def sample(self, sample_shape: Any = torch.Size()) -> Tensor:  # noqa: B008 - torch's own signature
        """Return draws `[*sample_shape, B, d]`: choose a member for each, then draw from it alone."""
        shape = self._extended_shape(sample_shape)
        given = self.given.expand(*shape[:-1], -1).flatten(0, -2)
        value, chosen = (
            given.new_empty(len(given), self.event_shape[0]),
            torch.randint(len(self.members), given.shape[:1]),
        )
        for number, member in enumerate(self.members):
            rows = (chosen == number).nonzero().squeeze(-1)
            value[rows] = member.distribution(given[rows]).sample()
        return value.reshape(shape)


def normalised(knots: Tensor) -> Tensor:
    """Return the densities at the knots, `[..., BINS + 1]`, of a piecewise linear density on (0, 1)."""
    height = knots.exp()
    total = (height[..., 1:] + height[..., :-1]).mean(-1, keepdim=True) / 2
    return height / total


def inverse(density: Tensor, level: Tensor) -> Tensor:
    """Return u where the distribution function of `density` `[..., BINS + 1]` is `level` `[...]`."""
    mass = (density[..., 1:] + density[..., :-1]) / (2 * BINS)
    total = pad(mass.cumsum(-1), (1, 0))
    bin = (level.unsqueeze(-1) >= total[..., 1:-1]).sum(-1, keepdim=True)
    low, high, below = (x.gather(-1, i).squeeze(-1) for x, i in ((density, bin), (density, bin + 1), (total, bin)))
    # low t + (high − low) t² / 2 = BINS (level − below), 0 ≤ t ≤ 1
    rest = (BINS * (level - below)).clamp_min(0)
    root = (low.square() + 2 * (high - low) * rest).clamp_min(1e-12).sqrt()
    return (bin.squeeze(-1) + 2 * rest / (low + root)) / BINS


class SplineGuide(nn.Module):
    """q(a|F); the state is ignored."""

    learning_rate = 3e-3

    def __init__(self, spec: Spec) -> None:
        super().__init__()
        sizes = width(spec.action_space), width(spec.future_space)
        self.density = SplineConditional(*sizes, spec.hidden[0], turned=True)

    def observe(self, state: Tensor, action: Tensor, future: Tensor) -> None:
        """Set the linear part from data."""
        self.density.observe(action, future)

    def forward(self, policy: Policy, state: Tensor, future: Tensor) -> Tensor:
        """Sample "action", `[B, d]`."""
        with pyro.plate("batch", len(state)):
            return pyro.sample("action", self.density.distribution(future))


class MixtureGuide(nn.Module):
    """The equal mixture of fitted guides, q(a|F) = Σ_k q_k(a|F) / K.

    Args:
        members: the guides, K.
    """

    def __init__(self, members: Sequence[SplineGuide]) -> None:
        super().__init__()
        self.members = nn.ModuleList(members)

    def forward(self, policy: Policy, state: Tensor, future: Tensor) -> Tensor:
        """Sample "action", `[B, d]`."""
        with pyro.plate("batch", len(state)):
            return pyro.sample("action", Mixture([member.density for member in self.members], future))


class SplineModel(nn.Module):
    """p_ψ(F|a); the state is ignored."""

    learning_rate = 3e-3

    def __init__(self, spec: Spec) -> None:
        super().__init__()
        self.density = SplineConditional(width(spec.future_space), width(spec.action_space), spec.hidden[0])

    def observe(self, state: Tensor, action: Tensor, future: Tensor) -> None:
        """Set the linear part from data."""
        self.density.observe(future, action)

    def forward(self, policy: Policy, state: Tensor, future: Tensor | None = None) -> Tensor:
        """Sample "action" and "future"."""
        with pyro.plate("batch", len(state)):
            action = pyro.sample("action", policy(state))
            return pyro.sample("future", self.density.distribution(action), obs=future)


class NormalModel(nn.Module):
    """p(F|a) = N(0, I), without parameters: the model beside a guide that is fitted alone."""

    ignores_action = True

    def __init__(self, spec: Spec) -> None:
        super().__init__()
        self.size = width(spec.future_space)

    def forward(self, policy: Policy, state: Tensor, future: Tensor | None = None) -> Tensor:
        """Sample "action" and "future"."""
        with pyro.plate("batch", len(state)):
            pyro.sample("action", policy(state))
            normal = dist.Normal(state.new_zeros(len(state), self.size), 1.0).to_event(1)
            return pyro.sample("future", normal, obs=future)
