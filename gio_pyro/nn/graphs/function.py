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
from gio_pyro.nn.graphs import cache
from gio_pyro.nn.graphs.capture import Figures, Function, Graph, capture
from gio_pyro.nn.graphs.comparison import close, equal_bits
from gio_pyro.nn.graphs.compiler import Compilation, Compiled, load
from gio_pyro.nn.graphs.errors import NotCapturable
from gio_pyro.nn.graphs.sources import Sources, Watch

CAPTURED_AFTER = 100
"""Calls after which a function is captured, and from which on a compiled graph is used."""
WORTH_CAPTURING, WORTH_COMPILING = 300, 1_500
"""Calls to come for which a function is captured at once, and compiled in the background."""
MOST_SHAPES = 4
"""Graphs of a function, one for each shape of its inputs; for further shapes it runs as it is."""
POLLED_EVERY = 16
"""Calls between looks at whether the compiler has finished."""


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


@dataclass
class _Route:
    """The graph for one shape of inputs."""

    graph: Graph
    watch: Watch
    helper: Compilation | None
    audits: int = 2
    """Calls that are still to be compared."""
    looked: bool = False
    """Whether the compiled graph has been looked for."""
    compiled: Compiled | None = None


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
        self._look_for_compiled(route, inputs)
        state, draws = route.graph.state, route.graph.draw()
        if route.compiled is None:
            found = route.graph.run(state, inputs, draws)
        else:
            found = route.compiled([*state, *inputs, *draws])
        return dict(zip(route.graph.names, found, strict=True))

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
        key = tuple((tensor.shape, tensor.dtype) for tensor in inputs)
        route = self.routes.get(key)
        if route is not None and (self.fresh or all(one.watch.holds() for one in self.routes.values())):
            self.fresh = True
            return route
        if (route is None and len(self.routes) >= MOST_SHAPES) or not self.sources.ready:
            return None
        try:
            graph = capture(self.function, inputs, self.sources)
        except NotCapturable as reason:
            self._refuse(str(reason))
            return None
        self.fresh = False
        self.routes[key] = _Route(graph, self.sources.watch(), self._compilation(graph))
        return self.routes[key]

    def _compilation(self, graph: Graph) -> Compilation | None:
        """Begin to compile a graph, where that is worth its time and not done yet."""
        wanted = self.progress.how is True or self.progress.compiled or self.ahead >= WORTH_COMPILING
        if not wanted or graph.draws_inside or cache.place_of(graph).is_file():
            return None
        return Compilation(graph, waits=self.progress.how is True)

    def _refuse(self, reason: str) -> None:
        if self.progress.how is True:
            raise InputError(
                f"Expected programs that compile, but {reason}; leave compile off, or remove Python control flow and "
                ".item() from the programs."
            )
        self.progress.refusal = reason
        self.routes.clear()
        warnings.warn(
            f"Expected programs that can be captured as a graph, but {reason}; the run goes on without, at about half "
            "the speed; compile=False does so without this warning.",
            GioWarning,
            stacklevel=2,
        )

    def _audit(self, route: _Route, inputs: Sequence[Tensor]) -> bool:
        """Return whether the graph does what the function does, bit for bit; both run on copies."""
        graph, saved = route.graph, self.sources.copies()
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

    def _look_for_compiled(self, route: _Route, inputs: Sequence[Tensor]) -> None:
        """Use the compiled graph from now on, if there is one and it agrees with the captured one."""
        progress, helper = self.progress, route.helper
        due = progress.how is True or progress.compiled or progress.calls > CAPTURED_AFTER
        if route.looked or not due:
            return
        if helper is not None and progress.how is True:
            helper.wait()
        elif helper is not None and (progress.calls % POLLED_EVERY or helper.running()):
            return
        route.looked = True
        compiled = load(cache.place_of(route.graph))
        if compiled is not None and agree(route.graph, compiled, inputs, self.sources.largest_step):
            route.compiled, progress.compiled = compiled, True
        elif compiled is not None:
            self._report("the compiled graph differs from the captured one by more than rounding")
        elif helper is not None:
            self._report(f"torch's compiler wrote no graph ({helper.failure()[:120]})")
        if helper is not None:
            helper.stop()

    def _report(self, reason: str) -> None:
        if self.progress.how is True:
            raise InputError(f"Expected programs that compile, but {reason}; leave compile off.")
        text = f"Expected an update that compiles, but {reason}; the run goes on with the captured graph."
        warnings.warn(text, GioWarning, stacklevel=2)


def agree(graph: Graph, compiled: Compiled, inputs: Sequence[Tensor], step: float) -> bool:
    """Return whether a compiled graph does what the captured one does, up to rounding; both run on copies.

    Where the gradient of a parameter is 0 up to rounding, as of a bias before a batch norm, Adam makes a step of it;
    so parameters may differ by two steps, of size `step`, but the moments of their gradients may not.
    """
    mine, others = ([tensor.detach().clone() for tensor in graph.state] for _ in range(2))
    with torch.random.fork_rng():
        draws = graph.draw()
        start = torch.get_rng_state()
        expected = graph.run(mine, inputs, [draw.clone() for draw in draws])  # a graph may change them in place
        torch.set_rng_state(start)
        found = compiled([*others, *inputs, *draws])
    before = [*(tensor.detach() for tensor in graph.state), *(torch.zeros_like(tensor) for tensor in expected)]
    slack = [2 * step if tensor.requires_grad else 0.0 for tensor in graph.state] + [0.0] * len(expected)
    return all(close(*four) for four in zip(before, [*mine, *expected], [*others, *found], slack, strict=True))
