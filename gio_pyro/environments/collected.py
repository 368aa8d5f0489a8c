"""Steps of N environments, put together as transitions on the device."""

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from gio_pyro.environments.base import Array
from gio_pyro.environments.transfer import to_device
from gio_pyro.types import Transitions


@dataclass(frozen=True)
class Collected:
    """Transitions in the order in which they happened, and how they hang together."""

    rows: Transitions
    """`[B, ...]` on the device."""
    stream: Tensor
    """`[B]` int64: which of the N environments."""
    begins: Tensor
    """`[B]` booleans: True where the row does not continue the previous row of its stream."""


class Step(NamedTuple):
    """One step of N environments: the states and actions on the device, the rest as the environment left it."""

    state: Tensor
    action: Tensor
    behaviour: Tensor
    next_state: Tensor
    reward: Array
    terminated: Array
    truncated: Array
    real: Array

    @property
    def follows(self) -> Array:
        """`[N]` booleans: what comes next begins an episode."""
        return np.asarray(self.terminated | self.truncated | ~self.real)


def together(steps: list[Step], begins: Array, device: torch.device) -> Collected:
    """Put steps one after the other; those that only began an episode are left out.

    Args:
        steps: at least one.
        begins: `[N]` booleans: the environments whose first step begins an episode.
        device: where the states and actions are.
    """
    given = {name: np.concatenate([getattr(s, name) for s in steps]) for name in ("terminated", "truncated")}
    given["reward"] = np.concatenate([s.reward for s in steps], dtype=np.float32, casting="same_kind")
    given["stream"] = np.tile(np.arange(len(begins)), len(steps))
    given["begins"] = np.concatenate([begins, *(s.follows for s in steps[:-1])])
    acted = {n: torch.cat([getattr(s, n) for s in steps]) for n in ("state", "action", "behaviour", "next_state")}
    real = np.concatenate([s.real for s in steps])
    if real.all():
        return _collected(acted | to_device(given, device))
    kept = np.flatnonzero(real)
    arrived = to_device({name: array[kept] for name, array in given.items()} | {"kept": kept}, device)
    where = arrived.pop("kept")
    return _collected({name: values[where] for name, values in acted.items()} | arrived)


def _collected(fields: dict[str, Any]) -> Collected:
    stream, begins = fields.pop("stream"), fields.pop("begins")
    return Collected(Transitions(**fields, weight=torch.ones(len(stream), device=stream.device)), stream, begins)
