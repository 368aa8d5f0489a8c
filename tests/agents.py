"""What tests compare agents by: every tensor, setting and count."""

import contextlib
from collections.abc import Iterator
from typing import Any

import numpy as np
import pyro
import torch
from torch import Tensor

from gio_pyro import GIO
from gio_pyro.checkpointing import agent_state


def leaves(value: Any, where: str = "") -> dict[str, Any]:
    """Every plain value and tensor in nested dictionaries and lists, by its place."""
    if isinstance(value, dict):
        pairs = [(f"{where}/{key}", item) for key, item in value.items()]
    elif isinstance(value, list | tuple):
        pairs = [(f"{where}/{number}", item) for number, item in enumerate(value)]
    else:
        return {where: value}
    return {place: leaf for name, item in pairs for place, leaf in leaves(item, name).items()}


def same(first: Any, second: Any) -> bool:
    if isinstance(first, Tensor):
        return isinstance(second, Tensor) and first.dtype == second.dtype and torch.equal(first, second)
    return type(first) is type(second) and first == second


def differences(first: Any, second: Any, ignore: tuple[str, ...] = ()) -> list[str]:
    """Where two agents, or two nested states, are not exactly equal."""
    a, b = (leaves(agent_state.state_of(x) if isinstance(x, GIO) else x) for x in (first, second))
    places = [place for place in sorted(a.keys() | b.keys()) if not place.startswith(ignore)]
    return [place for place in places if place not in a or place not in b or not same(a[place], b[place])]


def users_state() -> dict[str, Any]:
    """What belongs to the user of the library: global generators, stores, settings."""
    return {
        "torch": torch.get_rng_state(),
        "numpy": str(np.random.get_state()),  # noqa: NPY002
        "store": sorted(pyro.get_param_store().keys()),
        "settings": {name: str(value) for name, value in pyro.settings.get().items()},
        "validation": torch.distributions.Distribution._validate_args,
        "dtype": str(torch.get_default_dtype()),
        "threads": torch.get_num_threads(),
        "gradients": torch.is_grad_enabled(),
    }


@contextlib.contextmanager
def untouched() -> Iterator[None]:
    before = users_state()
    yield
    assert differences(before, users_state()) == []
