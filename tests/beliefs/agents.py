"""Tiny agents with a world model, and an environment with short episodes."""

from typing import Any

import gymnasium as gym
import numpy as np
import pyro
import pyro.distributions as dist
import torch
from gymnasium.spaces import Box, Discrete
from torch import Tensor, nn

from gio_pyro import GIO
from gio_pyro.models import RecurrentStateSpace
from gio_pyro.types import Seen, WorldSpec


class Tiny(RecurrentStateSpace):
    """A recurrent world model that is fast to fit."""

    memory = 8
    latent = 2


class Rewarded(nn.Module):
    """A filter of `Tiny` whose memory takes in everything that is seen; it has no statistics."""

    def __init__(self, spec: WorldSpec) -> None:
        super().__init__()
        self.discrete = isinstance(spec.action_space, Discrete)
        self.size = spec.world_model.shown // 2  # followed by its change
        self.actions = int(spec.action_space.n) if self.discrete else spec.action_space.shape[0]
        self.cell = nn.GRUCell(self.size + self.actions + 3, Tiny.memory)
        self.net = nn.Linear(Tiny.memory, 2 * Tiny.latent)

    def forward(self, belief: Tensor, action: Tensor | None, seen: Seen) -> Tensor:
        count = len(belief)
        done, rest = torch.zeros(count, self.actions + 1), torch.zeros(count, 2)
        if action is not None:
            one = nn.functional.one_hot(action, self.actions) if self.discrete else action.tanh()
            done = torch.cat([one.float(), torch.ones(count, 1)], -1)
            rest[:, 0] = 0.0 if seen.reward is None else seen.reward
            rest[:, 1] = 0.0 if seen.terminated is None else seen.terminated.float()
        h = self.cell(torch.cat([seen.observation.clamp(-9.0, 9.0), done, rest], -1), belief[:, : Tiny.memory])
        mean, raw = self.net(h).chunk(2, -1)
        with pyro.plate("batch", count):
            pyro.sample("state", dist.Normal(mean, raw.exp()).to_event(1))
        return torch.cat([h, seen.observation, torch.zeros_like(seen.observation), done[:, : self.actions]], -1)


class Short(gym.Env[Any, Any]):
    """Random observations and rewards, and episodes of random lengths that terminate or are truncated."""

    def __init__(self, longest: int = 7, number: int = 0) -> None:
        self.observation_space = Box(-np.inf, np.inf, (2,), np.float32)
        self.action_space = Discrete(3)
        self.longest, self.left, self.number = longest, 0, number

    def _seen(self) -> Any:
        return self.np_random.normal(size=2).astype(np.float32)

    def reset(self, *, seed: int | None = None, options: Any = None) -> tuple[Any, dict[str, Any]]:
        super().reset(seed=seed)
        self.left = int(self.np_random.integers(1, self.longest + 1))
        return self._seen(), {}

    def step(self, action: Any) -> tuple[Any, Any, bool, bool, dict[str, Any]]:
        self.left -= 1
        over, how = self.left == 0, bool(self.np_random.integers(2))
        reward = float(self.np_random.normal()) + float(action)
        return self._seen(), reward, over and how, over and not how, {}


SMALL: dict[str, Any] = {
    "world_model": Tiny,
    "hidden": (8,),
    "learning_starts": 12,
    "train_freq": 4,
    "batch_size": 8,
    "pieces": 2,
    "piece_length": 6,
    "burn_in": 2,
    "buffer_size": 1_000,
    "log_interval": 40,
    "compile": False,
    "device": "cpu",
    "seed": 0,
}
"""Arguments of a small agent."""


def small(environment: Any = None, **others: Any) -> GIO:
    return GIO(Short() if environment is None else environment, **SMALL | others)
