"""What the loop asks of whatever dreams, and what does not dream."""

import torch
from torch import nn

from gio_pyro.nn.gradient_step import Figures
from gio_pyro.types import Transitions


class NoRollouts(nn.Module):
    """Dreams of nothing. The loop asks of whatever dreams the three methods that are here."""

    def __init__(self) -> None:
        super().__init__()
        self.optimisers: dict[str, torch.optim.Optimizer] = {}

    @property
    def learns(self) -> bool:
        """Whether anything here is fitted to replay."""
        return bool(self.optimisers)

    def observe(self, rows: Transitions) -> None:
        """Take new transitions into statistics: nothing here."""

    def update(self, rows: Transitions) -> Figures:
        """Take a gradient step on replayed transitions: nothing here."""
        return {}

    def beside(self, rows: Transitions) -> Transitions:
        """Return what an improvement reads, dreams included: the rows as they are."""
        return rows
