"""Arrays of somebody else's loop, `[T, N, ...]`: T steps of N environments, as transitions.

The keys are those of RLeXplore (Yuan et al., 2024, arXiv 2405.19548): `observations`, `actions`, `rewards`,
`terminateds`, `truncateds` and `next_observations`. The last are where the actions led, also at the end of an episode:
never the first observation of the next one.
"""

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
from gymnasium import Space
from gymnasium.spaces import Box

from gio_pyro.environments import Actions, Observations
from gio_pyro.environments.actions import whole_bounds
from gio_pyro.errors import InputError, TrainingError, told
from gio_pyro.types import Transitions

Samples = Mapping[str, Any]

FLAGS = ("terminateds", "truncateds")
SCALARS = ("rewards", *FLAGS)
KEYS = ("observations", "actions", "next_observations", *SCALARS)


def rows_of(samples: Samples, observations: Observations, actions: Actions, device: torch.device) -> Transitions:
    """Return the transitions of `samples`, `[T · N]`, step by step, on the device; log μ is not known and is 0.

    Raises:
        InputError: a key that is missing, shapes that disagree, or values outside their space, NaN among them.
    """
    if not isinstance(samples, Mapping):
        raise InputError(
            f"Expected samples by their names, {', '.join(KEYS)}, but got {type(samples).__name__}; give a dict."
        )
    missing = [key for key in KEYS if key not in samples]
    if missing:
        raise InputError(
            f"Expected samples with the keys {', '.join(KEYS)}, but {', '.join(missing)} is missing; add it."
        )
    arrays = {key: _array(key, samples[key]) for key in KEYS}
    lead = arrays["rewards"].shape
    if len(lead) != 2 or 0 in lead:
        raise InputError(f"Expected rewards of T steps of N environments, [T, N], but got shape {lead}; add an axis.")
    flat = {key: _flat(key, array, lead) for key, array in arrays.items()}
    _check_actions(flat["actions"], actions.raw)
    try:
        state, after = (observations.encode(flat[key]) for key in ("observations", "next_observations"))
        taken = actions.encode(flat["actions"].reshape(len(state), *(actions.raw.shape or ())))
    except (TrainingError, ValueError, IndexError) as error:
        raise InputError(f"Expected samples of the environment's spaces, but: {error}") from error
    with np.errstate(over="ignore"):
        reward = flat["rewards"].astype(np.float32)
    if not np.isfinite(reward).all():
        raise InputError("Expected finite rewards, but got NaN or infinity in 32 bits; correct the samples.")
    numbers = {"state": state, "next_state": after, "action": taken}
    tensors = {name: torch.as_tensor(array).to(device) for name, array in numbers.items()}
    count = len(state)
    return Transitions(
        **tensors,
        reward=torch.as_tensor(reward).to(device),
        terminated=torch.as_tensor(flat["terminateds"].astype(np.bool_)).to(device),
        truncated=torch.as_tensor(flat["truncateds"].astype(np.bool_)).to(device),
        log_behaviour=torch.zeros(count, device=device),
        weight=torch.ones(count, device=device),
    )


def _array(key: str, values: Any) -> Any:
    try:
        found = values.detach().cpu().numpy() if isinstance(values, torch.Tensor) else np.asarray(values)
    except (ValueError, TypeError, RuntimeError) as error:
        raise InputError(f"Expected {key} as an array, but got {told(error)}; give arrays of numbers.") from error
    if key in (*SCALARS, "actions") and found.dtype.kind not in "biuf":
        raise InputError(f"Expected {key} of numbers, but got {found.dtype}; give arrays of numbers.")
    if key in FLAGS and not np.isin(found, (0, 1)).all():
        raise InputError(f"Expected {key} of True and False, or 1 and 0, but got others; correct the samples.")
    return found


def _check_actions(batch: Any, space: Space[Any]) -> None:
    """Raise `InputError` for actions `[B, ...]` that are not of the space; numbers out of a Box count as on its edge.

    A Discrete action may have an axis of its own, and a vector may be flat.
    """
    each = math.prod(space.shape or ())
    if math.prod(batch.shape[1:]) != each:
        raise InputError(
            f"Expected actions of {space}, but one has shape {batch.shape[1:]}; give one for each transition."
        )
    if isinstance(space, Box):
        wrong = ~np.isfinite(batch)
    else:
        least, most = whole_bounds(space)
        values = batch.reshape(len(batch), each)
        wrong = ~((values >= least) & (values <= most) & (values == np.round(values)))
    if wrong.any():
        raise InputError(
            f"Expected actions of {space}, but got {batch.reshape(wrong.shape)[wrong][0]}; correct the samples."
        )


def _flat(key: str, array: Any, lead: tuple[int, ...]) -> Any:
    if array.shape[:2] != lead or (key in SCALARS and array.ndim != 2):
        raise InputError(f"Expected {key} of shape [{lead[0]}, {lead[1]}, ...] as the rewards, but got {array.shape}.")
    return array.reshape(lead[0] * lead[1], *array.shape[2:])
