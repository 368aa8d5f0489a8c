"""Read what vector environments report in `info`, in the layouts of Gymnasium, its older versions and others.

Final observations of episodes, and action masks: `info["action_mask"]` is Gymnasium's convention, one flag for each
action; an entry "action_mask" of a dictionary observation is PettingZoo's.
"""

from collections.abc import Mapping, Sequence
from typing import Any

FINAL_KEYS = ("final_obs", "final_observation", "terminal_observation")
"""Keys of an episode's final observation: in Gymnasium, Gymnasium before 1.0, and Stable-Baselines3."""
MASK = "action_mask"
"""Key of the action mask, in infos and in dictionary observations."""


def last_observation(info: Any, index: int) -> Any:
    """Return the final observation of the episode that environment `index` has ended, or None if `info` has none.

    Args:
        info: a dictionary whose entries hold one value for each environment, or a list of one dictionary for each.
        index: of the environment.
    """
    if isinstance(info, Mapping):
        return next((entry(info[name], index) for name in FINAL_KEYS if info.get(name) is not None), None)
    if isinstance(info, Sequence) and index < len(info) and isinstance(info[index], Mapping):
        return next((info[index][name] for name in FINAL_KEYS if info[index].get(name) is not None), None)
    return None


def entry(batch: Any, index: int) -> Any:
    """Return one observation of a batch: nested dictionaries and tuples, arrays, or lists of objects."""
    if isinstance(batch, dict):
        return {key: entry(value, index) for key, value in batch.items()}
    if isinstance(batch, tuple):
        return tuple(entry(value, index) for value in batch)
    return None if batch is None or index >= len(batch) else batch[index]


def mask_of(observation: Any, info: Any) -> Any:
    """Return the action mask that came with an observation, unchecked; None if there is none."""
    found = info.get(MASK) if isinstance(info, Mapping) else None
    return observation.get(MASK) if found is None and isinstance(observation, Mapping) else found


def masks_of(observation: Any, info: Any, count: int) -> list[Any]:
    """Return the mask of each of N environments, given batched observations and batched or listed infos."""
    if isinstance(info, Mapping) and MASK in info:
        return [_mask_in_row(info, row) for row in range(count)]
    if isinstance(observation, Mapping) and MASK in observation:
        return [entry(observation[MASK], row) for row in range(count)]
    if isinstance(info, Sequence) and len(info) == count:
        return [mask_of(None, one) for one in info]
    return [None] * count


def last_mask(observation: Any, info: Any, row: int) -> Any:
    """Return the mask that came with the final observation of the episode that environment `row` has ended."""
    if isinstance(info, Sequence):
        info = info[row] if row < len(info) else None
        return mask_of(observation, info.get("final_info") if isinstance(info, Mapping) else None)
    final = info.get("final_info")
    if isinstance(final, Mapping) and MASK in final:
        return _mask_in_row(final, row)
    return mask_of(observation, None if final is None or isinstance(final, Mapping) else entry(final, row))


def _mask_in_row(info: Mapping[str, Any], row: int) -> Any:
    present = info.get(f"_{MASK}")
    return None if present is not None and not present[row] else entry(info[MASK], row)
