"""Actions for observations as the environment gives them: encode, choose, decode."""

from collections.abc import Callable
from typing import Any

import numpy as np

from gio_pyro.collection.collector import Collector
from gio_pyro.collection.environment_adapter import Array
from gio_pyro.errors import InputError, TrainingError


def predict_actions(
    choose: Callable[[Array, Array | None], Array], collector: Collector, observation: Any, action_masks: Any
) -> Any:
    """Return the action for an observation, or actions for a batch of them.

    Args:
        choose: from states `[N, ...]` and flags of allowed actions `[N, A]`, or None, to values of the site "action".
        collector: encodes observations and decodes actions.
        observation: one value of the observation space, or a batch of N.
        action_masks: flags of allowed actions for it, or None.

    Raises:
        InputError: an observation that is not one of the space, or not finite, or a mask of another shape.
    """
    observations, actions = collector.observations, collector.actions
    many = observations.batched(observation)
    try:
        encoded = observations.encode(observation) if many else observations.encode_one(observation)
    except TrainingError as error:  # here it is the caller's observation, not the environment's
        raise InputError("Expected a finite observation, but got one with NaN or infinity; correct it.") from error
    if not len(encoded):
        return actions.decode(np.zeros((0, *(actions.space.shape or ())), dtype=np.int64))
    states, allowed = collector.environments.masks.add_to_query(encoded, observation, action_masks, many=many)
    chosen = choose(states, allowed)
    return actions.decode(chosen) if many else actions.decode_one(chosen)
