"""Random streams of the library's own, without effect on the global generators."""

import random
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch
from torch import Tensor

from gio_pyro.utils.fair_lock import FairLock

PROCESS_LOCK = FairLock()
"""Serialises threads, as the generators and Pyro's handler stack are global to the process."""


@contextmanager
def preserve_random_state() -> Iterator[None]:
    """Restore the global random states of Python, NumPy and torch after the block."""
    with PROCESS_LOCK:
        python, legacy, cpu = random.getstate(), np.random.get_state(), torch.get_rng_state()  # noqa: NPY002
        try:
            yield
        finally:
            random.setstate(python)
            np.random.set_state(legacy)  # noqa: NPY002
            torch.set_rng_state(cpu)


class PrivateRandom:
    """A random stream of torch that belongs to one agent.

    Pyro and torch.distributions draw from torch's global generators only. Inside `use()` these continue this stream;
    afterwards their previous state is restored.

    Args:
        seed: of the stream.
        device: a further device that draws, besides the CPU.
    """

    def __init__(self, seed: int, device: torch.device | None = None) -> None:
        self.device = device if device is not None and device.type == "cuda" else None
        devices = [torch.device("cpu"), *([self.device] if self.device else [])]
        self._saved = {d.type: torch.Generator(d).manual_seed(seed).get_state() for d in devices}
        self._in_use = False

    @property
    def state(self) -> dict[str, Tensor]:
        """The states of the generators by device type, as tensors; assign them to continue a saved stream."""
        return self._current() if self._in_use else dict(self._saved)

    @state.setter
    def state(self, saved: dict[str, Tensor]) -> None:
        known = {kind: state for kind, state in saved.items() if kind in self._saved}
        for kind, state in known.items():
            torch.Generator("cpu" if kind == "cpu" else self.device).set_state(state)  # raises for an invalid state
        self._saved = self._saved | known

    @contextmanager
    def use(self) -> Iterator[None]:
        """Draw from this stream inside the block, which may be nested; other threads wait."""
        with PROCESS_LOCK:
            if self._in_use:
                yield
                return
            outer = self._current()
            self._set(self._saved)
            self._in_use = True
            try:
                yield
            finally:
                self._saved = self._current()
                self._in_use = False
                self._set(outer)

    def _current(self) -> dict[str, Tensor]:
        state = {"cpu": torch.get_rng_state()}
        return state | ({"cuda": torch.cuda.get_rng_state(self.device)} if self.device else {})

    def _set(self, state: dict[str, Tensor]) -> None:
        torch.set_rng_state(state["cpu"])
        if self.device is not None and "cuda" in state:
            torch.cuda.set_rng_state(state["cuda"], self.device)
