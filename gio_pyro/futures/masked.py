"""Futures where states have action masks behind them: what is allowed is no part of F, and pays nothing by itself."""

from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np
from gymnasium import Space
from gymnasium.spaces import Box
from torch import Tensor
from torch.nn.functional import pad

from gio_pyro.futures.base import Future, require_future
from gio_pyro.types import Policy, Sequences, Transitions
from gio_pyro.utils.checks import whole


class WithoutMasks:
    """A future read from states without their last numbers, which are masks.

    Args:
        inner: the future.
        count: A, how many numbers a mask has.
    """

    def __init__(self, inner: Any, count: int) -> None:
        self.inner, self.count = inner, count

    def __repr__(self) -> str:
        return repr(self.inner)

    def __getattr__(self, name: str) -> Any:
        """Return what else the future has, such as `steps`."""
        if name in ("inner", "count") or name.startswith("__"):
            raise AttributeError(name)
        return getattr(self.inner, name)

    def space(self, state_space: Space[Any]) -> Space[Any]:
        """Return the space of F."""
        found: Space[Any] = self.inner.space(self._own(state_space))
        return found

    def of(self, transitions: Transitions) -> Tensor:
        """Return F of each transition, `[B, ...]`."""
        found: Tensor = self.inner.of(self._bare(transitions))
        return found

    def read(self, pieces: Sequences, state_space: Space[Any]) -> Tensor:
        """Return F of each piece, `[B, ...]`."""
        found: Tensor = self.inner.read(replace(pieces, steps=self._bare(pieces.steps)), self._own(state_space))
        return found

    def weight(self, policy: Policy, pieces: Sequences) -> Tensor:
        """Return how much each piece counts; the policy needs the masks."""
        found: Tensor = self.inner.weight(policy, pieces)
        return found

    @property
    def baseline(self) -> Any:
        """What one would say of F from the state, where the future says anything."""
        own = getattr(self.inner, "baseline", None)
        return None if own is None else partial(_with_baseline, own, self.count)

    @property
    def outcome(self) -> Any:
        """What takes s' and r out of F, where it holds s'; the mask of s' is not in it, and all 0."""
        own = getattr(self.inner, "outcome", None)
        return None if own is None else self._outcome

    def _outcome(self, found: Tensor, state_space: Space[Any]) -> tuple[Tensor, Tensor | None]:
        state, reward = self.inner.outcome(found, self._own(state_space))
        return pad(state, (0, self.count)), reward

    def _own(self, state_space: Space[Any]) -> Box:
        """Return the space of states without masks."""
        assert isinstance(state_space, Box)
        return Box(state_space.low[: -self.count], state_space.high[: -self.count], dtype=np.float32)

    def _bare(self, rows: Transitions) -> Transitions:
        state, after = rows.state[..., : -self.count], rows.next_state[..., : -self.count]
        return replace(rows, state=state, next_state=after)


def _with_baseline(baseline: Any, count: int, state: Tensor) -> Tensor:
    found: Tensor = baseline(state[..., :-count])
    return found


def without_masks(future: Future, count: int) -> Future:
    """Return the future, read without the masks of A = `count` actions; itself where there are none."""
    require_future(future)
    count = whole("count", count, 0)
    found: Any = WithoutMasks(future, count) if count else future
    return found  # type: ignore[no-any-return]


def unwrapped_future(future: Future) -> Future:
    """Return the future that was given, whatever states have behind them."""
    return future.inner if isinstance(future, WithoutMasks) else future
