"""Functions of tensors as graphs: captured from Python, then compiled in the background.

A gradient step in Python spends half of its time on Python, Pyro's handlers and autograd. A `GraphedFunction` runs the
function as it is at first, then as the list of tensor operations that one call of it consists of (*captured*: the same
operations on the same numbers, so bit for bit the same results), then as machine code (*compiled*: equal up to
rounding).

    function.py          when which of the three runs
    capture.py           the graph of a function
    interpreter.py       the graph as a Python function
    random_draws.py      random numbers as inputs of the graph
    sources.py           the tensors that a graph changes, and what it takes for constant
    compiler.py          compilation in a helper process (helper.py), and its cache on disk
    decompositions.py    operations that are written out for the compiler
"""

from gio_pyro.nn.graphs.function import GraphedFunction, Progress
from gio_pyro.nn.graphs.sources import Sources

__all__ = ["GraphedFunction", "Progress", "Sources"]
