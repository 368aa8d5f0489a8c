"""Gradient descent as one function of a batch: run as it stands, or lowered to one graph and compiled.

A `Descent` holds a loss and an optimiser. Run as it stands, it is PyTorch as usual. Compiled, the loss *and* its
gradient, Pyro handlers and all, are traced once into a graph of tensor operations, which is compiled for the machine;
parameters, input statistics and random generators are the same objects as before, read and drawn from in the same
order. What a program decides in Python (an `if`, a counter, a print) is decided once, while tracing: compiling is for
programs without such decisions, and therefore asked for, not assumed.
"""

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from gio_pyro.errors import InputError, describe_error

Figures = dict[str, Tensor]
Loss = Callable[..., tuple[Tensor, Figures]]
"""`(context, *tensors) -> (loss, figures)`, all of it on one device and without asking the host for a number."""


def adam(groups: Sequence[nn.Parameter] | Sequence[dict[str, Any]], learning_rate: float) -> torch.optim.Adam:
    """Return Adam over parameters, or over groups with step sizes of their own."""
    return torch.optim.Adam(groups, lr=learning_rate, fused=True)


@dataclass
class Descent:
    """Steps down one loss with one optimiser.

    A step whose loss or gradient is not finite changes no parameter: the fused optimiser is told so on the device, as
    torch's gradient scaler tells it, and nothing waits for the host. The figure `NAME_gradient`, the gradient's length,
    shows it.
    """

    name: str

    loss: Loss
    optimiser: torch.optim.Optimizer | None
    """None where there is nothing to train: then the loss is only computed."""
    compiled: bool = False
    graphs: dict[Any, Callable[..., Any]] = field(default_factory=dict)
    """Compiled, by context and kind of tensors; a context is kept, so that no other one takes its place in memory."""
    modules: Sequence[nn.Module] = ()
    """Whose buffers the loss may write into, as batch norms do: tracing leaves them as they were."""

    def __getstate__(self) -> dict[str, Any]:
        """Leave the graphs out of copies and pickles: they hold the parameters of this one."""
        return vars(self) | {"graphs": {}}

    def step(self, context: Any, *tensors: Tensor) -> Figures:
        """Take one step and return the figures of the loss before it, without gradients.

        Args:
            context: handed to the loss as it is, and fixed in a compiled graph.
            tensors: handed to the loss.
        """
        loss, figures, gradients = (self._lowered if self.compiled else self._plain)(context, *tensors)
        if self.optimiser is None:
            return figures
        for parameter, gradient in zip(self.parameters(), gradients, strict=True):
            parameter.grad = gradient
        length = nn.utils.get_total_norm([g for g in gradients if g is not None])
        self.optimiser.found_inf = (~torch.isfinite(loss + length)).float()  # type: ignore[attr-defined]
        self.optimiser.step()
        return figures | {f"{self.name}_gradient": length}

    def parameters(self) -> list[nn.Parameter]:
        """Return what is trained."""
        groups = self.optimiser.param_groups if self.optimiser is not None else []
        return [parameter for group in groups for parameter in group["params"]]

    def _plain(self, context: Any, *tensors: Tensor) -> tuple[Tensor, Figures, Sequence[Tensor | None]]:
        loss, figures = self.loss(context, *tensors)
        own = self.parameters()
        wanted = own if loss.requires_grad else []
        gradients = torch.autograd.grad(loss, wanted, allow_unused=True) if wanted else [None] * len(own)
        return loss.detach(), {name: value.detach() for name, value in figures.items()}, gradients

    def _lowered(self, context: Any, *tensors: Tensor) -> tuple[Tensor, Figures, Sequence[Tensor | None]]:
        key = (_Same(context), *((tensor.shape, tensor.dtype) for tensor in tensors))
        if key not in self.graphs:
            self.graphs[key] = self._trace(context, *tensors)
        result: tuple[Tensor, Figures, Sequence[Tensor | None]] = self.graphs[key](*tensors)
        return result

    def _trace(self, context: Any, *tensors: Tensor) -> Callable[..., Any]:
        from torch.fx.experimental.proxy_tensor import make_fx  # heavy, and only for who compiles

        buffers = [(buffer, buffer.clone()) for module in self.modules for buffer in module.buffers()]
        try:
            with torch.random.fork_rng(), warnings.catch_warnings():  # what tracing draws is no part of the stream
                warnings.simplefilter("ignore", DeprecationWarning)  # of torch's own, in what it compiles with
                graph = make_fx(lambda *inputs: self._plain(context, *inputs))(*tensors)
                _require_fixed_shapes(graph)
                compiled = torch.compile(graph, dynamic=False)

                def run(*inputs: Tensor) -> Any:
                    with torch.no_grad():
                        return compiled(*inputs)

                run(*tensors)
        except Exception as error:
            raise InputError(
                f"Expected programs that compile, but tracing or compiling raised {describe_error(error, 120)}; "
                "leave compile "
                "off, or take Python decisions and .item() out of the programs."
            ) from error
        finally:
            with torch.no_grad():
                for buffer, before in buffers:
                    buffer.copy_(before)
        return run


@dataclass(frozen=True, eq=False)
class _Same:
    """An object as a key: that very one, whatever it says of being equal to others."""

    held: Any

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Same) and self.held is other.held

    def __hash__(self) -> int:
        return id(self.held)


def _require_fixed_shapes(graph: Any) -> None:
    """Raise `ValueError` where a traced graph picks rows by a mask: their number is not that of another batch."""
    for node in graph.graph.nodes:
        name = str(node.target)
        picked = [where for argument in node.args[1:2] if isinstance(argument, list | tuple) for where in argument]
        by_mask = "index" in name and any(_is_mask(where) for where in picked if where is not None)
        if by_mask or name.startswith(("aten.nonzero", "aten.masked_select")):
            raise ValueError(f"a choice of rows by a mask ({name}), whose number differs from batch to batch")


def _is_mask(node: Any) -> bool:
    described = node.meta.get("tensor_meta") or node.meta.get("val")
    return getattr(described, "dtype", None) is torch.bool
