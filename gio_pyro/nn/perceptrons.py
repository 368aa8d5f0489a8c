"""Multilayer perceptrons, ensembles of them, and standardisation of their inputs.

Input statistics are updated by `observe`, never by `forward`.
"""

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import ClassVar

import torch
from torch import Tensor, nn

RESOLUTION = {True: 0.5, False: 1e-3}
"""Lower bound of the standard deviation that inputs are divided by, for integers (True) and real numbers (False)."""
CLIP = 10.0
"""Standardised inputs are clipped to this many standard deviations."""


def mlp(inputs: int, hidden: Sequence[int], outputs: int) -> nn.Sequential:
    """Return a multilayer perceptron with ReLU activations, `[..., inputs] -> [..., outputs]`."""
    sizes = [inputs, *hidden]
    layers: list[nn.Module] = []
    for size, following in pairwise(sizes):
        layers += [nn.Linear(size, following), nn.ReLU()]
    return nn.Sequential(*layers, nn.Linear(sizes[-1], outputs))


class Ensemble(nn.Module):
    """Multilayer perceptrons of one shape, evaluated as a batch, `[..., B, inputs] -> [members, ..., B, outputs]`."""

    targets: ClassVar[bool] = True
    """Whether a critic of this kind learns from target networks."""

    def __init__(self, members: int, inputs: int, hidden: Sequence[int], outputs: int) -> None:
        super().__init__()
        sizes = [inputs, *hidden, outputs]
        self.weights, self.biases = nn.ParameterList(), nn.ParameterList()
        for size, following in pairwise(sizes):
            bound = 1 / math.sqrt(size)
            self.weights.append(torch.empty(members, size, following).uniform_(-bound, bound))
            self.biases.append(torch.empty(members, 1, following).uniform_(-bound, bound))

    def forward(self, x: Tensor) -> Tensor:
        """Return the output of every member for a batch `[..., B, inputs]`."""
        rows = batched(x.flatten(0, -2), list(self.weights), list(self.biases))
        outputs: Tensor = rows.unflatten(1, x.shape[:-1])
        return outputs

    def learn(self, x: Tensor) -> Tensor:
        """Return the same for a batch that is learned from, which may update statistics."""
        outputs: Tensor = self(x)
        return outputs


def batched(x: Tensor, weights: Sequence[Tensor], biases: Sequence[Tensor]) -> Tensor:
    """Return the outputs `[members, B, outputs]` of several ReLU perceptrons for one batch, or for a batch each.

    Args:
        x: `[B, inputs]` or `[members, B, inputs]`.
        weights: one per layer, `[members, inputs, outputs]`.
        biases: one per layer, `[members, 1, outputs]`.
    """
    x = x.expand(len(weights[0]), *x.shape[-2:])
    last = len(weights) - 1
    for layer, (weight, bias) in enumerate(zip(weights, biases, strict=True)):
        x = torch.baddbmm(bias, x, weight)
        x = x if layer == last else x.relu()
    return x


class Standardise(nn.Module):
    """(x − mean) / standard deviation, with running statistics of all observed examples.

    Args:
        shape: shape of one example; each element has its own statistics.
        whole: whether values are integers, which sets the lower bound of the deviation.
    """

    mean: Tensor
    deviation: Tensor
    squares: Tensor
    count: Tensor

    def __init__(self, shape: Sequence[int], *, whole: bool = False) -> None:
        super().__init__()
        self.least = RESOLUTION[whole]
        self.register_buffer("mean", torch.zeros(*shape))
        self.register_buffer("deviation", torch.ones(*shape))
        self.register_buffer("squares", torch.zeros(*shape))
        self.register_buffer("count", torch.zeros(()))

    @torch.no_grad()
    def observe(self, x: Tensor) -> None:
        """Update the statistics with a batch `[B, *shape]` (parallel variance, Chan, Golub and LeVeque, 1979)."""
        x = x.to(self.mean.dtype)
        total = self.count + len(x)
        mean = x.mean(0)
        delta, within = mean - self.mean, (x - mean).square_().sum(0)
        self.squares += within + delta.square() * self.count * len(x) / total
        self.mean += delta * len(x) / total
        self.count.copy_(total)
        spread = (self.squares / total).sqrt().clamp_min(self.least)
        self.deviation.copy_(torch.where(total > 1, spread, torch.ones_like(spread)))

    def forward(self, x: Tensor) -> Tensor:
        """Return standardised values of the same shape, clipped to ±`CLIP`."""
        return ((x - self.mean) / self.deviation).clamp(-CLIP, CLIP)
