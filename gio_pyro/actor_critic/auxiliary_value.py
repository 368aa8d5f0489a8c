"""A second value, of another reward, kept apart until the policy is improved: Q = Q_task + β_t Q_signal.

Q is linear in the reward, so at one discount and a fixed β this is the value of r + β signal. What it adds is a
discount of the signal's own, and that β_t is read when the policy is improved: where it reaches 0, nothing of the
signal is left in the values that the policy climbs, while one that had summed it would first have to forget it. After
Burda et al. (2018, arXiv 1810.12894, section 2.3: two value heads, two discounts); but here both sums end with the
episode.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, cast

import torch
from torch import Tensor, nn

from gio_pyro.types import Transitions


@dataclass(frozen=True)
class WeightedBatch:
    """What a value of its own sums, and how much that value counts beside the task's."""

    rows: Transitions
    """Transitions whose reward is what is summed."""
    weight: float
    """β, reward units for each unit of the sum."""


class AuxiliaryValue(nn.Module):
    """β Q of a critic of its own.

    Args:
        critic: Q, in units of what it sums.
        discount: γ of this sum.
    """

    weight: Tensor

    def __init__(self, critic: nn.Module, discount: float) -> None:
        super().__init__()
        self.critic: Any = critic
        self.discount = discount
        self.register_buffer("weight", torch.zeros(()))

    def set_weight(self, weight: float) -> None:
        """Let the value count `weight` from now on."""
        self.weight.fill_(weight)

    def forward(self, *given: Any) -> Tensor:
        """Return β Q of what the critic is given, reward units."""
        value: Tensor = self.weight * self.critic(*given)
        return value


class AuxiliaryValues(nn.ModuleList):
    """What is kept apart: one value, or none."""

    def __iter__(self) -> Iterator[AuxiliaryValue]:
        return cast(Iterator[AuxiliaryValue], super().__iter__())


def total(critic: nn.Module, apart: AuxiliaryValues, *given: Any) -> Tensor:
    """Return Q_task + Σ β Q of what is kept apart, reward units."""
    q: Tensor = critic(*given)
    for other in apart:
        q = q + other(*given)
    return q
