"""Categorical distributions over many values, of which only a few have probabilities of their own."""

from typing import Any

import torch
from pyro.distributions import TorchDistribution
from torch import Tensor
from torch.distributions import Categorical, constraints

EMPTY = -1
"""Entry of a list of values that is not used."""


class ListedCategorical(TorchDistribution):
    """A batch of B categorical distributions over F values: at most K listed ones each, and the others equally likely.

    It is Categorical(logits) with `logits` `[B, F]` that agree outside the lists, at a cost of K instead of F.

    Args:
        values: `[B, K]` the listed values, each once, in any order; `EMPTY` where there are fewer.
        logits: `[B, K]` their logits.
        rest: `[B]` the logit of each value that is not listed.
        count: F.
    """

    arg_constraints: dict[str, Any] = {}  # noqa: RUF012 (as torch names it)
    has_enumerate_support = True

    def __init__(self, values: Tensor, logits: Tensor, rest: Tensor, count: int) -> None:
        self.values, self.count = values, count
        empty = values == EMPTY
        self.unlisted = count - (~empty).sum(-1)
        log_unlisted = self.unlisted.to(logits).log()
        parts = torch.cat([(rest + log_unlisted).unsqueeze(-1), logits.masked_fill(empty, -torch.inf)], -1)
        self.log_parts = torch.log_softmax(parts, -1)
        """`[B, 1 + K]` nats: log-probability of all values that are not listed together, then of each listed value."""
        self.log_rest = self.log_parts[:, 0] - log_unlisted.clamp_min(0.0)
        super().__init__(logits.shape[:1], torch.Size(), validate_args=False)

    @property
    def support(self) -> Any:
        """The integers from 0 to F − 1."""
        return constraints.integer_interval(0, self.count - 1)

    @property
    def probs(self) -> Tensor:
        """The probability of every value, `[B, F]`."""
        each = self.log_rest.exp().unsqueeze(-1).expand(-1, self.count + 1)
        place = self.values.where(self.values != EMPTY, self.count)
        return each.scatter(-1, place, self.log_parts[:, 1:].exp())[:, : self.count]

    def log_prob(self, value: Tensor) -> Tensor:
        """Return the log-probability of values `[..., B]`, `[..., B]` nats."""
        found = value.unsqueeze(-1) == self.values
        listed = torch.where(found, self.log_parts[:, 1:], 0.0).sum(-1)
        return torch.where(found.any(-1), listed, self.log_rest)

    def enumerate_support(self, expand: bool = True) -> Tensor:
        """Return all values, `[F, 1]`, or `[F, B]` expanded."""
        values = torch.arange(self.count, device=self.values.device).unsqueeze(-1)
        return values.expand(-1, *self.batch_shape) if expand else values

    def weighted_support(self) -> tuple[Tensor, Tensor]:
        """Return values `[B, 1 + K]` and weights that sum to 1: the listed values, and one of the others for them all.

        That one is drawn at random, so that weighted sums are unbiased estimates of expectations; they are exact for
        functions that are equal at all values that are not listed.
        """
        values = torch.cat([self._unlisted(torch.Size()).unsqueeze(-1), self.values.clamp_min(0)], -1)
        return values, self.log_parts.exp()

    def sample(self, sample_shape: Any = ()) -> Tensor:
        """Return samples `[*sample_shape, B]`."""
        with torch.no_grad():
            part = Categorical(logits=self.log_parts, validate_args=False).sample(torch.Size(sample_shape))
            wide = self.values.expand(*part.shape, -1)
            listed = wide.gather(-1, (part - 1).clamp_min(0).unsqueeze(-1)).squeeze(-1)
            return torch.where(part == 0, self._unlisted(torch.Size(sample_shape)), listed)

    def _unlisted(self, sample_shape: torch.Size) -> Tensor:
        """Return a value that is not listed, each equally likely, `[*sample_shape, B]`; any value if all are listed."""
        uniform = torch.rand(*sample_shape, len(self.values), device=self.values.device)
        rank = (uniform * self.unlisted).long().minimum(self.unlisted - 1).clamp_min(0)
        ascending = self.values.where(self.values != EMPTY, 2 * self.count).sort(-1).values
        before = ascending - torch.arange(ascending.shape[-1], device=rank.device)  # unlisted values below each listed
        return (rank + (before <= rank.unsqueeze(-1)).sum(-1)).clamp_max(self.count - 1)

    def expand(self, batch_shape: Any, _instance: Any = None) -> "ListedCategorical":
        """Return the same distributions; raises `NotImplementedError` for another batch shape."""
        if torch.Size(batch_shape) != self.batch_shape:
            raise NotImplementedError
        return self
