"""When a function runs as it is, as a captured graph, or compiled.

    compile=False    always as it is
    compile=True     compiled from the first call on, which waits for the compiler; what cannot be compiled is an error
    compile="auto"   captured after `CAPTURED_AFTER` calls, or at once where many are to come; compiled from then on
                     where the machine has compiled it before, else as soon as a helper process has

A captured graph is compared with the function, bit for bit, at its first two calls and at calls of number 2^k; a
compiled graph is compared with the captured one before it is used. So a function with a state in Python, or with random
numbers that torch does not draw, goes on as it is, with one `GioWarning`.
"""

import warnings
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from gio_pyro.errors import GioWarning, InputError
from gio_pyro.nn.graphs.capture import Figures, Function, capture
from gio_pyro.nn.graphs.comparison import equal_bits
from gio_pyro.nn.graphs.errors import NotCapturable
from gio_pyro.nn.graphs.running import Running
from gio_pyro.nn.graphs.sources import Sources, Watch

CAPTURED_AFTER = 100
"""Calls after which a function is captured, and from which on a compiled graph is used."""
WORTH_CAPTURING, WORTH_COMPILING = 300, 1_500
"""Calls to come for which a function is captured at once, and compiled in the background."""
MOST_SHAPES = 4
"""Graphs of a function, one for each shape of its inputs; for further shapes it runs as it is."""
MOST_CAPTURES = 12
"""Times that a function is captured; one whose programs keep changing runs as it is."""
POLLED_EVERY, POLLED = 16, 4
"""Of so many calls, those at which it is asked whether the compiler has finished: functions that share a `Progress`
take turns, and each has to be among them."""


@dataclass
class Progress:
    """How functions run, and how far that has come; shared by the functions of an agent, and saved with it."""

    how: bool | str
    """The setting `compile`."""
    calls: int = 0
    """Calls so far."""
    compiled: bool = False
    """Whether a compiled graph has been in use."""
    refusal: str = ""
    """Why the functions run as they are although they need not; empty otherwise."""
    captured_only: bool = False
    """Whether they are never compiled, and what cannot be captured runs as it is without a warning."""


@dataclass
class _Route:
    """The graph for one shape of inputs."""

    running: Running
    watch: Watch
    audits: int = 2
    """Calls that are still to be compared."""


@dataclass
class GraphedFunction:
    """A function of tensors that returns tensors by name, and how it is run.

    Args:
        function: the function; it may change the tensors of its sources in place.
        sources: what it reads and changes besides its inputs.
        progress: how it runs.
    """

    function: Function
    sources: Sources
    progress: Progress
    ahead: int = 0
    """Calls that are expected to come; decides whether capturing and compiling are worth their time."""
    routes: dict[Any, _Route] = field(default_factory=dict)
    captures: int = 0
    """Times that it has been captured."""
    fresh: bool = False
    """Whether the sources have been compared since `recheck`."""

    def __getstate__(self) -> dict[str, Any]:
        """Leave graphs out of copies and pickles: they refer to the tensors of this object."""
        return vars(self) | {"routes": {}}

    def __call__(self, *inputs: Tensor) -> Figures:
        """Return the results of the function.

        Raises:
            InputError: `compile=True` for a function that cannot be captured or compiled.
        """
        self.progress.calls += 1
        self.ahead -= 1
        route = self._route(inputs)
        if route is None:
            return self.function(*inputs)
        calls = self.progress.calls
        if (route.audits or calls & (calls - 1) == 0) and not self._audit(route, inputs):
            return self.function(*inputs)
        self._look(route.running, inputs)
        graph = route.running.graph
        return dict(zip(graph.names, route.running.run(graph.state, inputs, graph.draw()), strict=True))

    def prepare(self, *inputs: Tensor) -> None:
        """Capture the function for inputs like these, and begin to compile it, without running it."""
        self._route(inputs)

    def recheck(self) -> None:
        """Compare the sources with those of the graphs at the next call: other code, which may change them, has run."""
        self.fresh = False

    def _route(self, inputs: Sequence[Tensor]) -> _Route | None:
        """Return the graph for inputs like these; None where the function runs as it is."""
        progress = self.progress
        due = progress.how is True or progress.calls > CAPTURED_AFTER or self.ahead >= WORTH_CAPTURING
        if progress.how is False or progress.refusal or not (due or progress.compiled):
            return None
        if not self.fresh and not all(route.watch.holds() for route in self.routes.values()):
            self.routes.clear()
        self.fresh = True
        key = tuple((tensor.shape, tensor.dtype) for tensor in inputs)
        if key in self.routes:
            return self.routes[key]
        if len(self.routes) >= MOST_SHAPES or not self.sources.ready:
            return None
        self.captures += 1
        if self.captures > MOST_CAPTURES:
            self._refuse("a number or a tensor of a program has been replaced many times")
            return None
        try:
            graph = capture(self.function, inputs, self.sources)
        except NotCapturable as reason:
            self._refuse(str(reason))
            return None
        running = Running(graph, progress.how is True, self.sources.largest_step)
        wanted = progress.how is True or progress.compiled or self.ahead >= WORTH_COMPILING
        if wanted and not progress.captured_only:
            running.compile()
        self.routes[key] = _Route(running, self.sources.watch())
        return self.routes[key]

    def _look(self, running: Running, inputs: Sequence[Tensor]) -> None:
        """Look for the compiled graph when it may be used: the same number of calls in every run of this function."""
        progress = self.progress
        if progress.captured_only:
            return
        due = progress.how is True or progress.compiled or progress.calls > CAPTURED_AFTER
        if due and (running.helper is None or progress.how is True or progress.calls % POLLED_EVERY < POLLED):
            running.look(inputs)
            progress.compiled |= running.compiled is not None

    def _refuse(self, reason: str) -> None:
        if self.progress.how is True:
            raise InputError(
                f"Expected programs that compile, but {reason}; leave compile off, or remove Python control flow and "
                ".item() from the programs."
            )
        self.progress.refusal = reason
        self.routes.clear()
        if self.progress.captured_only:
            return
        warnings.warn(
            f"Expected programs that can be captured as a graph, but {reason}; the run goes on without, at about half "
            "the speed; compile=False does so without this warning.",
            GioWarning,
            stacklevel=2,
        )

    def _audit(self, route: _Route, inputs: Sequence[Tensor]) -> bool:
        """Return whether the graph does what the function does, bit for bit; both run on copies."""
        graph, saved = route.running.graph, self.sources.copies()
        copies = [tensor.detach().clone() for tensor in graph.state]
        with torch.random.fork_rng():
            start = torch.get_rng_state()
            figures = self.function(*inputs)
            end = torch.get_rng_state()
            after = [tensor.detach().clone() for tensor in graph.state]
            with torch.no_grad():
                for tensor, before in saved:
                    tensor.copy_(before)
            torch.set_rng_state(start)
            found = graph.run(copies, inputs, graph.draw())
            same = torch.equal(end, torch.get_rng_state())
        route.audits = max(0, route.audits - 1)
        if same and equal_bits([*figures.values(), *after], [*found, *copies]):
            return True
        self._refuse("its graph, run beside it, gave other numbers, so a program keeps a state in Python")
        return False
