"""Learning progress: recent improvement of the log-likelihood of the model."""

import copy

import torch
from torch import Tensor

from gio_pyro.errors import InputError, shown
from gio_pyro.nn.gradient_step import Figures
from gio_pyro.signals.base import Fitted, Signal, as_fitted, require_one_step
from gio_pyro.types import Transitions
from gio_pyro.utils.checks import as_number


class LearningProgress(Signal):
    """log p_new(F|s, a) − log p_old(F|s, a), nats: γ-progress (Kim et al., 2020, arXiv 2007.07853).

    The parameters and buffers of the old model are an exponential moving average of those of the new one, updated at
    every `update`: w_old ← γ w_old + (1 − γ) w_new. Irreducible noise affects both equally and adds no signal in the
    limit.

    Args:
        fitted: spaces, future and programs of the agent.
        rate: γ in [0, 1); the old model lags by about 1 / (1 − γ) updates.

    Raises:
        InputError: a rate out of range, or a future of several steps.
    """

    def __init__(self, fitted: Fitted, *, rate: float = 0.9995) -> None:
        super().__init__(as_fitted(fitted))
        found = as_number(rate)
        if found is None or not 0 <= found < 1:
            raise InputError(
                f"Expected rate to be at least 0 and below 1, but got {shown(rate)}; 0.9995 is the default."
            )
        require_one_step(self)
        self.rate = found
        self.old = copy.deepcopy(fitted.model).requires_grad_(False)

    @torch.no_grad()
    def update(self, rows: Transitions) -> Figures:
        """Update the moving average of the model; `rows` are not used."""
        pairs = zip(_tensors(self.old), _tensors(self.fitted.model), strict=True)
        for old, new in pairs:
            old.lerp_(new, 1 - self.rate) if old.is_floating_point() else old.copy_(new)
        return {}

    def read(self, rows: Transitions) -> Tensor:
        """Return the progress on each transition, `[B]` nats."""
        source, future = self.fitted, self.fitted.future.of(rows)
        new, old = (m.log_prob(source.policy, rows.state, rows.action, future) for m in (source.model, self.old))
        return new - old


def _tensors(model: torch.nn.Module) -> list[Tensor]:
    return [*model.parameters(), *model.buffers()]
