"""A graph that runs captured until it is compiled."""

import warnings
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from gio_pyro.errors import GioWarning, InputError
from gio_pyro.nn.graphs import cache
from gio_pyro.nn.graphs.capture import Graph
from gio_pyro.nn.graphs.comparison import close
from gio_pyro.nn.graphs.compiler import Compilation, Compiled, load


@dataclass
class Running:
    """A captured graph, the helper process that compiles it, and what that has written.

    Args:
        graph: the captured graph.
        waits: whether to wait for the compiler (`compile=True`), and to raise where it fails.
        step: a step of Adam, by which parameters may differ (see `agree`).
    """

    graph: Graph
    waits: bool
    step: float
    helper: Compilation | None = None
    looked: bool = False
    """Whether the compiled graph has been looked for."""
    compiled: Compiled | None = None

    def compile(self) -> None:
        """Begin to compile the graph in a helper process, unless that has been done before."""
        if not self.graph.draws_inside and not cache.place_of(self.graph).is_file():
            self.helper = Compilation(self.graph, waits=self.waits)

    def look(self, inputs: Sequence[Tensor]) -> None:
        """Use the compiled graph from now on, if there is one and it agrees with the captured one.

        Raises:
            InputError: `waits`, and the compiler wrote nothing, or a graph that does something else.
        """
        if self.looked:
            return
        if self.helper is not None and self.waits:
            self.helper.wait()
        elif self.helper is not None and self.helper.running():
            return
        self.looked = True
        compiled = load(cache.place_of(self.graph))
        if compiled is not None and agree(self.graph, compiled, inputs, self.step):
            self.compiled = compiled
        elif compiled is not None:
            self._report("the compiled graph differs from the captured one by more than rounding")
        elif self.helper is not None:
            self._report(f"torch's compiler wrote no graph ({self.helper.failure()[:120]})")
        if self.helper is not None:
            self.helper.stop()

    def run(self, state: Sequence[Tensor], inputs: Sequence[Tensor], draws: Sequence[Tensor]) -> list[Tensor]:
        """Return the results for a state, which changes in place."""
        if self.compiled is None:
            return self.graph.run(state, inputs, draws)
        return self.compiled([*state, *inputs, *draws])

    def _report(self, reason: str) -> None:
        if self.waits:
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
        expected = graph.run(mine, inputs, [draw.clone() for draw in draws])  # a graph may change them in place
        found = compiled([*others, *inputs, *draws])
    before = [*(tensor.detach() for tensor in graph.state), *(torch.zeros_like(tensor) for tensor in expected)]
    slack = [2 * step if tensor.requires_grad else 0.0 for tensor in graph.state] + [0.0] * len(expected)
    numbers = [figure.double().abs().max() for figure in expected if figure.numel()]
    scale = max([1.0, *(float(number) for number in numbers if number.isfinite())])
    return all(close(*four, scale) for four in zip(before, [*mine, *expected], [*others, *found], slack, strict=True))
