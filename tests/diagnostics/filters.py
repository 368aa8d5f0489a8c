"""Agents with known world models, and filters that are exact, too wide or too narrow."""

from functools import cache
from typing import Any

import gymnasium as gym
import pyro
import pyro.distributions as dist
import torch
from pyro import poutine
from torch import Tensor

import gio_pyro.envs  # noqa: F401
from gio_pyro import GIO, tabular
from gio_pyro.guides import ForwardFilter, KalmanFilter
from gio_pyro.models import FiniteStateSpace, GaussianStateSpace
from gio_pyro.types import Seen


def kalman(by: float) -> Any:
    """The Kalman filter with covariances `by` times its own."""

    class Scaled(KalmanFilter):
        def forward(self, belief: Tensor, action: Tensor | None, seen: Seen) -> Tensor:
            with poutine.block():
                mean, flat = super().forward(belief, action, seen).split([self.held[0].size, self.held[0].size ** 2], 1)
            covariance = by * flat.unflatten(-1, (self.held[0].size,) * 2)
            with pyro.plate("batch", len(mean)):
                pyro.sample("state", dist.MultivariateNormal(mean, covariance_matrix=covariance))
            return torch.cat([mean, covariance.flatten(1)], -1)

    return Scaled


def forward(power: float) -> Any:
    """The forward algorithm with probabilities raised to a power: above 1 it is overconfident, below 1 the reverse."""

    class Tempered(ForwardFilter):
        def forward(self, belief: Tensor, action: Tensor | None, seen: Seen) -> Tensor:
            with poutine.block():
                exact = super().forward(belief, action, seen)
            after = exact.pow(power) / exact.pow(power).sum(-1, keepdim=True)
            with pyro.plate("batch", len(after)):
                pyro.sample("state", dist.Categorical(after))
            return after

    return Tempered


def known() -> GaussianStateSpace:
    """The world model of the linear-Gaussian world, with its own matrices."""
    system = gym.make("gio/LinearGaussian-v0").unwrapped.system  # type: ignore[attr-defined]
    return GaussianStateSpace.of(system, 10.0)


@cache
def linear(by: float = 1.0) -> GIO:
    """An agent in the linear-Gaussian world that knows it."""
    return GIO("gio/LinearGaussian-v0", world_model=known(), filter=kalman(by), hidden=(8,), compile=False)


@cache
def finite(power: float = 1.0, name: str = "gio/NoisyFrozenLake-v0", **arguments: Any) -> GIO:
    """An agent in a finite world that knows its tables."""
    env = gym.make(name, **arguments)
    model = FiniteStateSpace.of(tabular.POMDP.from_env(env))
    model.rewards = False
    return GIO(env, world_model=model, filter=forward(power), hidden=(8,), compile=False)
