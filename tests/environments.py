"""Small environments for the tests, and how to make Gymnasium know them for one test."""

from collections.abc import Callable
from typing import Any

import gymnasium as gym
import pytest
from gymnasium.envs.registration import EnvSpec
from gymnasium.spaces import Discrete


class Corridor(gym.Env[Any, Any]):
    """Cells in a row; action 0 goes back, 1 goes on; the last cell ends the episode.

    `reward(step)` is paid at every step, `observe(cell)` changes what is seen, `table` becomes `P`.
    """

    def __init__(
        self,
        length: int = 4,
        first: int = 0,
        reward: Callable[[int], Any] = lambda step: -1.0,
        observe: Callable[[int], Any] | None = None,
        table: Any = None,
        endless: bool = False,
    ) -> None:
        self.observation_space = Discrete(length, start=first)
        self.action_space = Discrete(2, start=first)
        self.length, self.first, self.reward, self.endless = length, first, reward, endless
        self.observe = observe or (lambda cell: cell + first)
        self.cell = self.taken = 0
        if table is not None:
            self.P = table
            self.initial_state_distrib = [1.0] + [0.0] * (length - 1)

    def reset(self, *, seed: int | None = None, options: Any = None) -> tuple[Any, dict[str, Any]]:
        super().reset(seed=seed)
        self.cell = 0
        return self.observe(self.cell), {}

    def step(self, action: Any) -> tuple[Any, Any, bool, bool, dict[str, Any]]:
        assert self.first <= action < self.first + 2
        self.cell = min(max(self.cell + (1 if action == self.first + 1 else -1), 0), self.length - 1)
        self.taken += 1
        ended = self.cell == self.length - 1 and not self.endless
        return self.observe(self.cell), self.reward(self.taken), ended, False, {}


def corridor_table(length: int = 4, reward: float = -1.0, endless: bool = False) -> dict[int, Any]:
    """The transition table of a `Corridor`, in toy-text's convention."""

    def outcome(cell: int, action: int) -> list[tuple[float, int, float, bool]]:
        after = min(max(cell + 2 * action - 1, 0), length - 1)
        return [(1.0, after, reward, after == length - 1 and not endless)]

    return {cell: {action: outcome(cell, action) for action in range(2)} for cell in range(length)}


def register(monkeypatch: pytest.MonkeyPatch, name: str = "Corridor-v0", limit: int | None = 20, **kwargs: Any) -> str:
    """Register a `Corridor` with Gymnasium until the test ends; returns its id."""
    spec = EnvSpec(
        id=name, entry_point=Corridor, max_episode_steps=limit, disable_env_checker=True, kwargs=dict(kwargs)
    )
    monkeypatch.setitem(gym.registry, name, spec)
    return name


def make(limit: int | None = 20, **kwargs: Any) -> gym.Env[Any, Any]:
    """A `Corridor` without a spec, as one's own environment comes."""
    env: gym.Env[Any, Any] = Corridor(**kwargs)
    return env if limit is None else gym.wrappers.TimeLimit(env, limit)
