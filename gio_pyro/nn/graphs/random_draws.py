"""Random numbers of a graph as its inputs, drawn before it runs.

A graph that draws its own numbers cannot be compiled to the same numbers, nor run for several seeds at once. So the
operations that draw without looking at data move to a graph of their own, in their order, and their results become
inputs. If any other operation draws (a gamma variable, whose shape the graph computes), all of them stay where they
are, as the order of the draws would change; such a graph is not compiled.
"""

import operator
from typing import Any

import torch
from torch import fx

from gio_pyro.nn.graphs.errors import NotCapturable


def separate_draws(module: fx.GraphModule) -> fx.GraphModule | None:
    """Move the draws of a graph out of it and return the graph of the draws, which returns a list; None without any.

    The results become the last inputs of `module`.
    """
    graph = module.graph
    drawing = [node for node in graph.nodes if _draws(node)]
    for node in drawing:
        if node.kwargs.get("generator") is not None:
            raise NotCapturable("a program draws from a generator of its own")
    sources = {node: _without_data(node) for node in drawing}
    if not drawing or any(found is None for found in sources.values()):
        return None
    draws, copies = fx.Graph(), dict[fx.Node, fx.Node]()
    for node in graph.nodes:  # in the order of the graph
        if any(node in found for found in sources.values() if found is not None):
            copies[node] = draws.node_copy(node, lambda one: copies[one])
    draws.output([copies[node] for node in drawing])
    last = [node for node in graph.nodes if node.op == "placeholder"][-1]
    for number, node in enumerate(drawing):
        with graph.inserting_after(last):
            last = graph.placeholder(f"draw_{number}")
        last.meta = dict(node.meta)
        node.replace_all_uses_with(last)
    for node in reversed(drawing):
        graph.erase_node(node)
    return fx.GraphModule(torch.nn.Module(), draws)


def draws_inside(module: fx.GraphModule) -> bool:
    """Return whether a graph still draws random numbers itself."""
    return any(_draws(node) for node in module.graph.nodes)


def _draws(node: fx.Node) -> bool:
    return torch.Tag.nondeterministic_seeded in getattr(node.target, "tags", ())


def _without_data(node: fx.Node) -> set[fx.Node] | None:
    """Return a node and all that it is computed from, or None if that includes data, or is used elsewhere changed."""
    found, waiting = set[fx.Node](), [node]
    while waiting:
        one = waiting.pop()
        if one.op != "call_function" or (one is not node and _draws(one)):
            return None
        found.add(one)
        waiting += one.all_input_nodes
    changed = node.args[0] if _in_place(node) else None
    return None if isinstance(changed, fx.Node) and len(changed.users) > 1 else found


def _in_place(node: fx.Node) -> bool:
    schema: Any = getattr(node.target, "_schema", None)
    return schema is not None and bool(schema.is_mutable) and node.target is not operator.getitem
