"""Whether two ways of computing the same tensors agree: bit for bit, or up to rounding."""

from collections.abc import Sequence

import torch
from torch import Tensor

ROUNDING = 0.01
"""Largest difference of two results of a step, as a share of the change that the step makes."""
RESOLUTION = 1e-5
"""The same as a share of the tensor itself, by Euclidean norms."""
CANCELLED = 1e-6
"""What rounding leaves of numbers of size 1 that should cancel, as the gradient of a bias before a batch norm."""


def equal_bits(some: Sequence[Tensor], others: Sequence[Tensor]) -> bool:
    """Return whether the tensors are equal one by one, NaN included."""
    pairs = list(zip(some, others, strict=False))
    return len(some) == len(others) and all(torch.equal(_defined(one), _defined(other)) for one, other in pairs)


def close(before: Tensor, expected: Tensor, found: Tensor, slack: float = 0.0, scale: float = 1.0) -> bool:
    """Return whether two results of a step from the same tensor differ by rounding only, or by `slack` at most.

    `scale` is the size of the largest numbers of the step, whose rounding is left where terms cancel. A result that is
    not finite is close to any other one that is not.
    """
    if not expected.is_floating_point():
        return torch.equal(expected, found)
    before, expected, found = before.double(), expected.double(), found.double()
    if not bool(expected.isfinite().all()):
        return not bool(found.isfinite().all())
    error, change, size = (found - expected).norm(), (expected - before).norm(), expected.norm()
    if not expected.numel():
        return True
    rounding = error <= ROUNDING * change + RESOLUTION * size + CANCELLED * scale
    return bool(rounding | ((found - expected).abs().amax() <= slack))


def _defined(tensor: Tensor) -> Tensor:
    """Return a tensor in which NaN, which equals nothing, is another number."""
    tensor = tensor.detach()
    return tensor.nan_to_num(1.25e30) if tensor.is_floating_point() else tensor
