"""The graphs of one function of several owners, such as agents with different seeds, as one graph.

Every tensor gets a first axis over the owners, and every operation runs once for all of them (`torch.func.vmap`), with
batched matrix products. The owners' tensors become views of the stacked ones, so that each of them can still be used by
itself.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, fx

from gio_pyro.nn.graphs.capture import Graph, meta_of
from gio_pyro.nn.graphs.decompositions import FUSED, trace
from gio_pyro.nn.graphs.errors import NotCapturable
from gio_pyro.nn.graphs.interpreter import function_of
from gio_pyro.nn.graphs.sources import Sources


class Stack:
    """The graph of one function for K owners.

    Args:
        graph: the graph of the first owner.
        sources: what the function of each owner reads and changes, the first one's first.

    Raises:
        NotCapturable: the owners differ, or the function draws random numbers from what it computes.
    """

    def __init__(self, graph: Graph, sources: Sequence[Sources]) -> None:
        if graph.draws_inside:
            raise NotCapturable("a program draws random numbers from what it computes")
        held = [one.tensors() for one in sources]
        if any([t.shape for t in tensors] != [t.shape for t in held[0]] for tensors in held):
            raise NotCapturable("their tensors differ in shape")
        places = {id(tensor): number for number, tensor in enumerate(held[0])}
        self.first = graph
        self.owned = [[tensors[places[id(t)]] if id(t) in places else t for t in graph.state] for tensors in held]
        """The state of each owner, `[K][S]`; constants of the graph are the same tensor for all."""
        self.stacked: Graph | None = None
        self.state: list[Tensor] = []

    def join(self) -> None:
        """Make the tensors of the owners views of stacked ones."""
        self.state = []
        for same in zip(*self.owned, strict=True):
            stacked = torch.stack([tensor.detach() for tensor in same])
            for tensor, own in zip(same, stacked, strict=True):
                if len({id(one) for one in same}) > 1:
                    tensor.data = own
            self.state.append(stacked)

    def part(self) -> None:
        """Give each owner tensors of its own again."""
        for tensor in {id(tensor): tensor for tensors in self.owned for tensor in tensors}.values():
            tensor.data = tensor.data.clone()
        self.state = []

    def graph(self, inputs: Sequence[Sequence[Tensor]], draws: Sequence[Sequence[Tensor]]) -> Graph:
        """Return the stacked graph, for inputs and draws of each owner like these."""
        if self.stacked is None:
            examples = [*self.state, *joined(inputs), *joined(draws)]
            module = _stacked(self.first.module, [tensor.clone() for tensor in examples])
            run = function_of(module)
            self.stacked = Graph(module, tuple(self.state), self.first.names, run, None, meta_of(examples))
        return self.stacked


def joined(parts: Sequence[Sequence[Tensor]]) -> list[Tensor]:
    """Return the tensors of K owners, one list each, stacked along a first axis."""
    return [torch.stack(same) for same in zip(*parts, strict=True)]


@torch.no_grad()
def _stacked(module: fx.GraphModule, examples: Sequence[Tensor]) -> fx.GraphModule:
    """Return a graph with every tensor stacked; `examples` are its inputs, which change."""
    one = [tensor[0].clone() for tensor in examples]
    written_out = trace(module, one, FUSED)  # there is no batched step of Adam
    found = trace(torch.vmap(lambda *tensors: tuple(written_out(*tensors)), randomness="error"), examples)
    found.graph.eliminate_dead_code()
    found.recompile()
    return found
