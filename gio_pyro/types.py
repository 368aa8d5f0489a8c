"""Shared types: Spec, WorldSpec, Seen, Imagined, Transitions, Sequences."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, fields, replace
from typing import Any, NamedTuple, Protocol

import numpy as np
import torch
from gymnasium import Space
from gymnasium.spaces import Box, Discrete
from pyro.distributions.torch_distribution import TorchDistributionMixin
from torch import Tensor

from gio_pyro.errors import InputError

Policy = Callable[[Tensor], TorchDistributionMixin]
"""`policy(state)` for states `[B, ...]` returns a Pyro distribution over actions with batch shape `[B]`."""

Allowed = Callable[[Tensor], Tensor | None]
"""`allowed(state [B, ...])` returns masks `[B, A]`, or None if every action is allowed in every state."""

PyroProgram = Callable[..., Any]
"""A model `(policy, state, future=None)` or a guide `(policy, state, future)`, or what builds one from a `Spec`."""


class Behaviour(Protocol):
    """A behaviour policy."""

    def __call__(self, state: Tensor) -> tuple[Tensor, Tensor]:
        """Return values of the site "action" `[N, ...]` for states `[N, ...]`, and their log μ(a|s), `[N]` nats."""
        ...


class ReadFuture(Protocol):
    """What is asked of a future F where it is read (see `gio_pyro.futures.Future`)."""

    steps: int
    sequential: bool

    def of(self, transitions: Transitions) -> Tensor:
        """Return F of each transition, `[B, ...]`."""
        ...

    def read(self, pieces: Sequences, state_space: Space[Any]) -> Tensor:
        """Return F of each sequence, `[B, ...]`."""
        ...

    def weight(self, policy: Policy, pieces: Sequences) -> Tensor:
        """Return the importance weight of each sequence, `[B]`."""
        ...


class FittedModel(Protocol):
    """Interface of a model for guides: it scores futures."""

    def log_prob(self, policy: Policy, state: Tensor, action: Tensor, future: Tensor) -> Tensor:
        """Return log p_ψ(F|s, a), `[B]` nats."""
        ...


@dataclass(frozen=True)
class Spec:
    """Arguments of a program: the spaces of its sites.

    `model` is the model that a guide is fitted with (None for models themselves); guides that enumerate actions, such
    as `BayesGuide`, score futures with `spec.model.log_prob`.
    """

    state_space: Space[Any]
    action_space: Space[Any]
    future_space: Space[Any]
    model: FittedModel | None = None
    hidden: tuple[int, ...] = (128, 128)
    """Units of the hidden layers of the agent's networks, for programs to match."""
    baseline: Callable[[Tensor], Tensor] | None = None
    """A prediction of F from the state alone, `[B, ...] -> [B, ...]`, such as s itself for the next state, which
    programs for real futures subtract; None without one, and for Discrete futures."""

    action_parts: tuple[int, ...] = ()
    """Number of values of each part of a MultiDiscrete or MultiBinary action, which is one site over all combinations,
    the last part varying fastest; empty for other actions."""

    masks: Allowed | None = None
    """Function from states to flags of allowed actions, if the environment provides masks (see `allowed`)."""

    def allowed(self, state: Tensor) -> Tensor | None:
        """Return the actions allowed in states `[B, ...]`, `[B, A]` booleans; None without masks.

        Masks of finite states are those observed so far; of vector states they are the last A numbers.
        """
        return None if self.masks is None else self.masks(state)

    @property
    def mask_width(self) -> int:
        """Number of entries at the end of a state vector that are its action mask."""
        return finite(self.action_space, "action") if self.masks and isinstance(self.state_space, Box) else 0

    def sizes(self) -> tuple[int, int, int]:
        """Return (S, A, F) for finite programs; raises `InputError` for a space that is not Discrete."""
        return (
            finite(self.state_space, "state"),
            finite(self.action_space, "action"),
            finite(self.future_space, "future"),
        )


@dataclass(frozen=True)
class WorldSpec:
    """Arguments of a world model and of a filter: the spaces of what is seen and of what is done."""

    observation_space: Space[Any]
    action_space: Space[Any]
    """Values of the site "action": indices, or real vectors before the tanh to the bounds."""
    hidden: tuple[int, ...] = (128, 128)
    """Units of the hidden layers of the agent's networks, for programs to match."""
    world_model: Any = None
    """For filters: the world model that they infer the state of; None for world models themselves."""


def require_world_spec(name: str, spec: object) -> None:
    """Raise `InputError` unless a world model or a filter is built from a `WorldSpec`: it is no model or guide."""
    if not isinstance(spec, WorldSpec):
        raise InputError(
            f"Expected a spec of what is seen and done for {name}, but got a {type(spec).__name__}; use a model or "
            "guide of futures, or pass it as world_model or filter."
        )


@dataclass(frozen=True)
class Seen:
    """What is seen at one step: the observation, and what the action before it led to."""

    observation: Tensor
    """`[B, ...]`."""
    reward: Tensor | None = None
    """`[B]` reward units, of the action before; None at the first step of an episode, and where it is not known."""
    terminated: Tensor | None = None
    """`[B]` booleans: the episode terminated with the action before; None at the first step of an episode."""


@dataclass(frozen=True)
class Imagined:
    """One imagined step from each of M states."""

    next_state: Tensor
    """`[M, ...]`."""
    reward: Tensor
    """`[M]`, reward units."""
    ended: Tensor
    """`[M]`: the probability that the episode terminates with this step."""
    information: Tensor
    """`[M]` nats: what the outcome tells about the state, the second term of the planning bound."""


def finite(space: Space[Any], name: str) -> int:
    """Return the number of values of a Discrete space; raises `InputError` for any other."""
    if not isinstance(space, Discrete):
        raise InputError(f"Expected a Discrete {name} space here, but got {space}; use a program for such spaces.")
    return int(space.n)


def in_space(values: Tensor, space: Space[Any], kind: torch.dtype | None = None) -> bool:
    """Whether a batch has valid indices of a Discrete space, or finite values of a Box, with dtype `kind` if given."""
    if isinstance(space, Discrete):
        return values.ndim == 1 and values.dtype == torch.int64 and bool(((values >= 0) & (values < space.n)).all())
    dtype = kind or torch.from_numpy(np.empty(0, dtype=space.dtype)).dtype
    return values.shape[1:] == space.shape and values.dtype == dtype and bool(values.isfinite().all())


UNKNOWN = -1
"""Number of an unknown episode or transition."""


@dataclass(frozen=True)
class Transitions:
    """A batch of transitions, each field `[B, ...]` on one device."""

    state: Tensor
    action: Tensor
    """Values of the site "action": indices, or for continuous actions real vectors before the tanh to the bounds."""
    reward: Tensor
    """Reward units."""
    next_state: Tensor
    """The state after the action, at the end of an episode its final state; never the first of the next episode."""
    terminated: Tensor
    """Booleans: the episode terminated, so the next value is 0."""
    truncated: Tensor
    """Booleans: the episode was truncated; the next value is bootstrapped."""
    log_behaviour: Tensor
    """log μ(a|s), nats: log-probability or log-density of the action under the behaviour policy."""
    weight: Tensor
    """Number of equal transitions merged in this row; 1 by default."""
    stream: Tensor = None  # type: ignore[assignment]
    """Integers: index of the environment; 0 by default, −1 for none."""
    episode: Tensor = None  # type: ignore[assignment]
    """Integers: number of the episode, counted over all streams in the order of their starts; −1 (the default) if
    unknown."""
    time: Tensor = None  # type: ignore[assignment]
    """Integers: number of transitions added to replay before this one; −1 (the default) if it is not from replay.
    Merged rows have −1 in stream, episode and time."""

    def __post_init__(self) -> None:
        for name, value in (("stream", 0), ("episode", UNKNOWN), ("time", UNKNOWN)):
            if getattr(self, name) is None:
                like = self.weight
                object.__setattr__(self, name, torch.full(like.shape, value, dtype=torch.int64, device=like.device))

    def __len__(self) -> int:
        return len(self.weight)

    def __getitem__(self, index: Any) -> Transitions:
        return Transitions(**{f.name: getattr(self, f.name)[index] for f in fields(Transitions)})

    def tensors(self) -> tuple[Tensor, ...]:
        """Return the fields in order; `Transitions(*rows.tensors())` equals `rows`."""
        return tuple(getattr(self, f.name) for f in fields(self))

    def with_reward(self, reward: Tensor) -> Transitions:
        """Return the transitions with another reward, `[B]`."""
        return replace(self, reward=reward)

    def flat(self) -> Transitions:
        """Flatten sequences `[B, T, ...]` to transitions `[B · T, ...]`."""
        return Transitions(*(tensor.flatten(0, 1) for tensor in self.tensors()))

    def to(self, device: torch.device | str) -> Transitions:
        """Return the transitions on another device."""
        return replace(self, **{f.name: getattr(self, f.name).to(device) for f in fields(self)})

    @property
    def finite(self) -> bool:
        """Whether states are indices of a Discrete space, so that equal rows can be merged."""
        return self.state.ndim == 1 and not self.state.is_floating_point()

    @property
    def fixed_shapes(self) -> bool:
        """Whether shapes must not depend on data, as in a graph; what could be left out then has the weight 0."""
        return False

    def distinct_states(self) -> tuple[Tensor, Tensor]:
        """Return states `[M, ...]` and weights `[M]`; equal states are merged if states and actions are finite."""
        if not self.finite or self.action.is_floating_point():
            return self.state, self.weight
        state, where = torch.unique(self.state, return_inverse=True)
        weight = torch.zeros(len(state), dtype=self.weight.dtype, device=self.weight.device)
        return state, weight.index_add(0, where, self.weight)

    def mean(self, values: Tensor) -> Tensor:
        """Return the weighted mean over the batch of `values` `[B]`."""
        return weighted_mean(self.weight, values)


FIELDS = len(fields(Transitions))
"""Number of tensors of `Transitions`."""


@dataclass(frozen=True)
class TransitionsWithStates(Transitions):
    """Transitions `[B, ...]` with their distinct states, found before: what reads them is of a fixed shape."""

    distinct: Tensor = None  # type: ignore[assignment]
    """`[M, ...]`."""
    distinct_weight: Tensor = None  # type: ignore[assignment]
    """`[M]`, the sum of the weights of the rows of each."""

    @classmethod
    def of(cls, rows: Transitions) -> TransitionsWithStates:
        """Return transitions with their distinct states."""
        tensors: Any = (*rows.tensors(), *rows.distinct_states())
        return cls(*tensors)

    @property
    def fixed_shapes(self) -> bool:
        """Whether shapes must not depend on data."""
        return True

    def distinct_states(self) -> tuple[Tensor, Tensor]:
        """Return the states `[M, ...]` and their weights `[M]`."""
        return self.distinct, self.distinct_weight


def weighted_mean(weight: Tensor, values: Tensor) -> Tensor:
    """Return Σ w v / Σ w for `weight` and `values` `[B]`; 0 if all weights are 0."""
    return (weight * values).sum() / weight.sum().clamp_min(torch.finfo(weight.dtype).tiny)


@dataclass(frozen=True)
class Sequences:
    """Sequences from episodes, with fields `[B, T, ...]` in `steps`."""

    steps: Transitions
    """Rows after the end of a sequence repeat its last one."""
    valid: Tensor
    """`[B, T]` booleans: False for rows after the end of the episode or of replay."""


class Step(NamedTuple):
    """One step of N environments: transitions on the device, flags on the host."""

    rows: dict[str, Tensor]
    """Fields of `Transitions` except the weight, `[N, ...]`."""
    ends: np.ndarray[Any, Any]
    """`[N]` booleans: the episode ended."""
    real: np.ndarray[Any, Any]
    """`[N]` booleans: True for a transition, False for a mere reset."""

    @property
    def next_begins(self) -> np.ndarray[Any, Any]:
        """`[N]` booleans: True where the next row begins an episode."""
        return np.asarray(self.ends | ~self.real)


@dataclass(frozen=True)
class WeightedBatch:
    """Transitions with the reward of an auxiliary value, and the weight of that value."""

    rows: Transitions
    """Transitions with the auxiliary reward."""
    weight: float
    """β, reward units per unit of the auxiliary return."""
