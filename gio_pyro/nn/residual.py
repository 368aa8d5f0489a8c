"""Ensembles of residual blocks with layer norm (SimBa: Lee et al., 2025, arXiv 2410.09754).

A linear layer, blocks x + W₂ relu(W₁ norm(x)) with four times as many units inside, a layer norm and a linear layer.
The running standardisation of the inputs that SimBa has as well is the encoder's (`gio_pyro.nn.Standardise`). Weights
start as those of the other ensembles, uniform, where SimBa's are orthogonal or normal (He et al., 2015).
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from gio_pyro.nn.perceptrons import Ensemble

EXPANSION = 4
"""Units inside a block, as a multiple of its width."""


class ResidualEnsemble(Ensemble):
    """Residual networks, evaluated as a batch, `[..., B, inputs] -> [members, ..., B, outputs]`.

    Args:
        members: number of networks.
        inputs: inputs.
        hidden: the width, once for each block.
        outputs: outputs.
    """

    def __init__(self, members: int, inputs: int, hidden: Sequence[int], outputs: int) -> None:
        size = hidden[0]
        super().__init__(members, inputs, [size, *[EXPANSION * size, size] * len(hidden)], outputs)
        self.gains = nn.ParameterList(torch.ones(members, 1, size) for _ in range(len(hidden) + 1))
        self.shifts = nn.ParameterList(torch.zeros(members, 1, size) for _ in range(len(hidden) + 1))

    def forward(self, x: Tensor) -> Tensor:
        """Return the output of every member for a batch `[..., B, inputs]`."""
        rows = x.flatten(0, -2)
        rows = self._linear(0, rows.expand(len(self.weights[0]), *rows.shape))
        for block in range(len(self.gains) - 1):
            rows = rows + self._linear(2 * block + 2, self._linear(2 * block + 1, self._norm(block, rows)).relu())
        outputs: Tensor = self._linear(-1, self._norm(-1, rows)).unflatten(1, x.shape[:-1])
        return outputs

    def _linear(self, layer: int, rows: Tensor) -> Tensor:
        return torch.baddbmm(self.biases[layer], rows, self.weights[layer])

    def _norm(self, layer: int, rows: Tensor) -> Tensor:
        return torch.addcmul(self.shifts[layer], nn.functional.layer_norm(rows, rows.shape[-1:]), self.gains[layer])
