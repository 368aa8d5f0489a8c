"""The running statistics that wrappers keep: held still, read, taken over, and what the reward is below them."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from typing import Any

import gymnasium as gym
import numpy as np
import torch
from gymnasium.vector import VectorWrapper

from gio_pyro.collection.layers import REWARD_NORMALISERS, chain, inside, layers

Array = np.ndarray[Any, np.dtype[Any]]
Record = list[list[dict[str, Any]]]
"""For each chain of layers (see `layers`), and in it for each layer with statistics, its tensors by name."""

FLAGS = ("_update_running_mean", "training")
"""What says whether Gymnasium's wrappers, or `VecNormalize`, go on counting."""
SUMS = ("obs_rms", "return_rms", "ret_rms")
RUNNING = ("discounted_reward", "accumulated_reward", "_prev_dones", "returns")
"""What belongs to the running episodes."""
PARTS = ("mean", "var", "count")
UNSEEN = 1e-3
"""Below this count nothing has been seen: it begins at 1e-4."""


def counting(env: Any) -> list[Any]:
    """Return the layers that keep running statistics of observations or rewards."""
    return [layer for layer in layers(env) if _counts(layer)]


def _counts(layer: Any) -> bool:
    return any(name in vars(layer) for name in SUMS) and any(name in vars(layer) for name in FLAGS)


@contextmanager
def frozen(env: Any) -> Iterator[None]:
    """Hold the running statistics of an environment as they are."""
    before = [
        (vars(layer), name, vars(layer)[name]) for layer in counting(env) for name in FLAGS if name in vars(layer)
    ]
    for attributes, name, _ in before:
        attributes[name] = False
    try:
        yield
    finally:
        for attributes, name, value in before:
            attributes[name] = value


class _Meter(gym.Wrapper[Any, Any, Any, Any]):
    """Remembers the reward of the last step."""

    last: Any = 0.0

    def step(self, action: Any) -> Any:
        """Step the environment."""
        found = self.env.step(action)
        self.last = np.asarray(found[1], dtype=np.float64).item()
        return found


class _VectorMeter(VectorWrapper[Any, Any, Any, Any, Any]):
    """Remembers the rewards of the last step."""

    last: Any = 0.0

    def step(self, actions: Any) -> Any:
        """Step the environments."""
        found = self.env.step(actions)
        self.last = np.array(found[1], dtype=np.float64).reshape(-1)
        return found


@contextmanager
def own_rewards(env: Any) -> Iterator[Callable[[Any], Any]]:
    """Give a function from the rewards of a step to those below the innermost wrapper that normalises rewards."""
    with ExitStack() as changed:
        changed.enter_context(_raw(env))
        outer = changed.enter_context(_metered(env))
        inner = [changed.enter_context(_metered(one)) for one in inside(env)]

        def below(given: Any) -> Any:
            rewards = given if outer is None else outer.last
            if any(meter is not None for meter in inner):
                rewards = np.array(rewards, dtype=np.float64)
                for row, meter in enumerate(inner):
                    rewards[row] = rewards[row] if meter is None else float(meter.last)
            return rewards

        yield below


@contextmanager
def _raw(env: Any) -> Iterator[None]:
    """Let each `VecNormalize` hand on the rewards as they come."""
    found = [vars(layer) for layer in chain(env) if "norm_reward" in vars(layer)]
    before = [attributes["norm_reward"] for attributes in found]
    for attributes in found:
        attributes["norm_reward"] = False
    try:
        yield
    finally:
        for attributes, value in zip(found, before, strict=True):
            attributes["norm_reward"] = value


@contextmanager
def _metered(env: Any) -> Iterator[Any]:
    """Put a meter below the innermost wrapper that normalises rewards; None where there is none."""
    found = [layer for layer in chain(env) if isinstance(layer, REWARD_NORMALISERS)]
    if not found:
        yield None
        return
    within: Any = found[-1].env
    found[-1].env = _VectorMeter(within) if isinstance(found[-1], VectorWrapper) else _Meter(within)
    try:
        yield found[-1].env
    finally:
        found[-1].env = within


def statistics_of(env: Any) -> Record:
    """Return copies of the running statistics of an environment, as tensors and plain values."""
    return [[_read(layer) for layer in each] for each in _counting_chains(env)]


def _counting_chains(env: Any) -> list[list[Any]]:
    return [[layer for layer in each if _counts(layer)] for each in [chain(env), *map(chain, inside(env))]]


def _sums(layer: Any) -> dict[str, Any]:
    """Return the running means and variances of a layer by name; `VecNormalize` has one for each key of a Dict."""
    found: dict[str, Any] = {}
    for name in SUMS:
        kept = vars(layer).get(name)
        if isinstance(kept, dict):
            found |= {f"{name}[{key}]": one for key, one in kept.items()}
        elif kept is not None:
            found[name] = kept
    return found


def _read(layer: Any) -> dict[str, Any]:
    found: dict[str, Any] = {"wrapper": type(layer).__name__}
    for name, one in _sums(layer).items():
        found |= {f"{name}.{part}": _tensor(getattr(one, part)) for part in PARTS}
    return found | {name: _tensor(vars(layer)[name]) for name in RUNNING if name in vars(layer)}


def _tensor(value: Any) -> Any:
    return (
        float(value) if type(value) in (float, int) else torch.from_numpy(np.array(value))
    )  # NumPy's keep their dtype


def put(env: Any, record: Record) -> bool:
    """Take over what `statistics_of` returned; returns whether the environment keeps the same statistics.

    Of another number of environments, each takes over those of the first. What belongs to running episodes is taken
    over where their number is the same.

    Raises:
        ValueError: what is no such record.
    """
    if not record:
        raise ValueError("no record of running statistics")
    mine, theirs = _seen_from_each(_counting_chains(env)), _seen_from_each(record)
    if not all(np.isfinite(_array(value)).all() for value in _numbers(theirs)):
        raise ValueError("running statistics that are not finite")
    if len(mine) != len(theirs):
        theirs = theirs[:1] * len(mine)
    if [[_form(_read(layer)) for layer in each] for each in mine] != [[_form(one) for one in each] for each in theirs]:
        return False
    for layers_of_one, records_of_one in zip(mine, theirs, strict=True):
        for layer, one in zip(layers_of_one, records_of_one, strict=True):
            _write(layer, one)
    return True


def _seen_from_each(chains: list[list[Any]]) -> list[list[Any]]:
    """Return for each environment what is around it: of the vector, and its own."""
    return [chains[0] + own for own in chains[1:]] or chains


def _numbers(records: list[list[Any]]) -> Iterator[Any]:
    for one in (one for each in records for one in each):
        yield from (value for name, value in one.items() if name != "wrapper")


def _form(one: Mapping[str, Any]) -> tuple[Any, ...]:
    """What must agree before statistics are taken over."""
    return (one["wrapper"], *sorted((name, tuple(np.shape(value))) for name, value in one.items() if "." in name))


def _write(layer: Any, record: Mapping[str, Any]) -> None:
    for name, one in _sums(layer).items():
        for part in PARTS:
            setattr(one, part, _array(record[f"{name}.{part}"]))
    for name in RUNNING:
        here, there = vars(layer).get(name), record.get(name)
        if here is not None and there is not None and np.shape(here) == np.shape(there):
            vars(layer)[name] = _array(there)


def _array(value: Any) -> Any:
    return value.numpy().copy() if isinstance(value, torch.Tensor) else float(value)


def unseen(env: Any) -> bool:
    """Whether an environment keeps running statistics, and has seen nothing yet."""
    counts = [float(one.count) for layer in counting(env) for one in _sums(layer).values()]
    return bool(counts) and all(count < UNSEEN for count in counts)
