"""Every public function, with one argument after the other replaced by what people hand over by mistake.

A call ends within two seconds: it succeeds, or raises an error of this library, one sentence of at most 300 characters
that begins with "Expected" and shows no array. The default command takes a share of all calls, another share of each
argument; the whole sweep is `pytest -m learning tests/fuzz`, or `python -m tests.fuzz.sweep` with the failures listed.

Cost: 15 s; the whole sweep two minutes.
"""

import inspect
from types import ModuleType

import pytest
import torch

import gio_pyro
from gio_pyro import futures, signals, tabular

from . import agents, exact
from . import futures as of_futures
from .harness import CALLS_OF, little_memory, public, trials

SHARE = 20
"""One in so many calls is made by default."""
PARTS: dict[str, tuple[ModuleType, CALLS_OF]] = {
    "gio_pyro": (gio_pyro, agents.CALLS),
    "signals": (signals, agents.SIGNALS),
    "tabular": (tabular, exact.CALLS),
    "futures": (futures, of_futures.CALLS),
}


NEEDS_MORE = {"Empowerment", "Reachability", "Seen", "Spec", "Transitions", "WorldSpec"}
"""Two signals of replay and of episodes, which have tests of their own, and four records."""


@pytest.fixture(autouse=True, scope="module")
def warm() -> None:
    """What torch imports when it is first needed does not count."""
    torch.zeros(1, device="meta") % 2
    torch.unravel_index(torch.tensor(0), (1, 1))
    gio_pyro.GIO(agents.Coin())


@pytest.mark.parametrize("part", PARTS)
def test_every_public_function_and_argument_is_called(part: str):
    module, calls = PARTS[part]
    assert set(public(module)) - NEEDS_MORE <= {name.partition(".")[0] for name in calls}
    for name, build in calls.items():
        function, arguments = build()
        function(**arguments)
        taken = inspect.signature(getattr(module, name) if name in module.__all__ else function).parameters
        assert {n for n, p in taken.items() if p.kind not in (p.VAR_KEYWORD, p.VAR_POSITIONAL)} <= set(arguments), name


@pytest.mark.parametrize("part", PARTS)
def test_a_mistake_ends_in_a_sentence(part: str):
    with little_memory():
        assert [*trials(PARTS[part][1], SHARE)] == []


@pytest.mark.learning
@pytest.mark.parametrize("part", PARTS)
def test_every_mistake_ends_in_a_sentence(part: str):
    with little_memory():
        assert [*trials(PARTS[part][1], 1)] == []
