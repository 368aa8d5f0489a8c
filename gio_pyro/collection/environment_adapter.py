"""Base class of what the collector steps: N environments with encoded observations and actions."""

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any

import numpy as np

from gio_pyro.collection.actions import Actions
from gio_pyro.collection.episode_recorder import EpisodeRecorder
from gio_pyro.collection.make import Env, Vector, single_spaces
from gio_pyro.collection.mask_handlers import MaskHandler, SeparateMaskHandler
from gio_pyro.collection.masks import Masks
from gio_pyro.collection.observations import Observations

Array = np.ndarray[Any, np.dtype[Any]]


class CannotRestore(Exception):  # noqa: N818
    """Why running episodes cannot be restored, as half a sentence; always caught in this package."""


@dataclass(frozen=True)
class StepResult:
    """Result of one step of N environments."""

    next_state: Array
    """`[N, ...]`: successors of the actions; of an episode that ended its final state, never the next one's first."""
    reward: Array
    """`[N]` float64, reward units; 0 where not `real`."""
    terminated: Array
    """`[N]` booleans."""
    truncated: Array
    """`[N]` booleans."""
    real: Array
    """`[N]` booleans: True for a transition, False where the environment was only reset and ignored its action."""
    current_state: Array
    """`[N, ...]`: states to act upon next, after `EnvironmentAdapter.reset_ended`; the same array as `next_state` if no
    environment has been reset."""


class EnvironmentAdapter(ABC):
    """N environments with the same spaces.

    Attributes:
        env: the environment, or the vector of them.
        count: N.
        stepped: the innermost object that is stepped; two agents must not step it at once.
        observations: the encoding of observations as states.
        actions: the encoding of actions as values of the site "action".
        masks: the current action masks.
        recorders: record the running episode of each environment; empty if the environments are not accessible.
        ended: `[N]` booleans, True where the episode is over and a reset is due.
        states: the current states `[N, ...]`.
    """

    env: Env | Vector
    recorders: list[EpisodeRecorder]
    states: Array

    def __init__(self, env: Env | Vector, count: int, mask_handler: MaskHandler | None = None) -> None:
        observation_space, action_space = single_spaces(env)
        self.env, self.count = env, count
        self.stepped: Any = env
        self.observations, self.actions = Observations.of(observation_space), Actions.of(action_space)
        handler = SeparateMaskHandler() if mask_handler is None else mask_handler
        self.masks = Masks(environment_name(env), self.actions, handler, count)
        self.ended = np.zeros(count, dtype=np.bool_)

    @abstractmethod
    def reset(self, seed: int | None) -> Array:
        """Reset all environments; returns the first states `[N, ...]`."""

    @abstractmethod
    def reset_ended(self) -> Array | None:
        """Reset the environments whose episodes are over; returns the states `[N, ...]`, None if there was no reset.

        Called before an action is chosen, not after a step, so that no environment is reset without being played.
        """

    @abstractmethod
    def step(self, site_actions: Array) -> StepResult:
        """Take the actions `[N, ...]`, values of the site "action"."""

    def require_restorable(self) -> None:  # noqa: B027 - a single environment always is
        """Raise `CannotRestore` if replaying the recorded episodes would not restore the whole state."""

    def replayed_states(self) -> Array:
        """Return the states `[N, ...]` that the replay of the recorded episodes has reached."""
        return np.concatenate([self.observations.encode_one(recorder.last) for recorder in self.recorders])

    def resume_at(self, states: Array, ended: Array) -> None:
        """Continue from the replayed states `[N, ...]`; `ended` is `[N]` booleans."""
        self.states, self.ended = states, ended


def environment_name(env: Env | Vector) -> str:
    """Return the name of an environment for messages: its id, or its class."""
    spec = getattr(env, "spec", None)
    return str(getattr(spec, "id", None) or type(getattr(env, "unwrapped", env)).__name__)
