"""A world in closed form, its true model, and its posterior, exact or with scales of another size."""

from math import log
from typing import Any

import gymnasium as gym
import numpy as np
import pyro
import pyro.distributions as dist
import torch
from torch import Tensor

from gio_pyro import GIO

DECAY, EFFECT, NOISE = 0.5, np.array([1.0, 0.5]), np.array([0.5, 0.5])
"""s' = DECAY s + EFFECT u + NOISE ε, with u the action before its squash."""


class LinearWorld(gym.Env[Any, Any]):
    """Two numbers, each moved by its own action; episodes of 100 steps."""

    observation_space = gym.spaces.Box(-np.inf, np.inf, (2,), np.float32)
    action_space = gym.spaces.Box(-1.0, 1.0, (2,), np.float32)

    def reset(self, *, seed: int | None = None, options: Any = None) -> tuple[Any, dict[str, Any]]:
        super().reset(seed=seed)
        self.state, self.steps = self.np_random.normal(size=2), 0
        return self.state.astype(np.float32), {}

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        u = np.arctanh(np.clip(np.asarray(action, float), -1 + 1e-9, 1 - 1e-9))
        self.state = DECAY * self.state + EFFECT * u + NOISE * self.np_random.normal(size=2)
        self.steps += 1
        return self.state.astype(np.float32), 0.0, False, self.steps == 100, {}


def model(width: float = 1.0) -> Any:
    """The true model, with scales `width` times the true ones."""

    def true_model(policy: Any, state: Tensor, future: Tensor | None = None) -> Any:
        with pyro.plate("batch", len(state)):
            action = pyro.sample("action", policy(state))
            mean = DECAY * state + action * torch.tensor(EFFECT, dtype=state.dtype)
            scale = width * torch.tensor(NOISE, dtype=state.dtype)
            return pyro.sample("future", dist.Normal(mean, scale.expand_as(mean)).to_event(1), obs=future)

    return true_model


def too_dense(extra: float) -> type[dist.Normal]:
    """A normal whose density integrates to e^extra."""

    def log_prob(self: Any, value: Tensor) -> Tensor:
        return dist.Normal.log_prob(self, value) + extra

    return type("TooDense", (dist.Normal,), {"log_prob": log_prob})


def guide(width: float = 1.0, of_model: float = 1.0, extra: float = 0.0) -> Any:
    """The posterior under the model of scales `of_model` times the true ones, with scales `width` times its own.

    Its log-density is `extra` nats too high.
    """

    def posterior(policy: Any, state: Tensor, future: Tensor) -> Any:
        prior = policy(state).base_dist
        effect, noise = (torch.tensor(x, dtype=state.dtype) for x in (EFFECT, NOISE * of_model))
        own, told = prior.scale.pow(-2), (effect / noise).square()
        mean = (own * prior.loc + told * (future - DECAY * state) / effect) / (own + told)
        with pyro.plate("batch", len(state)):
            pyro.sample("action", too_dense(extra / 2)(mean, width * (own + told).rsqrt()).to_event(1))

    return posterior


def agent(guide_width: float = 1.0, model_width: float = 1.0, guide_extra: float = 0.0) -> GIO:
    """An agent with these programs and a policy that has not learned."""
    own = guide(guide_width, model_width, guide_extra)
    return GIO(LinearWorld(), model=model(model_width), guide=own, hidden=(8,), seed=0)


@torch.no_grad()
def information(agent: GIO, state: Tensor) -> float:
    """I(s'; u | s) = Σ ½ log(1 + (effect σ / noise)²), a mean over states."""
    scale = agent.policy(state).base_dist.scale.double()
    ratio = torch.tensor(EFFECT / NOISE) * scale
    return float(0.5 * torch.log1p(ratio.square()).sum(-1).mean())


def loss_of_width(width: float) -> float:
    """KL(N(0, 1) ‖ N(0, width²)) of two numbers, nats."""
    return 2 * (log(width) + 0.5 / width**2 - 0.5)
