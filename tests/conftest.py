"""Every test starts from the same random numbers and an empty parameter store, in whatever order tests run."""

import math
import os
import random
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.random.bit_generator
import pyro
import pytest
import torch
from hypothesis import settings
from torch import Tensor

from gio_pyro.nn.graphs import cache, function, running
from gio_pyro.nn.graphs.capture import Graph

SEED = 0
ENTROPY = random.Random()
"""What NumPy, and Gymnasium with it, draw from where a test gives no seed, instead of from the operating system."""

settings.register_profile("same every time", derandomize=True, database=None)
settings.load_profile("same every time")


def seed_all() -> None:
    """Seed Python, NumPy and PyTorch, and NumPy generators that are made without a seed."""
    ENTROPY.seed(SEED)
    random.seed(SEED)
    np.random.seed(SEED)  # noqa: NPY002
    torch.manual_seed(SEED)


def pytest_configure(config: pytest.Config) -> None:
    """Take one thread, keep the seeds of this file, and do without a home that is written.

    Networks are small, and workers that all take every core wait for each other. pytest-randomly is asked for another
    order alone (`-p randomly`). Matplotlib warns of a home folder that it cannot write to, and arviz 0.23 cannot be
    imported there.
    """
    os.environ.setdefault("OMP_NUM_THREADS", "1")  # for the workers, and for processes that tests start
    torch.set_num_threads(int(os.environ["OMP_NUM_THREADS"]))
    if hasattr(config.option, "randomly_reset_seed"):
        config.option.randomly_reset_seed = False
    os.environ["GIO_PYRO_CACHE"] = tempfile.mkdtemp(prefix="graphs-")  # graphs compiled before would change last digits
    if not os.access(Path.home(), os.W_OK):
        for name in ("MPLCONFIGDIR", "XDG_CACHE_HOME"):
            os.environ.setdefault(name, tempfile.mkdtemp())


@pytest.hookimpl(hookwrapper=True)
def pytest_fixture_setup() -> Iterator[None]:
    """Seed before each fixture: one that several tests share is the same whichever of them comes first."""
    seed_all()
    yield


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_call() -> Iterator[None]:
    """Seed before the test itself, whatever its fixtures drew."""
    seed_all()
    yield


@pytest.fixture(autouse=True, scope="session")
def entropy() -> Iterator[None]:
    """Put `ENTROPY` in the place of the operating system's."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(numpy.random.bit_generator, "randbits", ENTROPY.getrandbits)
        yield


@pytest.fixture(autouse=True)
def own_store() -> Iterator[None]:
    """Give the test an empty Pyro parameter store and put back the one that there was."""
    store: Any = pyro.get_param_store()
    before = store.get_state()
    store.clear()
    yield
    store.set_state(before)


@pytest.fixture(autouse=True)
def nothing_in_the_background(monkeypatch: pytest.MonkeyPatch) -> None:
    """Compile nothing while tests run; what a run learns would depend on when the helper process has finished."""
    monkeypatch.setattr(function, "WORTH_COMPILING", math.inf)


@pytest.fixture
def uncompiled(monkeypatch: pytest.MonkeyPatch) -> list[Graph]:
    """Use a compiler that leaves graphs as they are; returns those that it has been given."""
    graphs: list[Graph] = []

    class Helper:
        def __init__(self, graph: Graph, *, waits: bool) -> None:
            graphs.append(graph)

        def wait(self) -> None:
            pass

        stop = wait

        def running(self) -> bool:
            return False

    def load(place: Path) -> Callable[[Sequence[Tensor]], list[Tensor]] | None:
        found = [graph for graph in graphs if cache.place_of(graph) == place]
        return (lambda tensors: found[0].run(tensors, (), ())) if found else None

    monkeypatch.setattr(running, "Compilation", Helper)
    monkeypatch.setattr(running, "load", load)
    return graphs
