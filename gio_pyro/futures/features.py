"""A user's function of another future."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import torch
from gymnasium import Space
from gymnasium.spaces import Box, Discrete
from torch import Tensor

from gio_pyro import tabular
from gio_pyro.errors import InputError, describe_error, shown
from gio_pyro.futures.base import Future, FutureLike
from gio_pyro.futures.spec import exact_of
from gio_pyro.futures.wrapped import as_future, future_in
from gio_pyro.types import Policy, Sequences, Transitions, finite
from gio_pyro.utils.checks import instance
from gio_pyro.utils.pickling import Picklable


@dataclass(frozen=True)
class Features(Picklable, Future):
    """F = φ(F'), a function of another future F'. Exact counterpart: `tabular.features`.

    F has at most the information of F'. It is read from replay, and weighted, as F' is.
    """

    future: FutureLike
    """F'."""
    function: Callable[[Tensor], Tensor]
    """φ, a torch function from F' `[B, ...]` to values `[B, ...]` of the space `to`."""
    to: Space[Any]
    """Discrete, counted from 0, or Box."""

    def __post_init__(self) -> None:
        inner = as_future(self.future)
        object.__setattr__(self, "steps", inner.steps)
        object.__setattr__(self, "sequential", inner.sequential)
        if not callable(self.function):
            raise InputError(f"Expected features to be a function of a future, but got {shown(self.function)}.")
        if not isinstance(self.to, Box | Discrete) or getattr(self.to, "start", 0) != 0:
            raise InputError(
                f"Expected the Gymnasium space of the features, Discrete(n) from 0 or a Box, but got {shown(self.to)}."
            )

    def space(self, state_space: Space[Any]) -> Space[Any]:
        """Return `to`; raises `InputError` where F' does not support the states."""
        self.future.space(state_space)
        return self.to

    def in_environment(self, env: Any, state_space: Space[Any]) -> Future:
        """Return the features of F' with what F' takes from the environment."""
        return replace(self, future=future_in(as_future(self.future), env, state_space))

    def of(self, transitions: Transitions) -> Tensor:
        """Return φ(F') of each transition."""
        return self._apply(self.future.of(instance("transitions", transitions, Transitions)))

    def read(self, pieces: Sequences, state_space: Space[Any]) -> Tensor:
        """Return φ(F') of each sequence."""
        return self._apply(as_future(self.future).read(instance("pieces", pieces, Sequences), state_space))

    def weight(self, policy: Policy, pieces: Sequences) -> Tensor:
        """Return the importance weight of each sequence, as for F'."""
        return as_future(self.future).weight(policy, pieces)

    def exact(self) -> tabular.Future:
        """Return the exact counterpart, of a function from one Discrete space to another.

        Raises:
            InputError: F' has no exact counterpart, or the features are not Discrete.
        """
        inner, size = exact_of(self.future), finite(self.to, "feature")

        def future(mdp: tabular.TabularMDP, policy: Tensor) -> Tensor:
            channel = inner(mdp, policy)
            label = self._apply(torch.arange(channel.shape[-1]))
            return tabular.grouped(channel, label.to(channel.device), size)

        return future

    def _apply(self, values: Tensor) -> Tensor:
        """Return φ of `values`; raises `InputError` where φ raises or its values are not in `to`."""
        try:
            found = self.function(values)
        except Exception as error:
            raise InputError(
                f"Expected the function of {type(self).__name__} to take {_kind(values)}, but it raised "
                f"{describe_error(error)}; correct it."
            ) from error
        if (wrong := _outside(found, len(values), self.to)) is not None:
            raise InputError(
                f"Expected the function of {type(self).__name__} to return values of {self.to} for {_kind(values)}, "
                f"but got {wrong}; correct the function, or its space."
            )
        return found


def _outside(found: object, count: int, space: Space[Any]) -> str | None:
    """Return a description of the first value, or the shape, that is not in the space; None where all are."""
    if not isinstance(found, Tensor):
        return f"a {type(found).__name__}"
    whole = not (found.is_floating_point() or found.is_complex() or found.dtype == torch.bool)
    if found.shape != (count, *(space.shape or ())) or (isinstance(space, Discrete) and not whole):
        return _kind(found)
    inside = (found >= 0) & (found < int(space.n)) if isinstance(space, Discrete) else torch.isfinite(found)
    bad = found[~inside]
    return str(bad[0].item()) if len(bad) else None


def _kind(values: Tensor) -> str:
    return f"a tensor of shape {tuple(values.shape)} and type {str(values.dtype).removeprefix('torch.')}"
