"""Ensembles with layer normalisation of the hidden layers (Ba, Kiros and Hinton, 2016, arXiv 1607.06450).

In a critic it bounds the value far from the data: a normalised hidden layer has a norm of at most √units times its
gains, whatever the input, so that |Q| is at most the norm of the last layer times that (Ball et al., 2023, RLPD, arXiv
2302.02948, section 4.2).
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from gio_pyro.nn.perceptrons import Ensemble


class LayerNormEnsemble(Ensemble):
    """Perceptrons as in `Ensemble`, whose hidden layers are linear, layer norm, ReLU."""

    def __init__(self, members: int, inputs: int, hidden: Sequence[int], outputs: int) -> None:
        super().__init__(members, inputs, hidden, outputs)
        self.gains = nn.ParameterList(torch.ones(members, 1, units) for units in hidden)
        self.shifts = nn.ParameterList(torch.zeros(members, 1, units) for units in hidden)

    def forward(self, x: Tensor) -> Tensor:
        """Return the output of every member for a batch `[..., B, inputs]`."""
        rows = x.flatten(0, -2)
        rows = rows.expand(len(self.weights[0]), *rows.shape)
        for weight, bias, gain, shift in zip(self.weights, self.biases, self.gains, self.shifts, strict=False):
            rows = torch.baddbmm(bias, rows, weight)
            rows = torch.addcmul(shift, nn.functional.layer_norm(rows, rows.shape[-1:]), gain).relu()
        outputs = torch.baddbmm(self.biases[-1], rows, self.weights[-1])
        every: Tensor = outputs.unflatten(1, x.shape[:-1])
        return every
