"""Arrays of somebody else's loop, `[T, N, ...]`: T steps of N environments, as transitions.

The keys are those of RLeXplore (Yuan et al., 2024, arXiv 2405.19548): `observations`, `actions`, `rewards`,
`terminateds`, `truncateds` and `next_observations`. The last are where the actions led, also at the end of an episode:
never the first observation of the next one.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch

from gio_pyro.environments import Actions, Observations
from gio_pyro.errors import InputError, TrainingError
from gio_pyro.types import Transitions

Samples = Mapping[str, Any]

SCALARS = ("rewards", "terminateds", "truncateds")
KEYS = ("observations", "actions", "next_observations", *SCALARS)


def rows_of(samples: Samples, observations: Observations, actions: Actions, device: torch.device) -> Transitions:
    """Return the transitions of `samples`, `[T · N]`, step by step, on the device; log μ is not known and is 0.

    Raises:
        InputError: a key that is missing, shapes that disagree, or values outside their space, NaN among them.
    """
    missing = [key for key in KEYS if key not in samples]
    if missing:
        raise InputError(f"Expected samples with the keys {', '.join(KEYS)}, but {', '.join(missing)} is missing.")
    arrays = {key: _array(samples[key]) for key in KEYS}
    lead = arrays["rewards"].shape
    if len(lead) != 2 or 0 in lead:
        raise InputError(f"Expected rewards of T steps of N environments, [T, N], but got shape {lead}; add an axis.")
    flat = {key: _flat(key, array, lead) for key, array in arrays.items()}
    try:
        state, after = (observations.encode(flat[key]) for key in ("observations", "next_observations"))
        taken = actions.encode(flat["actions"])
    except (TrainingError, ValueError, IndexError) as error:
        raise InputError(f"Expected samples of the environment's spaces, but: {error}") from error
    if not np.isfinite(flat["rewards"]).all():
        raise InputError("Expected finite rewards, but got NaN or infinity; correct the samples.")
    numbers = {"state": state, "next_state": after, "action": taken}
    tensors = {name: torch.as_tensor(array).to(device) for name, array in numbers.items()}
    count = len(state)
    return Transitions(
        **tensors,
        reward=torch.as_tensor(flat["rewards"].astype(np.float32)).to(device),
        terminated=torch.as_tensor(flat["terminateds"].astype(np.bool_)).to(device),
        truncated=torch.as_tensor(flat["truncateds"].astype(np.bool_)).to(device),
        log_behaviour=torch.zeros(count, device=device),
        weight=torch.ones(count, device=device),
    )


def _array(values: Any) -> Any:
    return values.detach().cpu().numpy() if isinstance(values, torch.Tensor) else np.asarray(values)


def _flat(key: str, array: Any, lead: tuple[int, ...]) -> Any:
    if array.shape[:2] != lead or (key in SCALARS and array.ndim != 2):
        raise InputError(f"Expected {key} of shape [{lead[0]}, {lead[1]}, ...] as the rewards, but got {array.shape}.")
    return array.reshape(lead[0] * lead[1], *array.shape[2:])
