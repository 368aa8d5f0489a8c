"""Modes in which programs run: fitted or read, with or without gradients, with or without Pyro's validation."""

from collections.abc import Iterator
from contextlib import contextmanager

import pyro
from torch import nn


@contextmanager
def without_validation() -> Iterator[None]:
    """Disable Pyro's and torch's validation inside the block, and restore each setting afterwards."""
    flags = ("distributions_pyro", "distributions_torch", "infer", "poutine")
    with pyro.settings.context(**{f"validate_{flag}": False for flag in flags}):
        yield


@contextmanager
def fitting(program: nn.Module) -> Iterator[None]:
    """Put a program into training mode inside the block, and into evaluation mode afterwards."""
    program.train()
    try:
        yield
    finally:
        program.eval()


@contextmanager
def frozen_parameters(program: nn.Module) -> Iterator[None]:
    """Disable gradients of a program's parameters inside the block; gradients of its inputs still flow."""
    trainable = [p for p in program.parameters() if p.requires_grad]
    for parameter in trainable:
        parameter.requires_grad_(False)
    try:
        yield
    finally:
        for parameter in trainable:
            parameter.requires_grad_(True)
