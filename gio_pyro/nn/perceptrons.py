"""Multilayer perceptrons, ensembles of them, and the standardisation of their inputs.

Statistics of inputs are updated by `observe`, never by `forward`.
"""

import math
from collections.abc import Sequence
from itertools import pairwise

import torch
from torch import Tensor, nn

RESOLUTION = {True: 0.5, False: 1e-3}
"""Least standard deviation that inputs are divided by: half a step of whole-numbered ones, or of real ones."""
CLIP = 10.0
"""Standardised inputs are cut at this many standard deviations."""


def mlp(inputs: int, hidden: Sequence[int], outputs: int) -> nn.Sequential:
    """Return a perceptron with rectified hidden layers, `[..., inputs] -> [..., outputs]`."""
    sizes = [inputs, *hidden]
    layers: list[nn.Module] = []
    for size, following in pairwise(sizes):
        layers += [nn.Linear(size, following), nn.ReLU()]
    return nn.Sequential(*layers, nn.Linear(sizes[-1], outputs))


class Ensemble(nn.Module):
    """Perceptrons of one shape that are computed together, `[..., B, inputs] -> [members, B, outputs]`."""

    def __init__(self, members: int, inputs: int, hidden: Sequence[int], outputs: int) -> None:
        super().__init__()
        sizes = [inputs, *hidden, outputs]
        self.weights, self.biases = nn.ParameterList(), nn.ParameterList()
        for size, following in pairwise(sizes):
            bound = 1 / math.sqrt(size)
            self.weights.append(torch.empty(members, size, following).uniform_(-bound, bound))
            self.biases.append(torch.empty(members, 1, following).uniform_(-bound, bound))

    def forward(self, x: Tensor) -> Tensor:
        """Return every member's answer to the same batch `[B, inputs]`."""
        return batched(x, list(self.weights), list(self.biases))


def batched(x: Tensor, weights: Sequence[Tensor], biases: Sequence[Tensor]) -> Tensor:
    """Return several rectified perceptrons' answers to the same batch, or to a batch each.

    Args:
        x: `[B, inputs]` or `[members, B, inputs]`.
        weights: of each layer, `[members, inputs, outputs]`.
        biases: of each layer, `[members, 1, outputs]`.
    """
    x = x.expand(len(weights[0]), *x.shape[-2:])
    last = len(weights) - 1
    for layer, (weight, bias) in enumerate(zip(weights, biases, strict=True)):
        x = torch.baddbmm(bias, x, weight)
        x = x if layer == last else x.relu()
    return x


class Standardise(nn.Module):
    """(x − mean) / standard deviation, with the mean and deviation of all that was observed so far.

    Args:
        shape: of one example; statistics are kept for each number of it.
        whole: whether the numbers are integers, which bounds their deviation from below.
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
        """Take a batch `[B, *shape]` into the statistics (Chan, Golub and LeVeque, 1979)."""
        x = x.to(self.mean.dtype)
        total = self.count + len(x)
        mean = x.mean(0)
        ahead, within = mean - self.mean, (x - mean).square_().sum(0)
        self.squares += within + ahead.square() * self.count * len(x) / total
        self.mean += ahead * len(x) / total
        self.count.copy_(total)
        spread = (self.squares / total).sqrt().clamp_min(self.least)
        self.deviation.copy_(torch.where(total > 1, spread, torch.ones_like(spread)))

    def forward(self, x: Tensor) -> Tensor:
        """Return standardised numbers of the same shape, cut at `CLIP`."""
        return ((x - self.mean) / self.deviation).clamp(-CLIP, CLIP)
