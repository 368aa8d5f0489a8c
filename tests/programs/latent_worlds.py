"""Models with latent sites whose densities are known in closed form, and guides of them."""

import math
from typing import Any

import pyro
import pyro.distributions as dist
import torch
from gymnasium.spaces import Box
from pyro.nn import PyroModule
from torch import Tensor, nn

from gio_pyro.types import Policy, Spec

SPEC = Spec(Box(-9, 9, (2,)), Box(-9, 9, (1,)), Box(-9, 9, (2,)))


def policy(state: Tensor) -> Any:
    """π: normal around the mean of the state."""
    return dist.Normal(state.mean(-1, keepdim=True), 1.0).to_event(1)


class Regimes(nn.Module):
    """F = s + e_c a + noise, with a regime c whose probabilities depend on state and action."""

    def __init__(self, spec: Spec | None = None) -> None:
        super().__init__()
        self.effect = nn.Parameter(torch.tensor([[1.0, -0.5], [-2.0, 0.3], [0.2, 1.5]]))

    def logits(self, state: Tensor, action: Tensor) -> Tensor:
        return torch.stack(torch.broadcast_tensors(state[..., 0], action[..., 0], torch.zeros(())), -1)

    def given(self, state: Tensor, action: Tensor, regime: Tensor) -> Any:
        return dist.Normal(state + self.effect[regime] * action, 0.5).to_event(1)

    def forward(self, policy: Policy, state: Tensor, future: Tensor | None = None) -> Tensor:
        with pyro.plate("batch", state.shape[0]):
            action = pyro.sample("action", policy(state))
            regime = pyro.sample("regime", dist.Categorical(logits=self.logits(state, action)))
            return pyro.sample("future", self.given(state, action, regime), obs=future)

    def exact(self, state: Tensor, action: Tensor, future: Tensor) -> Tensor:
        """Return log p(F|s, a), summed by hand, `[B]` nats."""
        each = [self.given(state, action, torch.full((len(state),), c)).log_prob(future) for c in range(3)]
        return (torch.stack(each, -1) + self.logits(state, action).log_softmax(-1)).logsumexp(-1)


class FactorAnalysis(nn.Module):
    """F = s + b a + W z + noise with z ~ N(0, 1): p(F|s, a) = N(s + b a, W Wᵀ + σ²)."""

    sigma = 0.5

    def __init__(self, spec: Spec | None = None) -> None:
        super().__init__()
        self.loading = nn.Parameter(torch.tensor([1.0, -0.7]))
        self.effect = nn.Parameter(torch.tensor([0.8, 0.4]))

    def forward(self, policy: Policy, state: Tensor, future: Tensor | None = None) -> Tensor:
        with pyro.plate("batch", state.shape[0]):
            action = pyro.sample("action", policy(state))
            z = pyro.sample("z", dist.Normal(torch.zeros(1), 1.0).expand([state.shape[0], 1]).to_event(1))
            mean = state + self.effect * action + self.loading * z
            return pyro.sample("future", dist.Normal(mean, self.sigma).to_event(1), obs=future)

    def marginal(self, state: Tensor, action: Tensor) -> Any:
        """Return p(·|s, a)."""
        covariance = torch.outer(self.loading, self.loading) + self.sigma**2 * torch.eye(2)
        return dist.MultivariateNormal(state + self.effect * action, covariance)

    def posterior(self, state: Tensor, action: Tensor, future: Tensor, error: float = 0.0) -> Any:
        """Return p(z|s, a, F), its mean wrong by `error` standard deviations."""
        precision = 1 + self.loading.square().sum() / self.sigma**2
        residual = future - state - self.effect * action
        mean = (residual * self.loading).sum(-1, keepdim=True) / self.sigma**2 / precision
        scale = precision.rsqrt()
        return dist.Normal(mean + error * scale, scale.expand(mean.shape)).to_event(1)


class GuidedFactorAnalysis(FactorAnalysis):
    """The same with a guide of z of its own, wrong by `error` standard deviations."""

    error = 0.0

    def latent_guide(self, state: Tensor, action: Tensor, future: Tensor) -> None:
        with pyro.plate("batch", state.shape[0]):
            pyro.sample("z", self.posterior(state, action, future, self.error))


class LinearRegression(PyroModule):
    """F = s + w a + noise of deviation σ, with weights w ~ N(0, prior²), one for each number of F."""

    prior, sigma, start, particles = 1.0, 1.0, 1.0, 64

    def __init__(self, spec: Spec | None = None) -> None:
        super().__init__()
        self.register_buffer("zeros", torch.zeros(2))

    def autoguide(self, model: Any) -> Any:
        return pyro.infer.autoguide.AutoNormal(model, init_scale=self.start)

    def forward(self, policy: Policy, state: Tensor, future: Tensor | None = None) -> Tensor:
        weight = pyro.sample("weight", dist.Normal(self.zeros, self.prior).to_event(1))
        with pyro.plate("batch", state.shape[0]):
            action = pyro.sample("action", policy(state))
            return pyro.sample("future", dist.Normal(state + weight * action, self.sigma).to_event(1), obs=future)


def batch(count: int = 5) -> tuple[Tensor, Tensor, Tensor]:
    """Return states, actions and futures."""
    state = torch.randn(count, 2)
    return state, policy(state).sample(), state + torch.randn(count, 2)


def log_mean(values: Tensor) -> Tensor:
    """Return log of the mean of exp over the first dimension."""
    return values.logsumexp(0) - math.log(len(values))
