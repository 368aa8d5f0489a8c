"""Concatenate steps of N environments to batches of transitions on the device."""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from gio_pyro.collection.device_transfer import to_device
from gio_pyro.collection.environment_adapter import Array
from gio_pyro.types import Step as Step
from gio_pyro.types import Transitions


@dataclass(frozen=True)
class Collected:
    """Transitions in the order of collection, and on the host which of them follow each other."""

    rows: Transitions
    """`[B, ...]` on the device."""
    stream: Tensor
    """`[B]` int64: index of the environment."""
    begins: Tensor
    """`[B]` booleans: True where the row does not follow the previous row of its stream."""
    ends: Tensor
    """`[B]` booleans: True where the row is the last of its episode."""

    def links(self) -> tuple[list[int], list[bool], list[bool]]:
        """Return stream, begins and ends as lists."""
        return self.stream.tolist(), self.begins.tolist(), self.ends.tolist()


def concatenate_steps(steps: list[Step], begins: Array) -> Collected:
    """Return the transitions of steps in one batch, without mere resets.

    Args:
        steps: at least one.
        begins: `[N]` booleans, True for environments whose first step begins an episode.
    """
    stream = np.tile(np.arange(len(begins)), len(steps))
    begin_rows = np.concatenate([begins, *(step.next_begins for step in steps[:-1])])
    ends = np.concatenate([step.ends for step in steps])
    real = np.concatenate([step.real for step in steps])
    first = steps[0].rows
    rows = first if len(steps) == 1 else {name: torch.cat([step.rows[name] for step in steps]) for name in first}
    if not real.all():
        device = first["reward"].device
        where = to_device({"where": np.flatnonzero(real)}, device)["where"]
        rows = {name: values[where] for name, values in rows.items()}
        stream, begin_rows, ends = stream[real], begin_rows[real], ends[real]
    links = (torch.from_numpy(array) for array in (stream, begin_rows, ends))
    return Collected(Transitions(**rows, weight=torch.ones_like(rows["reward"])), *links)
