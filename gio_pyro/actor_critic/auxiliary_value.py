"""Auxiliary value function of a second reward, added when the policy is improved: Q = Q_task + β_t Q_signal.

Q is linear in the reward, so with equal discounts and a fixed β this is the value of r + β signal. A separate value
function allows a separate discount for the signal, and β_t is applied when the policy is improved: once β_t reaches 0,
the signal no longer affects the policy, while a critic of the summed reward would have to relearn its values. After
Burda et al. (2018, arXiv 1810.12894, section 2.3: two value heads, two discounts); but here both returns are episodic.
"""

from collections.abc import Iterator
from typing import Any, cast

import torch
from torch import Tensor, nn

from gio_pyro.types import Transitions


class AuxiliaryValue(nn.Module):
    """Weighted auxiliary value β Q.

    Args:
        critic: Q, in units of the auxiliary reward.
        discount: γ of the auxiliary return.
    """

    weight: Tensor

    def __init__(self, critic: nn.Module, discount: float) -> None:
        super().__init__()
        self.critic: Any = critic
        self.discount = discount
        self.register_buffer("weight", torch.zeros(()))

    def set_weight(self, weight: float) -> None:
        """Set β."""
        self.weight.fill_(weight)

    def target(self, batch: Transitions, later: Tensor) -> Tensor:
        """Return r + γ E_π Q(s', a') of each transition, `[B]`, without entropy or information (equation 17).

        Args:
            batch: transitions with the auxiliary reward.
            later: E_π Q(s', a'), `[B]`.
        """
        return batch.reward + self.discount * (~batch.terminated) * later

    def forward(self, *given: Any) -> Tensor:
        """Return β Q for the arguments of the critic, reward units."""
        value: Tensor = self.weight * self.critic(*given)
        return value


class AuxiliaryValues(nn.ModuleList):
    """List of auxiliary values: one or none."""

    def __iter__(self) -> Iterator[AuxiliaryValue]:
        return cast(Iterator[AuxiliaryValue], super().__iter__())


def total(critic: nn.Module, apart: AuxiliaryValues, *given: Any) -> Tensor:
    """Return Q_task + Σ β Q over the auxiliary values, reward units."""
    q: Tensor = critic(*given)
    for other in apart:
        q = q + other(*given)
    return q
