"""Samples of another library's loop, arrays `[T, N, ...]` of T steps of N environments, read as transitions.

The keys are those of RLeXplore (Yuan et al., 2024, arXiv 2405.19548): `observations`, `actions`, `rewards`,
`terminateds`, `truncateds` and `next_observations`. At the end of an episode `next_observations` hold its last
observation, never the first one of the next episode. Observations of a Dict or Tuple space are dictionaries or tuples
of arrays `[T, N, ...]`. Two keys are optional, integers `[T, N]`: `streams`, the index of the environment of each
transition, by default its column; and `numbers`, what `IntrinsicReward.observe` returned for it.
"""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from gymnasium import Space
from gymnasium.spaces import Box, Dict, Discrete, MultiDiscrete, Tuple
from torch import Tensor

from gio_pyro.collection.actions import Actions, integer_bounds
from gio_pyro.collection.observations import Observations
from gio_pyro.errors import InputError, TrainingError, describe_error
from gio_pyro.types import Transitions
from gio_pyro.utils.trees import tree_map

Samples = Mapping[str, Any]
Array = np.ndarray[Any, np.dtype[Any]]

FLAGS = ("terminateds", "truncateds")
SCALARS = ("rewards", *FLAGS)
SEEN = ("observations", "next_observations")
KEYS = ("observations", "actions", "next_observations", *SCALARS)
OPTIONAL = ("streams", "numbers")
AT_ONCE = 1_024
"""Transitions that are encoded together, which bounds the memory for any T and N."""


class Read:
    """Validated samples, encoded some steps at a time.

    Args:
        samples: arrays by key.
        observations: the encoder of observations as states.
        actions: the encoder of the environment's actions as values of the site "action".
        device: the device of the transitions.

    Attributes:
        shape: (T, N).

    Raises:
        InputError: a missing key, or inconsistent shapes.
    """

    def __init__(self, samples: Samples, observations: Observations, actions: Actions, device: torch.device) -> None:
        if not isinstance(samples, Mapping):
            raise InputError(
                f"Expected samples by their names, {', '.join(KEYS)}, but got {type(samples).__name__}; give a dict."
            )
        missing = [key for key in KEYS if key not in samples]
        if missing:
            raise InputError(
                f"Expected samples with the keys {', '.join(KEYS)}, but {', '.join(missing)} is missing; add it."
            )
        self.observations, self.actions, self.device = observations, actions, device
        self.flat = {key: _numbers(key, samples[key]) for key in ("actions", *SCALARS)}
        self.flat |= {key: _numbers(key, samples[key]) for key in OPTIONAL if samples.get(key) is not None}
        lead = self.flat["rewards"].shape
        lead = lead[:2] if len(lead) == 3 and lead[2] == 1 else lead
        if len(lead) != 2 or 0 in lead:
            raise InputError(
                f"Expected rewards of T steps of N environments, [T, N], but got shape {lead}; add an axis."
            )
        self.shape: tuple[int, int] = (int(lead[0]), int(lead[1]))
        self.flat = {key: _shaped(key, array, self.shape) for key, array in self.flat.items()}
        self.seen = {key: self._sliceable(key, samples[key]) for key in SEEN}
        self.tensors = isinstance(first_of(samples["observations"]), Tensor)

    def _sliceable(self, key: str, tree: Any) -> Any:
        return leaves(lambda leaf, space: _leaf(key, leaf, self.shape), tree, self.observations.raw)

    def __len__(self) -> int:
        return self.shape[0] * self.shape[1]

    def pieces(self) -> Iterator[slice]:
        """Yield slices of at most `AT_ONCE` transitions each, or of one step."""
        steps = max(1, AT_ONCE // self.shape[1])
        for start in range(0, self.shape[0], steps):
            yield slice(start * self.shape[1], min(start + steps, self.shape[0]) * self.shape[1])

    def optional(self, key: str) -> list[int] | None:
        """Return the integers of an optional key, one for each transition, or None where the key is missing."""
        if key not in self.flat:
            return None
        if (self.flat[key] % 1 != 0).any():
            raise InputError(f"Expected {key} of whole numbers, but got others; give integers [T, N].")
        found: list[int] = self.flat[key].astype(np.int64).tolist()
        return found

    def rows(self, place: slice) -> Transitions:
        """Return the transitions of a slice, `[B]`, in order of time, on the device; log μ is unknown and set to 0.

        Raises:
            InputError: values outside their space, such as NaN.
        """
        flat = {key: array[place] for key, array in self.flat.items()}
        _check_actions(flat["actions"], self.actions.raw)
        try:
            state, after = (self._states(key, place) for key in SEEN)
            taken = self.actions.encode(flat["actions"].reshape(len(state), *(self.actions.raw.shape or ())))
        except (TrainingError, ValueError, IndexError) as error:
            raise InputError(f"Expected samples of the environment's spaces, but: {error}") from error
        with np.errstate(over="ignore"):
            reward = flat["rewards"].astype(np.float32)
        if not np.isfinite(reward).all():
            raise InputError("Expected finite rewards, but got NaN or infinity in 32 bits; correct the samples.")
        columns = {"state": state, "next_state": after, "action": taken, "reward": reward}
        columns |= {flag: flat[f"{flag}s"].astype(np.bool_) for flag in ("terminated", "truncated")}
        tensors = {name: torch.as_tensor(array).to(self.device) for name, array in columns.items()}
        count = len(state)
        weight = torch.ones(count, device=self.device)
        return Transitions(**tensors, log_behaviour=torch.zeros(count, device=self.device), weight=weight)

    def _states(self, key: str, place: slice) -> Array:
        count = self.shape[1]
        steps = slice(place.start // count, place.stop // count)
        space = self.observations.raw
        return self.observations.encode(
            leaves(lambda leaf, one: _values(key, leaf[steps], count, one), self.seen[key], space)
        )


def rows_of(samples: Samples, observations: Observations, actions: Actions, device: torch.device) -> Transitions:
    """Return the transitions of `samples`, `[T · N]`, in order of time, on the device; log μ is unknown and set to 0.

    Raises:
        InputError: a missing key, inconsistent shapes, or values outside their space, such as NaN.
    """
    read = Read(samples, observations, actions, device)
    return read.rows(slice(0, len(read)))


def steps_of(samples: Samples, steps: slice) -> dict[str, Any]:
    """Return some steps of all environments, for the keys that are not optional."""
    return {key: tree_map(lambda leaf: leaf[steps], samples[key]) for key in KEYS}


def concatenated(samples: Sequence[Samples]) -> dict[str, Any]:
    """Return the same steps of several environments, `[T, N1 + N2 + ...]`, for the keys that are not optional."""
    return {key: tree_map(lambda *leaves: np.concatenate(leaves, 1), *(one[key] for one in samples)) for key in KEYS}


def leaves(change: Callable[[Any, Space[Any]], Any], tree: Any, space: Space[Any]) -> Any:
    """Return a tree of observations with every array `leaf` replaced by `change(leaf, its space)`.

    Raises:
        InputError: missing entries of the space.
    """
    if isinstance(space, Dict | Tuple):
        named = dict(space.spaces.items() if isinstance(space, Dict) else enumerate(space.spaces))
        try:
            entries = {key: tree[key] for key in named}
        except (KeyError, IndexError, TypeError) as error:
            raise InputError(
                f"Expected observations with the entries {', '.join(map(str, named))}, but got "
                f"{describe_error(error)}; give a dictionary or tuple of arrays."
            ) from error
        parts = {key: leaves(change, entries[key], part) for key, part in named.items()}
        return parts if isinstance(space, Dict) else tuple(parts.values())
    return change(tree, space)


def first_of(tree: Any) -> Any:
    """Return the first array of a tree of observations."""
    while isinstance(tree, Mapping | tuple) and tree:
        tree = next(iter(tree.values())) if isinstance(tree, Mapping) else tree[0]
    return tree


def _array(key: str, values: Any) -> Any:
    try:
        return values.detach().cpu().numpy() if isinstance(values, Tensor) else np.asarray(values)
    except (ValueError, TypeError, RuntimeError) as error:
        raise InputError(
            f"Expected {key} as an array, but got {describe_error(error)}; give arrays of numbers."
        ) from error


def _numbers(key: str, values: Any) -> Array:
    found = _array(key, values)
    if found.dtype.kind not in "biuf":
        raise InputError(f"Expected {key} of numbers, but got {found.dtype}; give arrays of numbers.")
    if key in FLAGS and found.dtype.kind != "b" and not ((found == 0) | (found == 1)).all():
        raise InputError(f"Expected {key} of True and False, or 1 and 0, but got others; correct the samples.")
    return np.asarray(found)


def _shaped(key: str, array: Array, lead: tuple[int, int]) -> Array:
    if key != "actions" and array.shape[2:] == (1,):
        array = array[..., 0]
    if array.shape[:2] != lead or (key != "actions" and array.ndim != 2):
        raise InputError(f"Expected {key} of shape [{lead[0]}, {lead[1]}, ...] as the rewards, but got {array.shape}.")
    return array.reshape(lead[0] * lead[1], *array.shape[2:])


def _leaf(key: str, leaf: Any, lead: tuple[int, int]) -> Any:
    """Return an array of observations as it is, or one that can be sliced."""
    found = leaf if isinstance(leaf, Tensor) else _array(key, leaf)
    if tuple(found.shape[:2]) != lead:
        raise InputError(
            f"Expected {key} of shape [{lead[0]}, {lead[1]}, ...] as the rewards, but got {tuple(found.shape)}."
        )
    return found


def _values(key: str, leaf: Any, count: int, space: Space[Any]) -> Array:
    """Return observations `[T, N, ...]` as `[T · N, ...]`; whole numbers as integers where their space has integers."""
    array: Array = _array(key, leaf)
    rest, own = array.shape[2:], space.shape or ()
    if rest != own and [n for n in rest if n != 1] == [n for n in own if n != 1]:
        rest = own
    array = array.reshape(len(array) * count, *rest)
    pictures = isinstance(space, Box) and space.dtype == np.uint8
    if array.dtype.kind in "fb" and (pictures or isinstance(space, Discrete | MultiDiscrete)):
        whole = np.isfinite(array).all() and (np.abs(array) < 2**53).all() and (array == np.floor(array)).all()
        return array.astype(np.int64) if whole else array
    return array


def _check_actions(batch: Any, space: Space[Any]) -> None:
    """Raise `InputError` for actions `[B, ...]` outside the space; those outside a Box are clipped later.

    A Discrete action may have an axis of size 1, and a vector may be flattened.
    """
    each = math.prod(space.shape or ())
    if math.prod(batch.shape[1:]) != each:
        raise InputError(
            f"Expected actions of {space}, but one has shape {batch.shape[1:]}; give one for each transition."
        )
    if isinstance(space, Box):
        wrong = ~np.isfinite(batch)
    else:
        least, most = integer_bounds(space)
        values = batch.reshape(len(batch), each)
        wrong = ~((values >= least) & (values <= most) & (values == np.round(values)))
    if wrong.any():
        raise InputError(
            f"Expected actions of {space}, but got {batch.reshape(wrong.shape)[wrong][0]}; correct the samples."
        )
