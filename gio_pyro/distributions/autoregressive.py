"""Base class of autoregressive densities: each dimension has a distribution given the previous ones."""

from collections.abc import Callable
from typing import Any, Self

import pyro.distributions as dist
import torch
from torch import Tensor
from torch.distributions import constraints

Conditionals = Callable[[Tensor], tuple[Tensor, ...]]
"""From values `[..., B, d]` to the parameters of each dimension given the previous ones."""


class Autoregressive(dist.TorchDistribution):
    """A batch of densities over vectors; a subclass implements `log_prob` and `rsample`.

    Args:
        conditionals: the parameters of every dimension.
        like: a tensor of the shape of the batch, `[..., B, d]`.
    """

    arg_constraints = {}  # noqa: RUF012 - torch's own name for it
    support = constraints.real_vector
    has_rsample = True

    def __init__(self, conditionals: Conditionals, like: Tensor) -> None:
        self.conditionals, self.like = conditionals, like
        super().__init__(like.shape[:-1], like.shape[-1:], validate_args=False)

    def expand(self, batch_shape: Any, _instance: Any = None) -> Self:
        """Return the distributions expanded to a larger batch."""
        return type(self)(self.conditionals, self.like.expand(*batch_shape, *self.event_shape))

    def by_dimension(self, like: Tensor, draw: Callable[..., Tensor]) -> Tensor:
        """Return draws of the shape of `like`, dimension by dimension; `draw` maps the parameters to draws of all."""
        value = torch.zeros_like(like)
        for number in range(like.shape[-1]):
            now = torch.arange(like.shape[-1], device=like.device) == number
            value = torch.where(now, draw(*self.conditionals(value)), value)
        return value
