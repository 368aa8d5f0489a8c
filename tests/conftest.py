"""Every test starts from the same random numbers and an empty parameter store, in whatever order tests run."""

import os
import random
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import numpy.random.bit_generator
import pyro
import pytest
import torch
from hypothesis import settings

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
    """Keep the seeds of this file where pytest-randomly is asked for another order; do without a home that is written.

    The order is random with `-p randomly`. Matplotlib warns of a home folder that it cannot write to, and arviz 0.23
    cannot be imported there.
    """
    if hasattr(config.option, "randomly_reset_seed"):
        config.option.randomly_reset_seed = False
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
