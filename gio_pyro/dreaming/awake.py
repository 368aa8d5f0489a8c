"""What dreams, as the settings say, or does not."""

import torch
from torch import nn

from gio_pyro.dreaming.network import NetworkDreams
from gio_pyro.dreaming.table import TableDreams
from gio_pyro.errors import InputError
from gio_pyro.optimisation import Figures
from gio_pyro.settings import Settings, finite_world
from gio_pyro.signals import Fitted
from gio_pyro.types import Transitions


class Awake(nn.Module):
    """Dreams of nothing. The loop asks of whatever dreams the three methods that are here."""

    def __init__(self) -> None:
        super().__init__()
        self.optimisers: dict[str, torch.optim.Optimizer] = {}

    def observe(self, rows: Transitions) -> None:
        """Take new transitions into statistics: nothing here."""

    def update(self, rows: Transitions) -> Figures:
        """Take a gradient step on replayed transitions: nothing here."""
        return {}

    def beside(self, rows: Transitions) -> Transitions:
        """Return what an improvement reads, dreams included: the rows as they are."""
        return rows


def dreams_of(settings: Settings, fitted: Fitted) -> Awake | TableDreams | NetworkDreams:
    """Return what dreams as the settings say.

    Raises:
        InputError: a future without the next state in it, which no model of it can be rolled out in.
    """
    s, spec = settings, fitted.spec
    if not s.dream_horizon:
        return Awake()
    if not callable(getattr(fitted.future, "outcome", None)):
        raise InputError(
            f"Expected a future that holds the next state where the policy dreams, but got {fitted.future}; take "
            "NextState or NextStateAndReward, or leave dream_horizon out."
        )
    if finite_world(spec.state_space, spec.action_space):
        return TableDreams(fitted, s.dream_horizon, s.dream_share, samples=s.samples)
    return NetworkDreams(fitted, s.dream_horizon, s.dream_share, learning_rate=s.learning_rate)
