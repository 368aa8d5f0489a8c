"""Several copies of an environment to play in at once: how many there may be, and making them."""

import gc
import re
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

import torch

from gio_pyro.collection.deep_copy import CODE_TYPES
from gio_pyro.collection.environment_copy import copy_environment
from gio_pyro.collection.make import Env
from gio_pyro.collection.wrapper_statistics import freeze_statistics
from gio_pyro.utils.memory import free_bytes

MAX_COPIES = 32
"""Number of copies from which a further one saves little: the policy's share of a step is small by then."""
MAX_OBJECTS = 100_000
"""Python objects in all copies together; copying that many takes about half a second."""
MEMORY_SHARE = 0.25
"""Share of the free memory that all copies together may take."""


@contextmanager
def independent_copies(env: Env, count: int) -> Iterator[list[Env]]:
    """Yield at most `count` copies of an environment, with frozen statistics; closed afterwards.

    There are fewer where they would take too much memory or time to copy, and none where the environment cannot be
    copied. The environment itself is not changed.
    """
    count = min(count, MAX_COPIES, MAX_OBJECTS // max(len(_content(env)), 1))
    with ExitStack() as opened:
        copies: list[Env] = []
        before, budget = _own_bytes(), MEMORY_SHARE * free_bytes()
        try:
            while len(copies) < count:
                one: Any = copy_environment(env)
                opened.callback(_close, one)
                opened.enter_context(freeze_statistics(one))
                copies.append(one)
                if len(copies) == 1:
                    one.reset(seed=0)  # what an environment allocates at its first reset counts, too
                    taken = max(
                        _own_bytes() - before, sum(map(_bytes, _content(one)))
                    )  # the process may free some, too
                    count = min(count, int(budget // max(taken, 1)))
        except Exception:  # any class may raise anything, also when it is made again
            copies = []
        yield copies


def _close(env: Env) -> None:
    with suppress(Exception):
        env.close()


def _content(env: Env) -> list[Any]:
    """Return the Python objects that an environment refers to, up to about `MAX_OBJECTS`."""
    waiting: list[Any] = [vars(env)]
    seen = {id(waiting[0]): waiting[0]}
    while waiting and len(seen) < MAX_OBJECTS:
        one = waiting.pop()
        if not isinstance(one, CODE_TYPES):
            found = {id(item): item for item in gc.get_referents(one) if id(item) not in seen}
            seen |= found
            waiting += found.values()
    return list(seen.values())


def _bytes(one: Any) -> int:
    """Return the memory of one object, without what it refers to; memory of libraries in C is not known."""
    try:
        return one.untyped_storage().nbytes() if isinstance(one, torch.Tensor) else sys.getsizeof(one)
    except Exception:  # any class may raise anything
        return 0


def _own_bytes() -> int:
    """Return the memory that this process has written, also what was swapped out; 0 where the system does not say.

    Pages of files do not count: the system takes them back at any time, which would hide what a copy takes.
    """
    try:
        status = Path("/proc/self/status").read_text()
    except OSError:
        return 0
    return 1024 * sum(map(int, re.findall(r"^(?:RssAnon|VmSwap):\s+(\d+) kB$", status, re.MULTILINE)))
