"""Scripted environments, and behaviours that act in them."""

from collections.abc import Callable, Sequence
from typing import Any

import gymnasium as gym
import numpy as np
import torch
from gymnasium.spaces import Box, Dict, Discrete
from gymnasium.vector import AutoresetMode, SyncVectorEnv, VectorEnv
from torch import Tensor

from gio_pyro.collection import Actions, Collected, Collector

CPU = torch.device("cpu")


class Script(gym.Env[Any, Any]):
    """Repeats given steps `(observation, reward, terminated, truncated)`; resets to `first`."""

    def __init__(self, steps: Sequence[tuple[Any, Any, bool, bool]], first: Any = 0, start: int = 0) -> None:
        self.observation_space, self.action_space = Discrete(10, start=start), Discrete(3, start=start)
        self.script, self.first = steps, first
        self.seeds: list[int | None] = []
        self.actions: list[Any] = []

    def reset(self, *, seed: int | None = None, options: Any = None) -> tuple[Any, dict[str, Any]]:
        super().reset(seed=seed)
        self.seeds.append(seed)
        return self.first, {}

    def step(self, action: Any) -> tuple[Any, Any, bool, bool, dict[str, Any]]:
        now = self.script[len(self.actions) % len(self.script)]
        self.actions.append(action)
        return *now, {}


class Diary(gym.Env[Any, Any]):
    """Observes (environment, episode, step); episodes differ in length, and alternately terminate and are truncated.

    `reuse` shows the same array again and again, `nested` a dictionary that holds it.
    """

    def __init__(self, who: int = 0, reuse: bool = False, nested: bool = False) -> None:
        plain = Box(0, 1e6, (3,), dtype=np.float32)
        self.observation_space = Dict({"note": plain, "who": Discrete(8)}) if nested else plain
        self.action_space = Discrete(2)
        self.who, self.reuse, self.nested = who, reuse, nested
        self.page = np.zeros(3, dtype=np.float32)
        self.episode, self.at = -1, 0
        self.seeds: list[int | None] = []

    @staticmethod
    def length(who: int, episode: int) -> int:
        return 1 + (3 * who + 5 * episode) % 7

    def _shown(self) -> Any:
        page = self.page if self.reuse else np.empty(3, dtype=np.float32)
        page[:] = self.who, self.episode, self.at
        return {"note": page, "who": self.who} if self.nested else page

    def reset(self, *, seed: int | None = None, options: Any = None) -> tuple[Any, dict[str, Any]]:
        super().reset(seed=seed)
        self.seeds.append(seed)
        self.episode, self.at = self.episode + 1, 0
        return self._shown(), {}

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        length = self.length(self.who, self.episode)
        assert self.at < length, "stepped after the end"
        self.at += 1
        ended, cut = self.at == length, self.episode % 2 == 1
        return self._shown(), float(100 * self.episode + self.at), ended and not cut, ended and cut, {}


class DiaryVector(VectorEnv[Any, Any, Any]):
    """A custom vector with its own autoreset, which returns final observations in one array."""

    def __init__(self, count: int, mode: AutoresetMode | None) -> None:
        self.envs, self.num_envs, self.mode = [Diary(who) for who in range(count)], count, mode
        self.metadata = {} if mode is None else {"autoreset_mode": mode}
        self.single_observation_space = self.envs[0].observation_space
        self.single_action_space = self.envs[0].action_space
        self.done = np.zeros(count, dtype=bool)
        self.seeds: list[Any] = []

    def reset(self, *, seed: int | None = None, options: Any = None) -> tuple[Any, dict[str, Any]]:
        super().reset(seed=seed)
        self.seeds.append(seed)
        self.done[:] = False
        return np.stack([env.reset()[0] for env in self.envs]), {}

    def step(self, actions: Any) -> tuple[Any, Any, Any, Any, dict[str, Any]]:
        rows = [
            (env.reset()[0], 0.0, False, False) if self.done[i] and self.mode is None else env.step(actions[i])[:4]
            for i, env in enumerate(self.envs)
        ]
        observation, reward, terminated, truncated = (np.array(column) for column in zip(*rows, strict=True))
        self.done = terminated | truncated
        if self.mode is None or not self.done.any():
            return observation, reward, terminated, truncated, {}
        now = np.stack([self.envs[i].reset()[0] if self.done[i] else observation[i] for i in range(self.num_envs)])
        return now, reward, terminated, truncated, {"final_obs": observation}


def sync(make: Sequence[Callable[[], gym.Env[Any, Any]]], mode: AutoresetMode, copy: bool = True) -> SyncVectorEnv:
    """Return a `SyncVectorEnv` with an autoreset mode."""
    return SyncVectorEnv(make, copy=copy, autoreset_mode=mode)


class Draws:
    """Uniform or normal site actions; the k-th call always draws the same."""

    def __init__(self, actions: Actions, calls: int = 0) -> None:
        self.space, self.calls = actions.space, calls

    def __call__(self, state: Tensor) -> tuple[Tensor, Tensor]:
        generator = torch.Generator().manual_seed(self.calls)
        self.calls += 1
        if isinstance(self.space, Discrete):
            n = int(self.space.n)
            return torch.randint(n, (len(state),), generator=generator), torch.full((len(state),), 1 / n).log()
        assert self.space.shape is not None
        return torch.randn((len(state), *self.space.shape), generator=generator), torch.zeros(len(state))


def collector(env: Any, seed: int = 5) -> Collector:
    """Return a collector on the CPU."""
    return Collector(env, seed=seed, device=CPU)


def collect(env: Any, steps: int) -> Collected:
    """Return the first transitions of an environment."""
    collecting = collector(env)
    return collecting.collect(Draws(collecting.actions), steps)
