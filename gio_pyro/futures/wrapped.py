"""Futures around another one: the adapter of a user's own object, and states without their action masks."""

from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np
from gymnasium import Space
from gymnasium.spaces import Box
from torch import Tensor
from torch.nn.functional import pad

from gio_pyro.errors import InputError, shown
from gio_pyro.futures.base import MOST_STEPS, Future, FutureLike
from gio_pyro.types import Policy, Sequences, Transitions
from gio_pyro.utils.checks import as_number, whole


@dataclass(frozen=True, repr=False)
class Wrapped(Future):
    """A future with the methods of `inner`, which need not be a `Future`. Other attributes are those of `inner`."""

    inner: Any

    def __post_init__(self) -> None:
        steps = _sequence_steps(self.inner)
        object.__setattr__(self, "sequential", steps > 0)
        object.__setattr__(self, "steps", max(steps, 1))
        for name in ("baseline", "outcome", "exact", "in_environment"):
            object.__setattr__(self, name, getattr(self.inner, name, None))

    def __repr__(self) -> str:
        return repr(self.inner)

    def __getattr__(self, name: str) -> Any:
        """Return another attribute of the inner future."""
        if name in ("inner", "count") or name.startswith("__"):
            raise AttributeError(name)
        return getattr(self.inner, name)

    def space(self, state_space: Space[Any]) -> Space[Any]:
        """Return the space of F."""
        found: Space[Any] = self.inner.space(state_space)
        return found

    def of(self, transitions: Transitions) -> Tensor:
        """Return F of each transition, `[B, ...]`."""
        found: Tensor = self.inner.of(transitions)
        return found

    def read(self, pieces: Sequences, state_space: Space[Any]) -> Tensor:
        """Return F of each sequence, `[B, ...]`."""
        if not self.sequential:
            return super().read(pieces, state_space)
        found: Tensor = self.inner.read(pieces, state_space)
        return found

    def weight(self, policy: Policy, pieces: Sequences) -> Tensor:
        """Return the importance weight of each sequence, `[B]`."""
        if not self.sequential:
            return super().weight(policy, pieces)
        found: Tensor = self.inner.weight(policy, pieces)
        return found


@dataclass(frozen=True, repr=False)
class WithoutMasks(Wrapped):
    """A future read from states without their last `count` numbers, which are action masks."""

    count: int
    """A: how many numbers a mask has."""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.baseline is not None:
            object.__setattr__(self, "baseline", partial(_with_baseline, self.baseline, self.count))
        if self.outcome is not None:
            object.__setattr__(self, "outcome", self._outcome)

    def space(self, state_space: Space[Any]) -> Space[Any]:
        """Return the space of F."""
        return super().space(self._unmasked(state_space))

    def of(self, transitions: Transitions) -> Tensor:
        """Return F of each transition, `[B, ...]`."""
        return super().of(self._bare(transitions))

    def read(self, pieces: Sequences, state_space: Space[Any]) -> Tensor:
        """Return F of each sequence, `[B, ...]`."""
        if not self.sequential:
            return super().read(pieces, state_space)
        return super().read(replace(pieces, steps=self._bare(pieces.steps)), self._unmasked(state_space))

    def _outcome(self, found: Tensor, state_space: Space[Any]) -> tuple[Tensor, Tensor | None]:
        """Return s' and r of futures; F holds no mask, so that of s' is all 0."""
        state, reward = self.inner.outcome(found, self._unmasked(state_space))
        return pad(state, (0, self.count)), reward

    def _unmasked(self, state_space: Space[Any]) -> Box:
        """Return the space of states without masks."""
        assert isinstance(state_space, Box)
        return Box(state_space.low[: -self.count], state_space.high[: -self.count], dtype=np.float32)

    def _bare(self, rows: Transitions) -> Transitions:
        state, after = rows.state[..., : -self.count], rows.next_state[..., : -self.count]
        return replace(rows, state=state, next_state=after)


def _with_baseline(baseline: Any, count: int, state: Tensor) -> Tensor:
    found: Tensor = baseline(state[..., :-count])
    return found


def _sequence_steps(future: object) -> int:
    """Return how many transitions F is read from by `read`; 0 where it is read from single transitions by `of`."""
    if isinstance(future, Future):
        return future.steps if future.sequential else 0
    steps = as_number(getattr(future, "steps", 0))
    return int(steps) if isinstance(steps, int | float) and 0 <= steps <= MOST_STEPS else 0


def as_future(future: object) -> Future:
    """Return a future as it is, or an object with the methods of one as a `Future`.

    Raises:
        InputError: anything else, or a future of several steps without `read` and `weight`.
    """
    if isinstance(future, Future):
        if future.steps != 1 and not future.sequential:
            raise InputError(
                f"Expected a future of 1 step where it is read from single transitions, but {shown(future)} has "
                f"{shown(future.steps)} steps; subclass gio_pyro.futures.Later."
            )
        return future
    is_class = isinstance(future, type)
    needed = ("space", "read", "weight") if not is_class and _sequence_steps(future) else ("space", "of")
    if is_class or not all(hasattr(future, name) for name in needed):
        raise InputError(
            f"Expected a future with the methods {', '.join(needed[:-1])} and {needed[-1]}, such as NextState(), but "
            f"got {shown(future)}."
        )
    return Wrapped(future)


def without_masks(future: FutureLike, count: int) -> Future:
    """Return the future, read without the masks of A = `count` actions; itself where there are none."""
    own, count = as_future(future), whole("count", count, 0)
    return WithoutMasks(own, count) if count else own


def unwrapped_future(future: FutureLike) -> Any:
    """Return the object that the user gave, without what was wrapped around it."""
    while isinstance(future, Wrapped):
        future = future.inner
    return future


def future_in(future: Future, env: Any, state_space: Space[Any]) -> Future:
    """Return a future with what it takes from the environment; most take nothing."""
    return future if future.in_environment is None else as_future(future.in_environment(env, state_space))
