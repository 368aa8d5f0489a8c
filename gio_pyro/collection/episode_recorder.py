"""Record the running episode of an environment, so that it can be replayed to the same point."""

from collections.abc import Iterable, Mapping
from copy import deepcopy
from typing import Any

import gymnasium as gym
import numpy as np

from gio_pyro.collection.infos import mask_of
from gio_pyro.collection.interface_checks import check_reset, check_step

MAX_RECORDED_STEPS = 100_000
"""Steps up to which an episode is recorded; a longer one cannot be replayed."""


class EpisodeRecorder(gym.Wrapper[Any, Any, Any, Any]):
    """Wrapper that records seed or random state, actions and rewards since the last reset."""

    def __init__(self, env: gym.Env[Any, Any]) -> None:
        super().__init__(env)
        self.seed: int | None = None
        self.origin: Mapping[str, Any] | None = None
        self.actions: list[Any] = []
        self.steps, self.total = 0, 0.0
        self.last: Any = None
        self.mask: Any = None
        """The action mask that came with the last observation, unchecked."""

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[Any, dict[str, Any]]:
        """Reset the environment; without a seed, record its random state."""
        self.seed, self.origin = seed, generator_state(self.env) if seed is None else None
        self.actions, self.steps, self.total = [], 0, 0.0
        given = self.env.reset(seed=seed, **({} if options is None else {"options": options}))
        self.last, info = check_reset(given)
        self.mask = mask_of(self.last, info)
        return self.last, info

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        """Step the environment; the last observation of an episode is copied.

        An environment that reuses its observation's memory would otherwise overwrite it: a `SyncVectorEnv` with
        autoreset in the same step resets before it hands the last observation over (gymnasium issue 1132).
        """
        if self.steps < MAX_RECORDED_STEPS:
            self.actions.append(action.copy() if isinstance(action, np.ndarray) else action)
        self.steps += 1
        self.last, reward, terminated, truncated, info = check_step(self.env.step(action))
        self.mask = mask_of(self.last, info)
        self.total += reward
        if terminated or truncated:
            self.last = deepcopy(self.last)
        return self.last, reward, terminated, truncated, info

    def play(self, seed: int | None, origin: Mapping[str, Any] | None, actions: Iterable[Any]) -> None:
        """Replay a recorded episode: reset with its seed or random state and take its actions."""
        if seed is None:
            set_generator_state(self.env, origin or {})
        self.reset(seed=seed)
        for action in actions:
            self.step(action)


def generator_state(env: gym.Env[Any, Any]) -> Mapping[str, Any] | None:
    """Return the state of an environment's NumPy generator `np_random`, or None if it has none."""
    try:
        generator = env.unwrapped.np_random
    except Exception:  # the property may raise anything
        return None
    return generator.bit_generator.state if isinstance(generator, np.random.Generator) else None


def set_generator_state(env: gym.Env[Any, Any], state: Mapping[str, Any]) -> None:
    """Set a state returned by `generator_state`; NumPy raises for a state of another kind of generator."""
    env.unwrapped.np_random.bit_generator.state = state
