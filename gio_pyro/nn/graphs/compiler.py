"""Compilation of a graph in a helper process, while the run goes on, and loading of what it wrote.

torch's compiler (AOTInductor) takes a minute of one core for an update, and its result a few milliseconds to load. So
it runs in a process of its own, at a low priority. A run may be shorter than that: the process then goes on for
`LINGERS` seconds at most, and the next run finds the file.
"""

import os
import pickle
import shutil
import subprocess
import sys
import tempfile
import threading
import weakref
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

import torch
from torch import Tensor

from gio_pyro.errors import InputError
from gio_pyro.nn.graphs import cache
from gio_pyro.nn.graphs.capture import Graph

Compiled = Callable[[Sequence[Tensor]], list[Tensor]]
"""From state, inputs and draws to the results; the state changes in place."""

HELPER = "gio_pyro.nn.graphs.helper"
LINGERS = 60
"""Seconds for which a helper goes on after its parent has ended, where nobody waits for it."""
GRAPH, LOG = "graph.pickle", "log.txt"


class Compilation:
    """A helper process that compiles one graph into the cache.

    Args:
        graph: the graph.
        waits: whether the caller is going to wait for it, and it ends with this object or its process; else it takes
            only processor time that nobody else wants.
    """

    def __init__(self, graph: Graph, *, waits: bool = False) -> None:
        self.place = cache.place_of(graph)
        self.folder = Path(tempfile.mkdtemp(prefix="gio_pyro_"))
        (self.folder / GRAPH).write_bytes(pickle.dumps((graph.module, graph.meta)))
        with (self.folder / LOG).open("wb") as log:
            given = (self.folder / GRAPH, self.place, os.getpid(), 0 if waits else LINGERS)
            self.process = subprocess.Popen(
                [sys.executable, "-m", HELPER, *map(str, given)],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                env=_environment(),
            )
        left = cache.partial_of(self.place, self.process.pid)
        self._stop = partial(_stop, self.process, self.folder, left)
        self._finalizer = weakref.finalize(self, self._stop if waits else partial(_let_finish, self.process))
        self._finalizer.atexit = waits

    def running(self) -> bool:
        """Return whether the helper is at work."""
        return self.process.poll() is None

    def wait(self) -> None:
        """Wait until the helper has ended."""
        self.process.wait()

    def failure(self) -> str:
        """Return the last line of the helper's log: why it wrote no file."""
        lines = (self.folder / LOG).read_text("utf-8", "replace").split("\n") if self.folder.exists() else []
        return next((line.strip() for line in reversed(lines) if line.strip()), f"exit status {self.process.poll()}")

    def stop(self) -> None:
        """End the helper, if it is at work, and remove its folder."""
        self._finalizer.detach()
        self._stop()


def load(place: Path) -> Compiled | None:
    """Return a compiled graph, or None where there is none, or none that can be read."""
    if not place.is_file():
        return None
    _require_own(place)
    try:
        loader = torch._C._aoti.AOTIModelPackageLoader(str(place), "model", False, 1, -1)
    except RuntimeError:  # cut in half, or of another machine: it is compiled again
        place.unlink(missing_ok=True)
        return None

    @torch.no_grad()
    def run(tensors: Sequence[Tensor]) -> list[Tensor]:
        found: list[Tensor] = loader.boxed_run(list(tensors))
        return found

    return run


def _require_own(place: Path) -> None:
    """Raise `InputError` for a file of another user: it is machine code."""
    if hasattr(os, "getuid") and place.stat().st_uid not in (os.getuid(), 0):
        raise InputError(
            f"Expected compiled graphs of this user, but {place.parent} holds files of another; set GIO_PYRO_CACHE to "
            "a folder of yours."
        )


def _environment() -> dict[str, str]:
    threads = str(torch.get_num_threads())
    paths = os.pathsep.join(path for path in sys.path if path)
    own = {"OMP_NUM_THREADS": threads, "TORCHINDUCTOR_COMPILE_THREADS": "1", "PYTHONPATH": paths}
    return dict(os.environ) | own


def _let_finish(process: subprocess.Popen[bytes]) -> None:
    """Leave a process to itself, and reap it when it has ended."""
    if process.poll() is None:
        threading.Thread(target=process.wait, daemon=True).start()


def _stop(process: subprocess.Popen[bytes], folder: Path, left: Path) -> None:
    if process.poll() is None:
        process.kill()
        process.wait()
    left.unlink(missing_ok=True)
    shutil.rmtree(folder, ignore_errors=True)
