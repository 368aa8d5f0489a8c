"""A graph of tensor operations as one Python function, without the checks between Python and the operations.

torch's own code for a graph calls an operation through its Python wrapper; this calls its implementation, which takes a
third of the time off a captured update.
"""

from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor, fx

Run = Callable[..., list[Tensor]]


def function_of(module: fx.GraphModule) -> Run:
    """Return a function from the inputs of a graph to its results."""
    names: dict[str, Any] = {}
    lines, inputs, last = [], [], _last_uses(module.graph)
    for node in module.graph.nodes:
        if node.op == "placeholder":
            inputs.append(node.name)
        elif node.op == "output":
            lines.append(f"return {_text(node.args[0], names)}")
        else:
            called = _named(names, _implementation(node.target))
            arguments = [_text(one, names) for one in node.args]
            arguments += [f"{name}={_text(one, names)}" for name, one in node.kwargs.items()]
            lines.append(f"{node.name} = {called}({', '.join(arguments)})")
            lines += [f"{one.name} = None" for one in last.get(node, [])]
    exec(f"def run({', '.join(inputs)}):\n" + "".join(f"    {line}\n" for line in lines), names)
    run: Run = names["run"]
    return run


def _implementation(target: Any) -> Any:
    return target._op if isinstance(target, torch._ops.OpOverload) else target


def _named(names: dict[str, Any], thing: Any) -> str:
    """Return the name of a constant or a function in the namespace of the code, a new one for a new thing."""
    name = f"c{id(thing)}"
    names[name] = thing
    return name


def _text(value: Any, names: dict[str, Any]) -> str:
    """Return an argument as Python text: nodes by their names, other things by new names."""
    if isinstance(value, fx.Node):
        return value.name
    if isinstance(value, tuple | list):
        parts = ", ".join(_text(one, names) for one in value)
        return f"[{parts}]" if isinstance(value, list) else f"({parts},)"
    return repr(value) if isinstance(value, bool | int | None) else _named(names, value)


def _last_uses(graph: fx.Graph) -> Mapping[fx.Node, list[fx.Node]]:
    """Return, by node, what is used there for the last time, so that its memory is free for the next."""
    last: dict[fx.Node, list[fx.Node]] = {}
    seen: set[fx.Node] = set()
    for node in reversed(graph.nodes):
        for one in node.all_input_nodes:
            if one not in seen and node.op != "output" and one.op != "placeholder":
                last.setdefault(node, []).append(one)
            seen.add(one)
    return last
