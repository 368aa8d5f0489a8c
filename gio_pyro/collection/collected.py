"""Steps of N environments, put together as transitions on the device."""

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor

from gio_pyro.collection.device_transfer import to_device
from gio_pyro.collection.environment_adapter import Array
from gio_pyro.types import Transitions


@dataclass(frozen=True)
class Collected:
    """Transitions in the order in which they happened, and, on the host, how they hang together."""

    rows: Transitions
    """`[B, ...]` on the device."""
    stream: Tensor
    """`[B]` int64: which of the N environments."""
    begins: Tensor
    """`[B]` booleans: True where the row does not continue the previous row of its stream."""
    ends: Tensor
    """`[B]` booleans: True where the episode ended with the row."""

    def links(self) -> tuple[list[int], list[bool], list[bool]]:
        """Return stream, begins and ends as lists."""
        return self.stream.tolist(), self.begins.tolist(), self.ends.tolist()


class Step(NamedTuple):
    """One step of N environments: transitions on the device, and what the host knows of them."""

    rows: dict[str, Tensor]
    """Each field of `Transitions` but the weight, `[N, ...]`."""
    ends: Array
    """`[N]` booleans: the episode ended."""
    real: Array
    """`[N]` booleans: a transition, not the beginning of an episode."""

    @property
    def follows(self) -> Array:
        """`[N]` booleans: what comes next begins an episode."""
        return np.asarray(self.ends | ~self.real)


def concatenate_steps(steps: list[Step], begins: Array) -> Collected:
    """Put steps one after the other; those that only began an episode are left out.

    Args:
        steps: at least one.
        begins: `[N]` booleans: the environments whose first step begins an episode.
    """
    stream = np.tile(np.arange(len(begins)), len(steps))
    fresh = np.concatenate([begins, *(step.follows for step in steps[:-1])])
    ends = np.concatenate([step.ends for step in steps])
    real = np.concatenate([step.real for step in steps])
    first = steps[0].rows
    rows = first if len(steps) == 1 else {name: torch.cat([step.rows[name] for step in steps]) for name in first}
    if not real.all():
        device = first["reward"].device
        where = to_device({"where": np.flatnonzero(real)}, device)["where"]
        rows = {name: values[where] for name, values in rows.items()}
        stream, fresh, ends = stream[real], fresh[real], ends[real]
    hang = (torch.from_numpy(array) for array in (stream, fresh, ends))
    return Collected(Transitions(**rows, weight=torch.ones_like(rows["reward"])), *hang)
