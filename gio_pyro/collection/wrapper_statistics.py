"""Running statistics of normalisation wrappers: freeze, read and load them, and read unnormalised rewards."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from typing import Any

import gymnasium as gym
import numpy as np
import torch
from gymnasium.vector import VectorWrapper

from gio_pyro.collection.wrappers import REWARD_NORMALISERS, all_layers, sub_envs, wrapper_chain

Array = np.ndarray[Any, np.dtype[Any]]
Record = list[list[dict[str, Any]]]
"""For each chain of wrappers (see `all_layers`), and in it for each wrapper with statistics, its tensors by name."""

UPDATE_FLAGS = ("_update_running_mean", "training")
"""Attributes of Gymnasium's wrappers, and of `VecNormalize`, that switch updates on."""
MOMENTS = ("obs_rms", "return_rms", "ret_rms")
EPISODE_ATTRIBUTES = ("discounted_reward", "accumulated_reward", "_prev_dones", "returns")
"""Attributes that belong to the running episodes."""
MOMENT_PARTS = ("mean", "var", "count")
EMPTY_COUNT = 1e-3
"""Count below which statistics are empty; it starts at 1e-4."""


def layers_with_statistics(env: Any) -> list[Any]:
    """Return the wrappers with running statistics of observations or rewards."""
    return [layer for layer in all_layers(env) if _has_statistics(layer)]


def _has_statistics(layer: Any) -> bool:
    return any(name in vars(layer) for name in MOMENTS) and any(name in vars(layer) for name in UPDATE_FLAGS)


@contextmanager
def freeze_statistics(env: Any) -> Iterator[None]:
    """Freeze the running statistics of an environment inside the block."""
    before = [
        (vars(layer), name, vars(layer)[name])
        for layer in layers_with_statistics(env)
        for name in UPDATE_FLAGS
        if name in vars(layer)
    ]
    for attributes, name, _ in before:
        attributes[name] = False
    try:
        yield
    finally:
        for attributes, name, value in before:
            attributes[name] = value


class _RewardRecorder(gym.Wrapper[Any, Any, Any, Any]):
    """Records the reward of the last step."""

    last: Any = 0.0

    def step(self, action: Any) -> Any:
        """Step the environment."""
        found = self.env.step(action)
        self.last = np.asarray(found[1], dtype=np.float64).item()
        return found


class _VectorRewardRecorder(VectorWrapper[Any, Any, Any, Any, Any]):
    """Records the rewards of the last step."""

    last: Any = 0.0

    def step(self, actions: Any) -> Any:
        """Step the environments."""
        found = self.env.step(actions)
        self.last = np.array(found[1], dtype=np.float64).reshape(-1)
        return found


@contextmanager
def unnormalised_rewards(env: Any) -> Iterator[Callable[[Any], Any]]:
    """Yield a function from the rewards of a step to its unnormalised ones, below the innermost normalising wrapper."""
    with ExitStack() as changed:
        changed.enter_context(_disable_vec_normalize(env))
        outer = changed.enter_context(_record_rewards(env))
        inner = [changed.enter_context(_record_rewards(one)) for one in sub_envs(env)]

        def below(given: Any) -> Any:
            rewards = given if outer is None else outer.last
            if any(recorder is not None for recorder in inner):
                rewards = np.array(rewards, dtype=np.float64)
                for row, recorder in enumerate(inner):
                    rewards[row] = rewards[row] if recorder is None else float(recorder.last)
            return rewards

        yield below


@contextmanager
def _disable_vec_normalize(env: Any) -> Iterator[None]:
    """Switch off the reward normalisation of each `VecNormalize` inside the block."""
    found = [vars(layer) for layer in wrapper_chain(env) if "norm_reward" in vars(layer)]
    before = [attributes["norm_reward"] for attributes in found]
    for attributes in found:
        attributes["norm_reward"] = False
    try:
        yield
    finally:
        for attributes, value in zip(found, before, strict=True):
            attributes["norm_reward"] = value


@contextmanager
def _record_rewards(env: Any) -> Iterator[Any]:
    """Insert a recorder below the innermost wrapper that normalises rewards; yields None if there is none."""
    found = [layer for layer in wrapper_chain(env) if isinstance(layer, REWARD_NORMALISERS)]
    if not found:
        yield None
        return
    within: Any = found[-1].env
    found[-1].env = _VectorRewardRecorder(within) if isinstance(found[-1], VectorWrapper) else _RewardRecorder(within)
    try:
        yield found[-1].env
    finally:
        found[-1].env = within


def read_statistics(env: Any) -> Record:
    """Return copies of the running statistics of an environment, as tensors and plain values."""
    return [[_layer_record(layer) for layer in each] for each in _chains_with_statistics(env)]


def _chains_with_statistics(env: Any) -> list[list[Any]]:
    return [
        [layer for layer in each if _has_statistics(layer)]
        for each in [wrapper_chain(env), *map(wrapper_chain, sub_envs(env))]
    ]


def _running_moments(layer: Any) -> dict[str, Any]:
    """Return the running means and variances of a layer by name; `VecNormalize` has one for each key of a Dict."""
    found: dict[str, Any] = {}
    for name in MOMENTS:
        kept = vars(layer).get(name)
        if isinstance(kept, dict):
            found |= {f"{name}[{key}]": one for key, one in kept.items()}
        elif kept is not None:
            found[name] = kept
    return found


def _layer_record(layer: Any) -> dict[str, Any]:
    found: dict[str, Any] = {"wrapper": type(layer).__name__}
    for name, one in _running_moments(layer).items():
        found |= {f"{name}.{part}": _to_tensor(getattr(one, part)) for part in MOMENT_PARTS}
    return found | {name: _to_tensor(vars(layer)[name]) for name in EPISODE_ATTRIBUTES if name in vars(layer)}


def _to_tensor(value: Any) -> Any:
    if type(value) in (float, int):
        return float(value)
    return torch.from_numpy(np.array(value))  # keeps the dtype of NumPy scalars


def load_statistics(env: Any, record: Record) -> bool:
    """Load what `read_statistics` returned; returns False, without a change, if the wrappers are not the same.

    If the number of environments differs, each gets the statistics of the first. Values of running episodes are loaded
    if their shapes agree.

    Raises:
        ValueError: an empty record, or statistics that are not finite.
    """
    if not record:
        raise ValueError("no record of running statistics")
    mine, theirs = _per_environment(_chains_with_statistics(env)), _per_environment(record)
    if not all(np.isfinite(_to_array(value)).all() for value in _record_values(theirs)):
        raise ValueError("running statistics that are not finite")
    if len(mine) != len(theirs):
        theirs = theirs[:1] * len(mine)
    if [[_record_shape(_layer_record(layer)) for layer in each] for each in mine] != [
        [_record_shape(one) for one in each] for each in theirs
    ]:
        return False
    for layers_of_one, records_of_one in zip(mine, theirs, strict=True):
        for layer, one in zip(layers_of_one, records_of_one, strict=True):
            _load_layer(layer, one)
    return True


def _per_environment(chains: list[list[Any]]) -> list[list[Any]]:
    """Return for each environment the entries of the vector's wrappers followed by those of its own."""
    return [chains[0] + own for own in chains[1:]] or chains


def _record_values(records: list[list[Any]]) -> Iterator[Any]:
    for one in (one for each in records for one in each):
        yield from (value for name, value in one.items() if name != "wrapper")


def _record_shape(one: Mapping[str, Any]) -> tuple[Any, ...]:
    """Return the wrapper's name and the shapes of its statistics, which must agree before they are loaded."""
    return (one["wrapper"], *sorted((name, tuple(np.shape(value))) for name, value in one.items() if "." in name))


def _load_layer(layer: Any, record: Mapping[str, Any]) -> None:
    for name, one in _running_moments(layer).items():
        for part in MOMENT_PARTS:
            setattr(one, part, _to_array(record[f"{name}.{part}"]))
    for name in EPISODE_ATTRIBUTES:
        here, there = vars(layer).get(name), record.get(name)
        if here is not None and there is not None and np.shape(here) == np.shape(there):
            vars(layer)[name] = _to_array(there)


def _to_array(value: Any) -> Any:
    return value.numpy().copy() if isinstance(value, torch.Tensor) else float(value)


def has_empty_statistics(env: Any) -> bool:
    """Whether an environment has running statistics that have not been updated yet."""
    counts = [float(one.count) for layer in layers_with_statistics(env) for one in _running_moments(layer).values()]
    return bool(counts) and all(count < EMPTY_COUNT for count in counts)
