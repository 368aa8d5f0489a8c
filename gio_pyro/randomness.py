"""One seed for everything, and no effect on anybody else's random numbers."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor


class PrivateRandom:
    """A stream of torch's random numbers that belongs to one agent.

    Pyro and torch.distributions draw from torch's global generator only. Inside `use()` that generator continues
    this stream; outside it, it is as if nothing had happened.
    """

    def __init__(self, seed: int) -> None:
        generator = torch.Generator().manual_seed(seed)
        self.state: Tensor = generator.get_state()

    @contextmanager
    def use(self) -> Iterator[None]:
        """Draw from this stream inside the block."""
        outer = torch.get_rng_state()
        torch.set_rng_state(self.state)
        try:
            yield
        finally:
            self.state = torch.get_rng_state()
            torch.set_rng_state(outer)
