"""Runs of a model with its latent sites at given values, one branch for each set of values."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor
from torch.distributions import Distribution

from gio_pyro.programs.handlers import Record


@dataclass(frozen=True)
class Branches:
    """C branches for B examples: one run with all of them to the left of the batch, or one run for each."""

    futures: Sequence[Distribution]
    """The distributions of the future: one of batch shape `[C, B]`, or C of batch shape `[B]`."""
    records: Sequence[Record]
    """The latent sites of each run."""
    count: int
    """C."""
    batch: int
    """B."""

    def log_prob(self, future: Tensor) -> Tensor:
        """Return the log-density of futures `[B, ...]` in each branch, `[C, B]` nats."""
        return self._each([fn.log_prob(future) for fn in self.futures])

    def log_prior(self, names: Iterable[str]) -> Tensor:
        """Return the summed log-density of latent sites at their values, `[C, B]` nats."""
        wanted = tuple(names)
        return self._each([record.log_prob(wanted) for record in self.records])

    def sample(self, draw: Callable[[Distribution], Tensor]) -> Tensor:
        """Return one future from each branch, `[C, B, ...]`; `draw` samples a distribution."""
        event = self.futures[0].event_shape
        if len(self.futures) > 1:
            return torch.stack([draw(fn) for fn in self.futures])
        return draw(self.futures[0].expand((self.count, self.batch))).reshape(self.count, self.batch, *event)

    def _each(self, values: Sequence[Tensor]) -> Tensor:
        """Return values of the runs, `[C, B]`, `[B]` or one number each, as `[C, B]`."""
        if len(values) == 1:
            return values[0].expand(self.count, self.batch)
        return torch.stack([value.expand(self.batch) for value in values])
