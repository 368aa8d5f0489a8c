"""Functions of tensors whose operations are recorded once and then repeated without the Python around them."""

import warnings
from collections import Counter
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from gio_pyro.nn.graphs.decompositions import trace

Function = Callable[..., Tensor]
Key = tuple[Any, ...]

CALLS_BEFORE = 3
"""Calls with the same shapes after which a function is recorded; recording takes as long as some dozens of calls."""
RUNS_COMPARED = 3
"""Runs of a graph that are compared: torch.jit rearranges it in the first two."""
MAX_GRAPHS = 8
"""Number of shapes for which graphs are kept."""


class Traced:
    """A function of tensors, without gradients and without random numbers, recorded once for each of its shapes.

    Pyro's handlers and the calls of modules are executed only while recording; the graph holds the tensor operations,
    and the parameters themselves, whose values may change in place. After `changed`, the first result for each shape is
    compared with that of the function, bit for bit. If they differ, or the function cannot be recorded because Python
    decides by the values of tensors, it is called as it is from then on.

    Args:
        function: of tensors; returns a tensor.
    """

    def __init__(self, function: Function) -> None:
        self.function = function
        self.refused = False
        self._graphs: dict[Key, Function] = {}
        self._calls: Counter[Key] = Counter()
        self._compared: set[Key] = set()

    def __getstate__(self) -> dict[str, Any]:
        """Leave the graphs out of copies and pickles: they refer to the parameters of this object."""
        return vars(Traced(self.function)) | {"refused": self.refused}

    def __call__(self, *tensors: Tensor) -> Tensor:
        """Return the function of the tensors, without gradients."""
        with torch.no_grad():
            key = tuple((tensor.shape, tensor.dtype, tensor.device) for tensor in tensors)
            if key in self._compared:
                return _run(self._graphs[key], tensors)
            expected = self.function(*tensors)
            self._calls[key] += 1
            if not self.refused and (key in self._graphs or self._worth(key)):
                self._compare(key, tensors, expected)
            return expected

    def changed(self) -> None:
        """Compare with the function again, since what it reads besides its arguments has changed."""
        self._compared.clear()

    def _worth(self, key: Key) -> bool:
        return self._calls[key] > CALLS_BEFORE and len(self._graphs) < MAX_GRAPHS

    def _compare(self, key: Key, tensors: tuple[Tensor, ...], expected: Tensor) -> None:
        try:
            if key not in self._graphs:
                self._graphs[key] = _recorded(self.function, tensors)
            same = all(torch.equal(_run(self._graphs[key], tensors), expected) for _ in range(RUNS_COMPARED))
        except Exception:  # torch raises many kinds of exceptions about what it cannot record
            same = False
        if same:
            self._compared.add(key)
        else:
            self.refused = True
            self._graphs.clear()
            self._compared.clear()


def _run(graph: Function, tensors: tuple[Tensor, ...]) -> Tensor:
    with torch.inference_mode():  # a quarter faster than without gradients
        found = graph(*tensors)
    return found.clone()  # an ordinary tensor


def _recorded(function: Function, tensors: tuple[Tensor, ...]) -> Function:
    """Return the graph of a function; the random generators are left as they were."""
    with torch.random.fork_rng(), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of torch about itself
        graph = trace(function, tensors)
        graph.graph.eliminate_dead_code()
        graph.recompile()
        try:
            faster: Function = torch.jit.trace(graph, tensors, check_trace=False)
        except Exception:  # torch.jit is not there on every version of Python
            return graph
    return faster
