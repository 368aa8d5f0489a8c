"""Random network distillation: a novelty bonus for large or continuous state spaces."""

from typing import Any

import torch
from gymnasium import Space
from torch import Tensor, nn

from gio_pyro.nn import Standardise, encoder, mlp
from gio_pyro.nn.gradient_step import Figures
from gio_pyro.signals.base import Fitted, Signal, as_fitted
from gio_pyro.types import Transitions
from gio_pyro.utils.checks import whole

MOST_OUTPUTS = 2**16


class RandomNetworkDistillation(Signal):
    """mean (f̂(s') − f(s'))² in running standard deviations (Burda et al., 2018, arXiv 1810.12894).

    f is a fixed random network; the predictor f̂ is fitted to it on visited states. The target f is a deterministic
    function of the state, so noisy dynamics do not keep the error high. The error is divided by its own standard
    deviation, not, as in the paper, by that of its discounted sums.

    Args:
        fitted: programs of the agent; only the spaces are used.
        outputs: output size of f.
        learning_rate: Adam's step size.

    Raises:
        InputError: a number out of range.
    """

    unit = "standard deviations of the error"
    reads_programs = False

    def __init__(self, fitted: Fitted, *, outputs: int = 32, learning_rate: float = 1e-3) -> None:
        super().__init__(as_fitted(fitted))
        outputs = whole("outputs", outputs, 1, MOST_OUTPUTS)
        space, hidden = fitted.spec.state_space, fitted.spec.hidden
        self.target = _Read(space, hidden, outputs).requires_grad_(False)
        self.predictor = _Read(space, (*hidden, *hidden[-1:]), outputs)
        self.errors = Standardise((1,))
        self.learn("distillation", self._loss, learning_rate)

    @torch.no_grad()
    def observe(self, rows: Transitions) -> None:
        """Update the input normalisers with new states, and the standard deviation with their errors."""
        for network in (self.target, self.predictor):
            network.encoder.observe(rows.next_state)
        self.errors.observe(self._error(rows).unsqueeze(-1))

    def read(self, rows: Transitions) -> Tensor:
        """Return the error at each next state, `[B]` in standard deviations."""
        return self._error(rows) / self.errors.deviation

    def _error(self, rows: Transitions) -> Tensor:
        error: Tensor = (self.predictor(rows.next_state) - self.target(rows.next_state)).square().mean(-1)
        return error

    def _loss(self, context: None, *tensors: Tensor) -> tuple[Tensor, Figures]:
        rows = Transitions(*tensors)
        loss = rows.mean(self._error(rows))
        return loss, {"distillation_loss": loss}


class _Read(nn.Module):
    """Encoder and MLP for any state space, `[B, ...] -> [B, outputs]`."""

    def __init__(self, space: Space[Any], hidden: tuple[int, ...], outputs: int) -> None:
        super().__init__()
        self.encoder = encoder(space)
        self.net = mlp(self.encoder.size, hidden, outputs)

    def forward(self, state: Tensor) -> Tensor:
        """Return the outputs for each state, `[B, outputs]`."""
        numbers: Tensor = self.net(self.encoder(state))
        return numbers
