"""What the collector steps: N environments, seen through their encodings."""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any

import numpy as np

from gio_pyro.collection.actions import Actions
from gio_pyro.collection.episode_recorder import EpisodeRecorder
from gio_pyro.collection.make import Env, Vector, single_spaces
from gio_pyro.collection.masks import Aside, Keeping, Masks
from gio_pyro.collection.observations import Observations

Array = np.ndarray[Any, np.dtype[Any]]


class CannotRestore(Exception):  # noqa: N818
    """Why running episodes cannot be played again, as half a sentence; never leaves this room."""


@dataclass(frozen=True)
class Outcome:
    """What one step of N environments gave."""

    after: Array
    """States `[N, ...]` that followed the actions: the last of an episode that ended, never the next one's first."""
    reward: Array
    """`[N]` float64, reward units; 0 where not `real`."""
    terminated: Array
    """`[N]` booleans."""
    truncated: Array
    """`[N]` booleans."""
    real: Array
    """`[N]` booleans: False where the environment only began its next episode and took no action."""
    observation: Array
    """States `[N, ...]` to act upon next, once `World.renew` has been asked; `after` itself where no episode ended."""


class World(ABC):
    """N environments with the same spaces.

    Attributes:
        env: the environment, or the vector of them.
        count: N.
        stepped: what two agents must not step at once: the environment as the caller holds it.
        observations: from its observations to states.
        actions: from the site "action" to its actions.
        masks: which actions are allowed; the states have theirs in them, or a table has.
        tapes: what recorded the running episode of each environment; empty where they are out of reach.
        ended: `[N]` booleans: the episodes that are over and wait for a reset.
        seen: the last states `[N, ...]`.
    """

    env: Env | Vector
    tapes: list[EpisodeRecorder]
    seen: Array

    def __init__(self, env: Env | Vector, count: int, keeping: Keeping | None = None) -> None:
        observation_space, action_space = single_spaces(env)
        self.env, self.count = env, count
        self.stepped: Any = env
        self.observations, self.actions = Observations.of(observation_space), Actions.of(action_space)
        self.masks = Masks(name_of(env), self.actions, Aside() if keeping is None else keeping, count)
        self.ended = np.zeros(count, dtype=np.bool_)

    @abstractmethod
    def reset(self, seed: int | None) -> Array:
        """Begin new episodes everywhere; returns their first states `[N, ...]`."""

    @abstractmethod
    def renew(self) -> Array | None:
        """Begin the episodes that wait for somebody to; returns the states `[N, ...]` to act upon, None if none did.

        It is asked before an action is chosen and not after a step, so that nothing is reset that is not played.
        """

    @abstractmethod
    def step(self, site_actions: Array) -> Outcome:
        """Take the actions `[N, ...]`, values of the site "action"."""

    def must_be_restorable(self) -> None:  # noqa: B027 - one environment always is
        """Raise `CannotRestore` where playing the tapes again does not bring everything back."""

    def shown(self) -> Array:
        """Return the states `[N, ...]` that the tapes have been played to."""
        return np.concatenate([self.observations.encode_one(tape.last) for tape in self.tapes])

    def settle(self, seen: Array, ended: Array) -> None:
        """Go on from where the tapes have been played to."""
        self.seen, self.ended = seen, ended


def name_of(env: Env | Vector) -> str:
    """Return what an environment is called in messages: its id, or its class."""
    spec = getattr(env, "spec", None)
    return str(getattr(spec, "id", None) or type(getattr(env, "unwrapped", env)).__name__)
