"""Limit torch to one thread for small networks, for which several are slower."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar

import torch

SMALL_LAYER = 512
"""Hidden units up to which one thread is faster, with less variance, than several."""

_USER_THREADS: ContextVar[int | None] = ContextVar("users_threads", default=None)
"""Number of threads before the outermost block."""


@contextmanager
def few_threads(hidden: Sequence[int] = ()) -> Iterator[None]:
    """Use one thread inside the block unless a hidden layer is large; restores the number afterwards.

    With a large layer the block uses as many threads as the outermost block started with.

    Args:
        hidden: units of each hidden layer.
    """
    before = torch.get_num_threads()
    users = _USER_THREADS.get() or before
    outermost = _USER_THREADS.set(users)
    torch.set_num_threads(1 if max(hidden, default=0) <= SMALL_LAYER else users)
    try:
        yield
    finally:
        torch.set_num_threads(before)
        _USER_THREADS.reset(outermost)
