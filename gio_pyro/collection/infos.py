"""What vectors say beside observations, in the forms that Gymnasium, its older versions and others give it."""

from collections.abc import Mapping, Sequence
from typing import Any

NAMES = ("final_obs", "final_observation", "terminal_observation")
"""What the last observation of an episode is called: by Gymnasium, by its versions before 1.0, by Stable-Baselines3."""


def last_observation(info: Any, index: int) -> Any:
    """Return the last observation of the episode that environment `index` has ended, or None where none is told.

    Args:
        info: a dictionary whose entries hold one for each environment, or a list of one dictionary for each.
        index: which of the environments.
    """
    if isinstance(info, Mapping):
        return next((entry(info[name], index) for name in NAMES if info.get(name) is not None), None)
    if isinstance(info, Sequence) and index < len(info) and isinstance(info[index], Mapping):
        return next((info[index][name] for name in NAMES if info[index].get(name) is not None), None)
    return None


def entry(batch: Any, index: int) -> Any:
    """Return one observation of a batch, which Gymnasium keeps as an array of objects and others as they like."""
    if isinstance(batch, dict):
        return {key: entry(value, index) for key, value in batch.items()}
    if isinstance(batch, tuple):
        return tuple(entry(value, index) for value in batch)
    return None if batch is None or index >= len(batch) else batch[index]
