"""Ensembles with batch renormalisation (Ioffe, 2017, arXiv 1702.03275), for critics without target networks.

While it learns, each unit is normalised by the mean and the deviation of the batch, corrected towards the running ones
by r and d, which carry no gradient: (x - μ_B) / σ_B · r + d. r and d are clipped. In the first `WARM_UP` batches
r = 1 and d = 0, which is batch normalisation. Evaluated, the running statistics are used.

Place and constants are those of CrossQ (Bhatt et al., 2024, arXiv 1902.05605): the inputs are normalised, and each
hidden layer after its ReLU; running statistics move by 0.01 a batch.
"""

from collections.abc import Callable, Sequence
from typing import ClassVar, cast

import torch
from torch import Tensor, nn

from gio_pyro.nn.perceptrons import Ensemble

RATE = 0.01
"""Share of a batch in the running statistics."""
WARM_UP = 100_000
"""Batches that are normalised by their own statistics alone."""
LARGEST_SCALE, LARGEST_SHIFT = 3.0, 5.0
"""r is clipped to [1/3, 3], d to [-5, 5]."""
EPSILON = 1e-3
"""Added to variances."""


class BatchRenorm(nn.Module):
    """Batch renormalisation of the units of several networks, `[members, B, units]` to the same shape.

    Args:
        members: number of networks.
        units: number of units.
    """

    mean: Tensor
    variance: Tensor
    batches: Tensor

    def __init__(self, members: int, units: int) -> None:
        super().__init__()
        self.gain = nn.Parameter(torch.ones(members, 1, units))
        self.shift = nn.Parameter(torch.zeros(members, 1, units))
        self.register_buffer("mean", torch.zeros(members, 1, units))
        self.register_buffer("variance", torch.ones(members, 1, units))
        self.register_buffer("batches", torch.zeros(()))

    def forward(self, x: Tensor) -> Tensor:
        """Return values normalised by the running statistics."""
        return self.gain * ((x - self.mean) * (self.variance + EPSILON).rsqrt()) + self.shift

    def learn(self, x: Tensor) -> Tensor:
        """Return values normalised by the batch and corrected towards the running statistics; update these."""
        mean = x.mean(1, keepdim=True)
        variance = (x - mean).square().mean(1, keepdim=True)
        scale, shift = self._correction(mean.detach(), variance.detach())
        normal = (x - mean) * (variance + EPSILON).rsqrt() * scale + shift
        return self.gain * normal + self.shift

    @torch.no_grad()
    def _correction(self, mean: Tensor, variance: Tensor) -> tuple[Tensor, Tensor]:
        """Return r and d for a batch, and update the running statistics."""
        deviation = (self.variance + EPSILON).sqrt()
        scale = ((variance + EPSILON).sqrt() / deviation).clamp(1 / LARGEST_SCALE, LARGEST_SCALE)
        shift = ((mean - self.mean) / deviation).clamp(-LARGEST_SHIFT, LARGEST_SHIFT)
        warm = self.batches >= WARM_UP
        scale = torch.where(warm, scale, torch.ones_like(scale))
        shift = torch.where(warm, shift, torch.zeros_like(shift))
        self.mean.lerp_(mean, RATE)
        self.variance.lerp_(variance, RATE)
        self.batches.add_(1)
        return scale, shift


class BatchRenormEnsemble(Ensemble):
    """Perceptrons as in `Ensemble`, with batch renormalisation of the inputs and after each ReLU."""

    targets: ClassVar[bool] = False

    def __init__(self, members: int, inputs: int, hidden: Sequence[int], outputs: int) -> None:
        super().__init__(members, inputs, hidden, outputs)
        self.norms = nn.ModuleList(BatchRenorm(members, units) for units in (inputs, *hidden))

    def forward(self, x: Tensor) -> Tensor:
        """Return the output of every member for a batch `[..., B, inputs]`, with the running statistics."""
        return self._through(list(self.norms), x)

    def learn(self, x: Tensor) -> Tensor:
        """Return the same with the statistics of the batch, and update the running ones."""
        norms = cast(Sequence[BatchRenorm], self.norms)
        return self._through([norm.learn for norm in norms], x)

    def _through(self, norms: Sequence[Callable[[Tensor], Tensor]], x: Tensor) -> Tensor:
        rows = x.flatten(0, -2)
        rows = norms[0](rows.expand(len(self.weights[0]), *rows.shape))
        for norm, weight, bias in zip(norms[1:], self.weights, self.biases, strict=False):
            rows = norm(torch.baddbmm(bias, rows, weight).relu())
        outputs: Tensor = torch.baddbmm(self.biases[-1], rows, self.weights[-1]).unflatten(1, x.shape[:-1])
        return outputs
