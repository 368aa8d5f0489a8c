"""Actions for observations as the environment gives them: encode, choose, decode."""

from typing import Any

import numpy as np

from gio_pyro.collection.choosing import Act, Memory
from gio_pyro.collection.collector import Collector
from gio_pyro.collection.environment_adapter import Array
from gio_pyro.errors import InputError, TrainingError


def predict_actions(
    act: Act,
    collector: Collector,
    observation: Any,
    action_masks: Any,
    memory: Memory = None,
    episode_start: Any = None,
) -> tuple[Any, Memory]:
    """Return the action for an observation, or actions for a batch of them, and the memory after.

    Args:
        act: chooses.
        collector: encodes observations and decodes actions.
        observation: one value of the observation space, or a batch of N.
        action_masks: flags of allowed actions for it, or None.
        memory: what was returned for the observation before; None where all episodes begin.
        episode_start: `[N]` booleans, which episodes begin; by default none of those with a memory.

    Raises:
        InputError: an observation that is not one of the space, or not finite, or a mask of another shape.
    """
    observations, actions = collector.observations, collector.actions
    many = observations.batched(observation)
    encoded = encode_query(collector, observation, many=many)
    if not len(encoded):
        return actions.decode(np.zeros((0, *(actions.space.shape or ())), dtype=np.int64)), memory
    states, allowed = collector.environments.masks.add_to_query(encoded, observation, action_masks, many=many)
    chosen, after = act(states, allowed, memory, _flags(episode_start, memory, len(encoded)))
    return actions.decode(chosen) if many else actions.decode_one(chosen), after


def encode_query(collector: Collector, observation: Any, *, many: bool) -> Array:
    """Return an observation of the caller, or a batch of them, encoded, `[N, ...]`, without action masks.

    Raises:
        InputError: an observation that is not one of the space, or not finite.
    """
    observations = collector.observations
    try:
        return observations.encode(observation) if many else observations.encode_one(observation)
    except TrainingError as error:  # here it is the caller's observation, not the environment's
        raise InputError("Expected a finite observation, but got one with NaN or infinity; correct it.") from error


def _flags(episode_start: Any, memory: Memory, count: int) -> Array:
    """Return which of `count` episodes begin, `[N]` booleans."""
    if episode_start is None or memory is None:
        return np.full(count, memory is None)
    flags = np.asarray(episode_start).reshape(-1).astype(np.bool_)
    if len(flags) != count:
        raise InputError(
            f"Expected episode_start for each of {count} observations, but got {len(flags)}; give one flag each."
        )
    return flags
