"""What a graph takes from outside: tensors that it reads and changes in place, and numbers that it takes for constant.

A graph holds the very tensors of modules and optimisers. When one of them is replaced, or a number that the graph has
as a constant changes (an attribute of a program, a learning rate), the graph is out of date.
"""

from collections.abc import Iterable, Iterator, MutableMapping, Sequence
from typing import Any

import torch
from torch import Tensor, nn

PLAIN = (bool, int, float, str, type(None))
IGNORED = frozenset({"training"})
"""Attributes that a program's own run changes and restores."""


class Sources:
    """The modules, optimisers and further tensors that a function reads.

    Args:
        modules: their parameters, buffers and plain attributes.
        optimisers: their moments, step counts and learning rates.
        tensors: other tensors that the function changes in place.
    """

    def __init__(
        self,
        modules: Iterable[nn.Module],
        optimisers: Iterable[torch.optim.Optimizer] = (),
        tensors: Iterable[Tensor] = (),
    ) -> None:
        self.modules = list({id(part): part for module in modules for part in module.modules()}.values())
        self.optimisers = list(optimisers)
        self.others = list(tensors)

    def tensors(self) -> list[Tensor]:
        """Return every tensor that the function may read or change, each once."""
        found = {id(tensor): tensor for _, _, tensor in self._places()}
        return list((found | {id(tensor): tensor for tensor in self.others}).values())

    def copies(self) -> list[tuple[Tensor, Tensor]]:
        """Return each tensor with a copy of its values."""
        return [(tensor, tensor.detach().clone()) for tensor in self.tensors()]

    def without_gradients(self) -> None:
        """Drop the gradients that a function has left in parameters."""
        for module in self.modules:
            for parameter in module.parameters(recurse=False):
                parameter.grad = None

    def watch(self) -> "Watch":
        """Return a record of what there is now, to find out later whether it is still the same."""
        plain = [(vars(module), name, value) for module in self.modules for name, value in _plain(module)]
        named = [(group, *item) for group in self._groups() for item in group.items()]
        groups = [(group, name, value) for group, name, value in named if not isinstance(value, list | Tensor)]
        return Watch(list(self._places()), [*plain, *groups])

    @property
    def largest_step(self) -> float:
        """The largest learning rate: about the most that a step of Adam changes a number."""
        return max((float(group.get("lr", 0.0)) for group in self._groups()), default=0.0)

    @property
    def ready(self) -> bool:
        """Whether each optimiser has its moments; torch creates them at the first step."""
        held = ((optimiser, group) for optimiser in self.optimisers for group in optimiser.param_groups)
        return all(parameter in optimiser.state for optimiser, group in held for parameter in group["params"])

    def _groups(self) -> Iterator[dict[str, Any]]:
        for optimiser in self.optimisers:
            yield from optimiser.param_groups

    def _places(self) -> Iterator[tuple[MutableMapping[Any, Any], Any, Any]]:
        for module in self.modules:
            for held in (module._parameters, module._buffers):
                yield from ((held, name, tensor) for name, tensor in held.items() if tensor is not None)
        for optimiser in self.optimisers:
            for state in optimiser.state.values():
                yield from ((state, name, value) for name, value in state.items() if isinstance(value, Tensor))
        for group in self._groups():  # a learning rate that changes
            yield from ((group, name, value) for name, value in group.items() if isinstance(value, Tensor))


class Watch:
    """A record of tensors by their place, which must stay the same objects, and of plain values."""

    def __init__(
        self,
        tensors: Sequence[tuple[MutableMapping[Any, Any], Any, Tensor]],
        values: Sequence[tuple[MutableMapping[Any, Any], Any, Any]],
    ) -> None:
        self.tensors, self.values = tensors, values
        self.shapes = [tensor.shape for _, _, tensor in tensors]

    def holds(self) -> bool:
        """Return whether every tensor is still in its place, with its shape, and every value is still the same."""
        places = all(held.get(name) is tensor for held, name, tensor in self.tensors)
        return places and self.shapes == [tensor.shape for _, _, tensor in self.tensors] and self.values_hold()

    def values_hold(self) -> bool:
        """Return whether every plain value is still the same."""
        return all(held.get(name) == value for held, name, value in self.values)


def _plain(module: nn.Module) -> list[tuple[str, Any]]:
    return [(name, value) for name, value in vars(module).items() if isinstance(value, PLAIN) and name not in IGNORED]
