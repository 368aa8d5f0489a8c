"""The nouns that every room shares: what a program is told, what it is called with, what replay holds."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from typing import Any, Protocol

import numpy as np
import torch
from gymnasium import Space
from gymnasium.spaces import Box, Discrete
from pyro.distributions.torch_distribution import TorchDistributionMixin
from torch import Tensor

from gio_pyro.distributions.masks import Allowed as Allowed
from gio_pyro.errors import InputError

Policy = Callable[[Tensor], TorchDistributionMixin]
"""`policy(state [B, ...])` is a batch of B Pyro distributions over actions."""

PyroProgram = Callable[..., Any]
"""A Pyro program: a model `(policy, state, future=None)` or a guide `(policy, state, future)`."""


class FittedModel(Protocol):
    """A model as guides see it: something that scores futures, whatever the program behind it."""

    def log_prob(self, policy: Policy, state: Tensor, action: Tensor, future: Tensor) -> Tensor:
        """Return log p_ψ(F|s, a) of each example, `[B]` nats."""
        ...


@dataclass(frozen=True)
class Spec:
    """What a program is built from: the spaces of its sites.

    `model` is the model that a guide is fitted beside (None while models are built): a guide that enumerates,
    as `BayesGuide` does, scores futures with `spec.model.log_prob`.
    """

    state_space: Space[Any]
    action_space: Space[Any]
    future_space: Space[Any]
    model: FittedModel | None = None
    hidden: tuple[int, ...] = (128, 128)
    """Units of each hidden layer that the agent's own networks have, for programs that want to match them."""
    baseline: Callable[[Tensor], Tensor] | None = None
    """What one would say of F from the state alone, `[B, ...] -> [B, ...]`, such as s itself for the next state; None
    where there is nothing to say, or F is a state. Programs of real futures look at the difference."""

    action_parts: tuple[int, ...] = ()
    """The sizes of the parts of a MultiDiscrete or MultiBinary action, which is one site over all combinations, the
    last part fastest; empty for any other."""

    masks: Allowed | None = None
    """Where the environment gives action masks: from states to flags (see `allowed`)."""

    def allowed(self, state: Tensor) -> Tensor | None:
        """Return which actions states `[B, ...]` allow, `[B, A]` booleans; None where all of them allow all.

        Of finite states that is what was seen. Of any others the last A numbers of a state are its mask.
        """
        return None if self.masks is None else self.masks(state)

    @property
    def mask_width(self) -> int:
        """How many numbers of a state, its last ones, are its mask."""
        return finite(self.action_space, "action") if self.masks and isinstance(self.state_space, Box) else 0

    def sizes(self) -> tuple[int, int, int]:
        """Return (S, A, F), for programs of finite worlds; raises `InputError` for a space that is not Discrete."""
        return (
            finite(self.state_space, "state"),
            finite(self.action_space, "action"),
            finite(self.future_space, "future"),
        )


def finite(space: Space[Any], name: str) -> int:
    """Return the number of values of a Discrete space; raises `InputError`, naming it, for any other."""
    if not isinstance(space, Discrete):
        raise InputError(f"Expected a Discrete {name} space here, but got {space}; use a program for such spaces.")
    return int(space.n)


def in_space(values: Tensor, space: Space[Any], kind: torch.dtype | None = None) -> bool:
    """Whether a batch is of a Discrete space of indices, or of a Box of finite numbers, of another kind if given."""
    if isinstance(space, Discrete):
        return values.ndim == 1 and values.dtype == torch.int64 and bool(((values >= 0) & (values < space.n)).all())
    dtype = kind or torch.from_numpy(np.empty(0, dtype=space.dtype)).dtype
    return values.shape[1:] == space.shape and values.dtype == dtype and bool(values.isfinite().all())


UNKNOWN = -1
"""The number of an episode, or of a transition, that is not known."""


@dataclass(frozen=True)
class Transitions:
    """A batch of transitions, each field `[B, ...]` on one device."""

    state: Tensor
    action: Tensor
    """Values of the site "action": indices, or for continuous actions numbers before the squash to the action box."""
    reward: Tensor
    """Reward units."""
    next_state: Tensor
    """The state after the action, also where the episode ended: never the next episode's first."""
    terminated: Tensor
    """Booleans: nothing follows, the value is 0."""
    truncated: Tensor
    """Booleans: the episode was cut, the value goes on."""
    log_behaviour: Tensor
    """log μ(a|s), nats: the log-probability, or log-density, that the collecting policy gave to this action."""
    weight: Tensor
    """How many equal transitions this row stands for; 1 where none were merged."""
    stream: Tensor = None  # type: ignore[assignment]
    """Integers: which of the N environments it comes from; 0 by default, −1 where it is of none."""
    episode: Tensor = None  # type: ignore[assignment]
    """Integers: the number of its episode, counted over all streams in the order in which they begin; −1 where it is of
    none, or where it is not known, as by default."""
    time: Tensor = None  # type: ignore[assignment]
    """Integers: how many transitions replay had taken before it; −1 where it was not taken, as by default. Rows that
    stand for several transitions have −1 in all three."""

    def __post_init__(self) -> None:
        for name, value in (("stream", 0), ("episode", UNKNOWN), ("time", UNKNOWN)):
            if getattr(self, name) is None:
                like = self.weight
                object.__setattr__(self, name, torch.full(like.shape, value, dtype=torch.int64, device=like.device))

    def __len__(self) -> int:
        return len(self.weight)

    def __getitem__(self, index: Any) -> Transitions:
        return Transitions(**{f.name: getattr(self, f.name)[index] for f in fields(self)})

    def tensors(self) -> tuple[Tensor, ...]:
        """Return the fields in their order, so that `Transitions(*rows.tensors())` is `rows`."""
        return tuple(getattr(self, f.name) for f in fields(self))

    def flat(self) -> Transitions:
        """Return pieces `[B, T, ...]` as their transitions one after the other, `[B · T, ...]`."""
        return Transitions(*(tensor.flatten(0, 1) for tensor in self.tensors()))

    def to(self, device: torch.device | str) -> Transitions:
        """Return the same transitions on another device."""
        return replace(self, **{f.name: getattr(self, f.name).to(device) for f in fields(self)})

    @property
    def finite(self) -> bool:
        """Whether the states are those of a Discrete space, so that equal ones can be merged."""
        return self.state.ndim == 1 and not self.state.is_floating_point()

    def distinct_states(self) -> tuple[Tensor, Tensor]:
        """Return the states and their weights, `[M, ...]` and `[M]`; in finite worlds equal states are merged."""
        if not self.finite or self.action.is_floating_point():
            return self.state, self.weight
        state, where = torch.unique(self.state, return_inverse=True)
        weight = torch.zeros(len(state), dtype=self.weight.dtype, device=self.weight.device)
        return state, weight.index_add(0, where, self.weight)

    def mean(self, values: Tensor) -> Tensor:
        """Return the weighted mean over the batch of `values` `[B]`."""
        return weighted_mean(self.weight, values)


def weighted_mean(weight: Tensor, values: Tensor) -> Tensor:
    """Return Σ w v / Σ w over the batch, `[B]` each; 0 where all weights are."""
    return (weight * values).sum() / weight.sum().clamp_min(torch.finfo(weight.dtype).tiny)


@dataclass(frozen=True)
class Sequences:
    """Pieces of episodes, each field of `steps` `[B, T, ...]`."""

    steps: Transitions
    """Rows after the end of a piece repeat its last one."""
    valid: Tensor
    """`[B, T]` booleans: whether the row is there; True, then False from where the episode (or replay) ends."""
