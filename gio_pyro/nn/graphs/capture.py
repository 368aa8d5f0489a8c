"""The graph of a function: the tensor operations of one call, gradients and optimisers included."""

import operator
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, fx

from gio_pyro.errors import describe_error
from gio_pyro.nn.graphs.decompositions import EXACT, trace
from gio_pyro.nn.graphs.errors import NotCapturable
from gio_pyro.nn.graphs.interpreter import Run, function_of
from gio_pyro.nn.graphs.random_draws import draws_inside, separate_draws
from gio_pyro.nn.graphs.sources import Sources

Figures = dict[str, Tensor]
Function = Callable[..., Figures]
"""From tensors to tensors by name; it may change the tensors of its `Sources` in place."""

COPYING = torch.ops.aten.detach.default
"""Without gradients, another name of the same tensor."""


@dataclass(frozen=True)
class Graph:
    """A function as operations on (the tensors it holds, its inputs, its random draws).

    `state` are the tensors that are read or changed in place, `names` those of the results.
    """

    module: fx.GraphModule
    state: tuple[Tensor, ...]
    names: tuple[str, ...]
    _run: Run = field(repr=False)
    _draw: Run | None = field(repr=False)
    meta: tuple[Any, ...] = field(repr=False)
    """Shape, strides, dtype and device of each input of `module`."""

    @property
    def text(self) -> str:
        """Every operation with its arguments: two graphs with the same text do the same."""
        return "\n".join(f"{n.op} {n.name} {n.target} {n.args} {n.kwargs}" for n in self.module.graph.nodes)

    @property
    def draws_inside(self) -> bool:
        """Whether it draws random numbers itself, from what it computes: compiled, it would draw others."""
        return draws_inside(self.module)

    @torch.no_grad()
    def draw(self) -> list[Tensor]:
        """Draw the random numbers of one call, in the order in which the function draws them."""
        return [] if self._draw is None else self._draw()

    @torch.no_grad()
    def run(self, state: Sequence[Tensor], inputs: Sequence[Tensor], draws: Sequence[Tensor]) -> list[Tensor]:
        """Return the results for a state, which changes in place."""
        return self._run(*state, *inputs, *draws)


def capture(function: Function, inputs: Sequence[Tensor], sources: Sources) -> Graph:
    """Return the graph of one call of a function, which leaves no trace: state and random generators are restored.

    Raises:
        NotCapturable: the function reads a value on the host, selects rows by a mask, or keeps a state in Python.
    """
    names: list[str] = []

    def flat(*tensors: Tensor) -> list[Tensor]:
        figures = function(*tensors)
        names[:] = figures
        return list(figures.values())

    copies, watch = sources.copies(), sources.watch()
    try:
        with torch.random.fork_rng(), warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of torch's own tracer; the function has run before
            module = trace(flat, inputs, EXACT)
    except Exception as error:
        raise NotCapturable(f"capturing it raised {describe_error(error, 120)}") from error
    finally:
        sources.without_gradients()
        with torch.no_grad():
            for tensor, before in copies:
                tensor.copy_(before)
    if not watch.values_hold():
        raise NotCapturable("a program changes a number of its own in Python")
    _require_fixed_shapes(module)
    state = _state_as_inputs(module)
    draws = separate_draws(module)
    module.graph.eliminate_dead_code()
    module = fx.GraphModule(torch.nn.Module(), module.graph)  # without the tensors, which are inputs now
    draw = None if draws is None else function_of(draws)
    nodes = [node for node in module.graph.nodes if node.op == "placeholder"][len(state) :]
    meta = meta_of([*state, *(node.meta["val"] for node in nodes)])
    return Graph(module, state, tuple(names), function_of(module), draw, meta)


def _state_as_inputs(module: fx.GraphModule) -> tuple[Tensor, ...]:
    """Turn the tensors that a graph holds into its first inputs; return them."""
    graph, found = module.graph, dict[int, tuple[fx.Node, Tensor]]()
    first = next(iter(graph.nodes))
    for node in list(graph.nodes):
        if node.op == "get_attr":
            tensor = operator.attrgetter(str(node.target))(module)
            if id(tensor) not in found:
                with graph.inserting_before(first):
                    found[id(tensor)] = graph.placeholder(f"state_{len(found)}"), tensor
            node.replace_all_uses_with(found[id(tensor)][0])
        elif node.target is COPYING:
            node.replace_all_uses_with(node.args[0])
        else:
            continue
        graph.erase_node(node)
    return tuple(tensor for _, tensor in found.values())


def meta_of(tensors: Sequence[Tensor]) -> tuple[Any, ...]:
    """Return shape, strides, dtype and device of tensors."""
    return tuple((tuple(t.shape), t.stride(), t.dtype, str(t.device)) for t in tensors)


def _require_fixed_shapes(module: fx.GraphModule) -> None:
    """Raise `NotCapturable` if a graph selects rows by a mask, since their number varies between batches."""
    for node in module.graph.nodes:
        name = str(node.target)
        indices = [where for argument in node.args[1:2] if isinstance(argument, list | tuple) for where in argument]
        by_mask = "index" in name and any(_is_mask(where) for where in indices if where is not None)
        if by_mask or name.startswith(("aten.nonzero", "aten.masked_select")):
            raise NotCapturable(f"rows are selected by a mask ({name}), so their number varies between batches")
        if name.startswith(("aten._unique", "aten.unique")):
            raise NotCapturable(f"equal rows are merged ({name}), so their number varies between batches")


def _is_mask(node: Any) -> bool:
    described = node.meta.get("tensor_meta") or node.meta.get("val")
    return getattr(described, "dtype", None) is torch.bool
