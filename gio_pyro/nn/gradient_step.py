"""Gradient steps on a loss: eager, or traced to one graph and compiled.

A `Descent` holds a loss and an optimiser. By default it runs PyTorch eagerly. Compiled, the loss *and* its gradient,
including Pyro's handlers, are traced once into a graph of tensor operations, which is compiled; parameters, input
statistics and random generators are the same objects, used in the same order, so that a compiled step differs from the
eager one by rounding alone. Python control flow in a program (an `if`, a counter, a print) is executed only while
tracing: compilation is for programs without it, hence opt-in.
"""

import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

import torch
from torch import Tensor, nn

from gio_pyro.errors import InputError, describe_error
from gio_pyro.nn.optimiser_state import grow_moments

Figures = dict[str, Tensor]
Loss = Callable[..., tuple[Tensor, Figures]]
"""`(context, *tensors) -> (loss, figures)`, on one device and without synchronising with it."""

COMPILER: Mapping[str, bool] = MappingProxyType({"fallback_random": True, "reorder_for_peak_memory": False})
"""Options of torch's compiler with which random numbers are those of the eager step.

By default it draws some with a generator of its own, and computes in an order that saves memory: of two sites, the
second would be given the numbers of the first.
"""


def adam(groups: Sequence[nn.Parameter] | Sequence[dict[str, Any]], learning_rate: float) -> torch.optim.Adam:
    """Return Adam over parameters, or over parameter groups with their own learning rates."""
    return torch.optim.Adam(groups, lr=learning_rate, fused=True)


@dataclass
class Descent:
    """Minimise one loss with one optimiser.

    A step whose loss or gradient is not finite changes no parameter: `found_inf` of a fused optimiser is set on the
    device, as torch's `GradScaler` does, without synchronising; other optimisers are not called then. The figure
    `NAME_gradient` is the gradient norm.
    """

    name: str

    loss: Loss
    optimiser: torch.optim.Optimizer | None
    """None if there are no parameters; then the loss is only computed."""
    compiled: bool = False
    graphs: dict[Any, Callable[..., Any]] = field(default_factory=dict)
    """Compiled graphs by context, shapes and dtypes; keys keep the contexts alive, so that ids stay unique."""
    modules: Sequence[nn.Module] = ()
    """Modules whose buffers the loss may update, such as batch norms; tracing restores these buffers."""
    clip: Callable[[Sequence[nn.Parameter]], None] | None = None
    """Clips gradients in place before the optimiser's step."""

    def __getstate__(self) -> dict[str, Any]:
        """Leave the graphs out of copies and pickles: they refer to the parameters of this object."""
        return vars(self) | {"graphs": {}}

    def step(self, context: Any, *tensors: Tensor) -> Figures:
        """Take one step and return the figures of the loss before the step, detached.

        Args:
            context: first argument of the loss, constant in a compiled graph.
            tensors: further arguments of the loss.
        """
        loss, figures, gradients = (self._compiled if self.compiled else self._eager)(context, *tensors)
        if self.optimiser is None:
            return figures
        for parameter, gradient in zip(self.parameters(), gradients, strict=True):
            parameter.grad = gradient
        norm = nn.utils.get_total_norm([g for g in gradients if g is not None])
        finite = torch.isfinite(loss + norm)
        fused = bool(self.optimiser.defaults.get("fused"))
        if fused:
            self.optimiser.found_inf = (~finite).float()  # type: ignore[attr-defined]
        if fused or bool(finite):
            if self.clip is not None:
                self.clip(self.parameters())
            grow_moments(self.optimiser)
            self.optimiser.step()
        return figures | {f"{self.name}_gradient": norm}

    def parameters(self) -> list[nn.Parameter]:
        """Return the trained parameters."""
        groups = self.optimiser.param_groups if self.optimiser is not None else []
        return [parameter for group in groups for parameter in group["params"]]

    def _eager(self, context: Any, *tensors: Tensor) -> tuple[Tensor, Figures, Sequence[Tensor | None]]:
        loss, figures = self.loss(context, *tensors)
        own = self.parameters()
        wanted = own if loss.requires_grad else []
        gradients = torch.autograd.grad(loss, wanted, allow_unused=True) if wanted else [None] * len(own)
        return loss.detach(), {name: value.detach() for name, value in figures.items()}, gradients

    def _compiled(self, context: Any, *tensors: Tensor) -> tuple[Tensor, Figures, Sequence[Tensor | None]]:
        key = (_IdentityKey(context), *((tensor.shape, tensor.dtype) for tensor in tensors))
        if key not in self.graphs:
            self.graphs[key] = self._trace(context, *tensors)
        result: tuple[Tensor, Figures, Sequence[Tensor | None]] = self.graphs[key](*tensors)
        return result

    def _trace(self, context: Any, *tensors: Tensor) -> Callable[..., Any]:
        from torch.fx.experimental.proxy_tensor import make_fx  # slow to import, needed for compilation only

        buffers = [(buffer, buffer.clone()) for module in self.modules for buffer in module.buffers()]
        try:
            with torch.random.fork_rng(), warnings.catch_warnings():  # tracing must not advance the random generators
                warnings.simplefilter("ignore", DeprecationWarning)  # raised inside torch's compiler
                graph = make_fx(lambda *inputs: self._eager(context, *inputs))(*tensors)
                _require_fixed_shapes(graph)
                compiled = torch.compile(graph, dynamic=False, options=dict(COMPILER))

                def run(*inputs: Tensor) -> Any:
                    with torch.no_grad():
                        return compiled(*inputs)

                run(*tensors)
        except Exception as error:
            raise InputError(
                f"Expected programs that compile, but tracing or compiling raised {describe_error(error, 120)}; "
                "leave compile off, or remove Python control flow and .item() from the programs."
            ) from error
        finally:
            with torch.no_grad():
                for buffer, before in buffers:
                    buffer.copy_(before)
        return run


@dataclass(frozen=True, eq=False)
class _IdentityKey:
    """A dictionary key that compares objects by identity."""

    held: Any

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _IdentityKey) and self.held is other.held

    def __hash__(self) -> int:
        return id(self.held)


def _require_fixed_shapes(graph: Any) -> None:
    """Raise `ValueError` if a traced graph selects rows by a mask, since their number varies between batches."""
    for node in graph.graph.nodes:
        name = str(node.target)
        indices = [where for argument in node.args[1:2] if isinstance(argument, list | tuple) for where in argument]
        by_mask = "index" in name and any(_is_mask(where) for where in indices if where is not None)
        if by_mask or name.startswith(("aten.nonzero", "aten.masked_select")):
            raise ValueError(f"rows are selected by a mask ({name}), so their number varies between batches")


def _is_mask(node: Any) -> bool:
    described = node.meta.get("tensor_meta") or node.meta.get("val")
    return getattr(described, "dtype", None) is torch.bool
