"""How many threads torch computes with: one, where networks are too small to be worth sharing."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar

import torch

SMALL_LAYER = 512
"""Hidden units up to which one thread is faster, and steadier, than several."""

_USER_THREADS: ContextVar[int | None] = ContextVar("users_threads", default=None)
"""How many threads the user had before the outermost block."""


@contextmanager
def few_threads(hidden: Sequence[int] = ()) -> Iterator[None]:
    """Compute with one thread inside the block if no hidden layer is large, and with as many as before after it.

    Where one is large, the block has the threads that the user had, also inside a block of one thread.
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
