"""The data that a filter is judged on: whole episodes that the agent plays, with the hidden states where these show."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import gymnasium as gym
import numpy as np
import torch
from gymnasium.vector import VectorEnv
from torch import Tensor

from gio_pyro.beliefs.beliefs import Beliefs
from gio_pyro.beliefs.fit import whole_episodes
from gio_pyro.beliefs.pieces import Piece
from gio_pyro.collection import Collector, Env
from gio_pyro.collection.make import Vector
from gio_pyro.diagnostics.evidence import OTHER_SEED
from gio_pyro.errors import InputError

if TYPE_CHECKING:
    from gio_pyro.agent import GIO

HIDDEN = "state"
"""The key of the hidden state in `info`, as the worlds in `gio_pyro.envs` have it."""


@dataclass(frozen=True)
class Episodes:
    """B episodes of up to T steps, from their beginning."""

    piece: Piece
    hidden: Tensor | None
    """The state of the environment at each of T + 1 instants, `[B, T + 1, ...]`; None where it does not show."""


class Watched(gym.Wrapper[Any, Any, Any, Any]):
    """Records `info["state"]` of each episode, and is otherwise the environment.

    Attributes:
        episodes: lists of states, None where there is none.
    """

    def __init__(self, env: Env) -> None:
        super().__init__(env)
        self.episodes: list[list[Any]] = []

    def reset(self, **given: Any) -> tuple[Any, dict[str, Any]]:
        """Reset the environment."""
        observation, info = self.env.reset(**given)
        self.episodes.append([info.get(HIDDEN)])
        return observation, info

    def step(self, action: Any) -> tuple[Any, Any, bool, bool, dict[str, Any]]:
        """Take an action."""
        observation, reward, terminated, truncated, info = self.env.step(action)
        self.episodes[-1].append(info.get(HIDDEN))
        return observation, reward, terminated, truncated, info

    def states(self) -> Tensor | None:
        """Return the states of all episodes, the last one repeated in shorter ones, `[B, T + 1, ...]`."""
        played = [one for one in self.episodes if len(one) > 1]
        if any(state is None for one in played for state in one):
            return None
        longest = max(map(len, played))
        return torch.as_tensor(np.array([one + [one[-1]] * (longest - len(one)) for one in played]))


def require_world_model(agent: GIO) -> Beliefs:
    """Return the beliefs of an agent; raises `InputError` for one without a world model."""
    if not isinstance(agent.beliefs, Beliefs):
        raise InputError(
            "Expected an agent with a world model, but this one sees the state; pass world_model=, such as "
            "RecurrentStateSpace."
        )
    return agent.beliefs


def episodes(agent: GIO, steps: int, environment: str | Env | Vector | None = None) -> Episodes:
    """Return `steps` transitions of the current policy in a copy of the environment, or in the given one, as episodes.

    The last episode may be cut.

    Raises:
        InputError: an agent without a world model, an environment that cannot be copied, or one with other spaces.
    """
    beliefs = require_world_model(agent)
    with agent.collector.evaluation_environment(environment) as env:
        watched = env if isinstance(env, VectorEnv) else Watched(env)
        seed = (agent.settings.seed + OTHER_SEED) % 2**31
        handler = agent.collector.environments.masks.handler
        collector = Collector(watched, seed=seed, device=agent.device, mask_handler=handler)
        inner = agent.actor_critic.behaviour(uniform_share=0.0)
        collected = collector.collect(beliefs.elsewhere(inner, collector.environments.count), steps)
    replay = beliefs.replay(len(collected.rows), None).seen
    replay.add(collected.rows, *collected.links())
    hidden = watched.states() if isinstance(watched, Watched) else None
    return Episodes(whole_episodes(replay), hidden if hidden is None else hidden.to(agent.device))
