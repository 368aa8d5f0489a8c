"""How many threads torch computes with: one, where networks are too small to be worth sharing."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import torch

SMALL = 512
"""Hidden units up to which one thread is faster, and steadier, than several."""


@contextmanager
def few_threads(hidden: Sequence[int]) -> Iterator[None]:
    """Compute with one thread inside the block if no hidden layer is large, and with as many as before after it."""
    before = torch.get_num_threads()
    torch.set_num_threads(1 if max(hidden, default=0) <= SMALL else before)
    try:
        yield
    finally:
        torch.set_num_threads(before)
