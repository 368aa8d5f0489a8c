"""Compiled graphs on disk: one file for each graph, kind of processor and version of torch.

The folder is `gio_pyro` in the user's cache directory (`XDG_CACHE_HOME`, or `.cache` in the home directory), or
`GIO_PYRO_CACHE` where that is set. Its files are machine code of this machine and may be deleted at any time.
"""

import hashlib
import os
import platform
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import cycle
from pathlib import Path

import torch

from gio_pyro.nn.graphs.capture import Graph

FORMAT = 1
"""Raise it where the helper compiles the same graph to another function."""
SUFFIX = ".pt2"


def folder() -> Path:
    """Return the folder of compiled graphs, which may not exist yet."""
    given = os.environ.get("GIO_PYRO_CACHE")
    if given:
        return Path(given)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "gio_pyro"


def place_of(graph: Graph) -> Path:
    """Return the file of a compiled graph: its name is a hash of all that the machine code depends on."""
    about = [
        *(str(part) for part in (FORMAT, torch.__version__, platform.machine(), torch.get_num_threads())),
        torch.backends.cpu.get_cpu_capability(),
        *(str(meta) for meta in graph.meta),
        graph.text,
    ]
    return folder() / (hashlib.sha256("\n".join(about).encode()).hexdigest()[:32] + SUFFIX)


def partial_of(place: Path, process: int) -> Path:
    """Return the file that the helper of this process id writes before it becomes `place`."""
    return place.with_name(f"{place.stem}-{process}{place.suffix}")


@contextmanager
def alone_with(place: Path) -> Iterator[None]:
    """Wait until no other helper compiles the same graph, as those of several runs of one program would."""
    lock = _lock(place.stem)
    with _locked(lock, wait=True):
        try:
            yield
        finally:
            lock.unlink(missing_ok=True)


@contextmanager
def in_turn() -> Iterator[None]:
    """Wait until fewer helpers compile than this machine has processors: many at once are all late."""
    for number in cycle(range(os.cpu_count() or 1)):
        with _locked(_lock(f"turn-{number}"), wait=False) as free:
            if free:
                yield
                return
        time.sleep(0.1)


def _lock(name: str) -> Path:
    return Path(tempfile.gettempdir()) / f"gio_pyro_{os.getuid() if hasattr(os, 'getuid') else 0}_{name}.lock"


@contextmanager
def _locked(path: Path, *, wait: bool) -> Iterator[bool]:
    """Hold a lock, or without waiting return whether it was free; always True on Windows, which has none."""
    try:
        import fcntl
    except ImportError:
        yield True
        return
    with path.open("a") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
        except BlockingIOError:
            yield False
            return
        yield True
