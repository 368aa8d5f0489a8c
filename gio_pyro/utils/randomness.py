"""One seed for everything, and no effect on anybody else's random numbers."""

import random
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch
from torch import Tensor

from gio_pyro.utils.fair_lock import FairLock

PROCESS_LOCK = FairLock()
"""The generators, like Pyro's stack of handlers, belong to the process: threads that share them take turns."""


@contextmanager
def preserve_random_state() -> Iterator[None]:
    """Put the process's own random streams, Python's, NumPy's and torch's, back to where they were before the block."""
    with PROCESS_LOCK:
        python, legacy, cpu = random.getstate(), np.random.get_state(), torch.get_rng_state()  # noqa: NPY002
        try:
            yield
        finally:
            random.setstate(python)
            np.random.set_state(legacy)  # noqa: NPY002
            torch.set_rng_state(cpu)


class PrivateRandom:
    """A stream of torch's random numbers that belongs to one agent.

    Pyro and torch.distributions draw from torch's global generators only. Inside `use()` those continue this
    stream; outside it, it is as if nothing had happened.

    Args:
        seed: where the stream starts.
        device: the device that draws besides the CPU, which always does.
    """

    def __init__(self, seed: int, device: torch.device | None = None) -> None:
        self.device = device if device is not None and device.type == "cuda" else None
        devices = [torch.device("cpu"), *([self.device] if self.device else [])]
        self._resting = {d.type: torch.Generator(d).manual_seed(seed).get_state() for d in devices}
        self._in_use = False

    @property
    def state(self) -> dict[str, Tensor]:
        """The generators' states by device type, as plain tensors; assign it to continue a stream that was saved."""
        return self._current() if self._in_use else dict(self._resting)

    @state.setter
    def state(self, saved: dict[str, Tensor]) -> None:
        known = {kind: state for kind, state in saved.items() if kind in self._resting}
        for kind, state in known.items():
            torch.Generator("cpu" if kind == "cpu" else self.device).set_state(state)  # refuses what is no state
        self._resting = self._resting | known

    @contextmanager
    def use(self) -> Iterator[None]:
        """Draw from this stream inside the block; a block inside the block goes on with it. Other threads wait."""
        with PROCESS_LOCK:
            if self._in_use:
                yield
                return
            outer = self._current()
            self._set(self._resting)
            self._in_use = True
            try:
                yield
            finally:
                self._resting = self._current()
                self._in_use = False
                self._set(outer)

    def _current(self) -> dict[str, Tensor]:
        state = {"cpu": torch.get_rng_state()}
        return state | ({"cuda": torch.cuda.get_rng_state(self.device)} if self.device else {})

    def _set(self, state: dict[str, Tensor]) -> None:
        torch.set_rng_state(state["cpu"])
        if self.device is not None and "cuda" in state:
            torch.cuda.set_rng_state(state["cuda"], self.device)
