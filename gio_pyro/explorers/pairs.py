"""States side by side with what an explorer is about: a goal, or a skill."""

from __future__ import annotations

from collections.abc import Hashable
from typing import Protocol

import numpy as np
import torch
from gymnasium.spaces import Box, Discrete
from torch import Tensor

from gio_pyro.nn.vectors import one_hot
from gio_pyro.types import Allowed, Transitions


class Pairs(Protocol):
    """Pairs of a state and something else, in one kind of space."""

    def state_of(self, pairs: Tensor) -> Tensor:
        """Return the states of pairs, `[B, ...]` each."""
        ...


class PairMasks:
    """Action masks of pairs, which are those of their states.

    Args:
        masks: those of states.
        pairs: how states and pairs belong together.
    """

    def __init__(self, masks: Allowed, pairs: Pairs) -> None:
        self.masks, self.pairs = masks, pairs

    def __call__(self, pairs: Tensor) -> Tensor | None:
        """Return the flags of pairs `[B, ...]`, `[B, A]`."""
        return self.masks(self.pairs.state_of(pairs))

    def key(self, pair: int) -> Hashable:
        """Return the number of a pair and its present mask."""
        own = getattr(self.masks, "key", int)
        return (pair, own(int(self.pairs.state_of(torch.tensor(pair)))))


class FiniteSkillPairs:
    """A pair of a state and a skill is one of S · K values, state · K + skill.

    Args:
        space: of states.
        count: K.
    """

    def __init__(self, space: Discrete, count: int) -> None:
        self.count, self.space = count, Discrete(int(space.n) * count)

    def join(self, state: Tensor, skill: Tensor) -> Tensor:
        """Return the pairs, `[B]` each."""
        return state * self.count + skill.to(state)

    def state_of(self, pairs: Tensor) -> Tensor:
        """Return the states of pairs, `[B]` each."""
        return pairs // self.count

    def spread(self, rows: Transitions, skill: Tensor) -> tuple[Transitions, Tensor]:
        """Return every transition with every skill, `[B · K]`, and the skills; those that were drawn are not needed."""
        each = torch.arange(len(rows), device=skill.device).repeat_interleave(self.count)
        return rows[each], torch.arange(self.count, device=skill.device).repeat(len(rows))


class VectorSkillPairs:
    """A pair is the state followed by the skill as one of K indicators.

    Args:
        space: of states.
        count: K.
    """

    def __init__(self, space: Box, count: int) -> None:
        self.count, self.width = count, int(np.prod(space.shape))
        low, high = (np.concatenate([end.ravel(), np.full(count, n)]) for end, n in ((space.low, 0), (space.high, 1)))
        self.space = Box(low.astype(space.dtype), high.astype(space.dtype), dtype=space.dtype)

    def join(self, state: Tensor, skill: Tensor) -> Tensor:
        """Return the pairs, `[B, M + K]`."""
        flat = state.flatten(1)
        return torch.cat([flat, one_hot(skill.to(flat.device), self.count).to(flat)], -1)

    def state_of(self, pairs: Tensor) -> Tensor:
        """Return the states of pairs, `[B, M]`."""
        return pairs[..., : self.width]

    def spread(self, rows: Transitions, skill: Tensor) -> tuple[Transitions, Tensor]:
        """Return transitions `[B]` with the skills that were drawn for them."""
        return rows, skill
