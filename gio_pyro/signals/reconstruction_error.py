"""Reconstruction error of an autoencoder of states."""

import torch
from gymnasium.spaces import Discrete
from torch import Tensor

from gio_pyro.nn import OneHotEncoder, VectorEncoder, mlp
from gio_pyro.nn.gradient_step import Figures
from gio_pyro.signals.base import Fitted, Signal, as_fitted
from gio_pyro.types import Transitions
from gio_pyro.utils.checks import switch, whole

MOST_CODES = 2**16


class ReconstructionError(Signal):
    """mean (x̂(x) − x)² of an autoencoder at the next state: large where states are unlike those that were visited.

    x has the numbers of s', standardised, or is its one-hot vector; x̂ is decoded from `codes` numbers. It is how
    Director rewards exploration, with the autoencoder of its goals (Hafner et al., 2022, arXiv 2206.04114).

    Args:
        fitted: programs of the agent; only the spaces are used.
        codes: numbers between encoder and decoder.
        learning_rate: Adam's step size.
        linear: without hidden layers; the least error is then that of principal components.

    Raises:
        InputError: a number out of range.
    """

    unit = "variances of a number"
    reads_programs = False

    def __init__(self, fitted: Fitted, *, codes: int = 8, learning_rate: float = 1e-3, linear: bool = False) -> None:
        super().__init__(as_fitted(fitted))
        codes, linear = whole("codes", codes, 1, MOST_CODES), switch("linear", linear)
        space, hidden = fitted.spec.state_space, () if linear else fitted.spec.hidden
        self.numbers = OneHotEncoder(int(space.n)) if isinstance(space, Discrete) else VectorEncoder(space)  # type: ignore[arg-type]
        self.encoder = mlp(self.numbers.size, hidden, codes)
        self.decoder = mlp(codes, hidden[::-1], self.numbers.size)
        self.learn("reconstruction", self._loss, learning_rate)

    @torch.no_grad()
    def observe(self, rows: Transitions) -> None:
        """Update the standard deviations of the numbers with new states."""
        self.numbers.observe(rows.next_state)

    def read(self, rows: Transitions) -> Tensor:
        """Return the error at each next state, `[B]`."""
        x = self.numbers(rows.next_state)
        error: Tensor = (self.decoder(self.encoder(x)) - x).square().mean(-1)
        return error

    def _loss(self, context: None, *tensors: Tensor) -> tuple[Tensor, Figures]:
        rows = Transitions(*tensors)
        loss = rows.mean(self.read(rows))
        return loss, {"reconstruction_loss": loss}
