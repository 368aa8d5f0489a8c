"""The null object of dreaming: no rollouts in the model."""

import torch
from torch import nn

from gio_pyro.nn.gradient_step import Figures
from gio_pyro.types import Transitions


class NoRollouts(nn.Module):
    """No rollouts in the model. Its methods are the interface of every kind of dreaming."""

    def __init__(self) -> None:
        super().__init__()
        self.optimisers: dict[str, torch.optim.Optimizer] = {}

    @property
    def learns(self) -> bool:
        """Whether there are parameters to fit to replay."""
        return bool(self.optimisers)

    def observe(self, rows: Transitions) -> None:
        """Update input normalisers with new transitions; no effect here."""

    def update(self, rows: Transitions) -> Figures:
        """Take a gradient step on replayed transitions; no effect here."""
        return {}

    def beside(self, rows: Transitions) -> Transitions:
        """Return the transitions of an improvement, imagined ones included; here the rows unchanged."""
        return rows
