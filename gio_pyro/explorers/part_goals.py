"""Goals in parts of a state: some of its numbers shall be those of a state that was seen, whatever the others are."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from gymnasium import Space
from gymnasium.spaces import Box
from torch import Tensor

from gio_pyro.data.replay_buffer import Replay
from gio_pyro.errors import InputError, shown
from gio_pyro.explorers.vector_goals import VectorGoals
from gio_pyro.programs import Model, sample_actions
from gio_pyro.types import Policy

EACH = "each"
"""The `parts` that are one number each."""
ACTIONS = 8
"""Actions that are drawn in each state where they are continuous."""
LOOKED_AT = 64
"""Replayed states in which the influence of actions is estimated."""
LEAST = 1e-6
"""Smallest variance and smallest weight of a part."""

Influence = Callable[[Tensor], Tensor]
"""From states `[B, n]` to the influence of actions on each of the next n numbers, `[n]` nats."""


class PartGoals(VectorGoals):
    """A goal is a state and a part of it, side by side: the numbers wanted, and 1 where they count.

    The agent learns to reach each object by itself (SMORL: Zadaianchuk, Seitzer and Martius, 2021, arXiv 2011.14381).
    Parts are drawn evenly, or with `influence` in proportion to what actions can change in them, so that it does not
    strive for what is out of its control (SRICS: Zadaianchuk, Martius and Yang, 2021, arXiv 2109.04150).

    Args:
        space: of states, a vector.
        horizon: steps within which a goal must have been reached before.
        near: root mean square distance, in standard deviations of each number of the part, at which a goal is reached.
        parts: numbers that belong together, such as ((0, 1), (2, 3)), or "each".
        influence: of actions on each number; None for even shares.

    Raises:
        InputError: a space that is no vector, or parts that are not of its numbers.
    """

    members: Tensor
    share: Tensor

    def __init__(
        self, space: Space[Any], horizon: int, near: float, parts: Any, influence: Influence | None = None
    ) -> None:
        if not isinstance(space, Box) or len(space.shape) != 1:
            raise InputError(f"Expected states that are vectors for goals in parts, but got {space}; leave parts out.")
        super().__init__(space, horizon, near)
        self.size = space.shape[0]
        self.register_buffer("members", _members(parts, self.size))
        self.register_buffer("share", torch.full((len(self.members),), 1 / len(self.members)))
        self.influence = influence
        self.pairs = _tripled(space)
        self.blank = torch.zeros(2 * self.size)

    def goals_of(self, state: Tensor) -> Tensor:
        """Return a goal of each state `[B, n]`, its part drawn at random, `[B, 2 n]`."""
        part = torch.multinomial(self.share, len(state), replacement=True) if len(state) else state.new_zeros(0).long()
        return torch.cat([state, self.members[part].to(state)], 1)

    def join(self, state: Tensor, goal: Tensor) -> Tensor:
        """Return the pairs, `[B, 3 n]`; what does not count in the goal is 0."""
        wanted, counts = goal.to(state).tensor_split(2, 1)
        return torch.cat([state, wanted * counts, counts], 1)

    def state_of(self, pairs: Tensor) -> Tensor:
        """Return the states of pairs, `[B, n]`."""
        return pairs[:, : self.size]

    def reached(self, state: Tensor, goal: Tensor) -> Tensor:
        """Return whether the numbers of each state `[B, n]` that count are near those of its goal `[B, 2 n]`."""
        wanted, counts = goal.tensor_split(2, 1)
        return ((counts * self._apart(state, wanted).square()).sum(1) / counts.sum(1)).sqrt() <= self.near

    @torch.no_grad()
    def learn(self, replay: Replay) -> None:
        """Update how often each part is drawn, from the influence of actions in replayed states."""
        if self.influence is not None:
            influence = self.influence(replay.sample(LOOKED_AT).state)
            weight = (self.members * influence).sum(1) / self.members.sum(1)
            self.share.copy_((weight + LEAST) / (weight + LEAST).sum())


def influence_of(model: Model, policy: Policy, state: Tensor) -> Tensor:
    """Return ½ log(1 + variance between actions / variance within) of each number of s', averaged over states.

    It is the information of the action about the number where means and noise are normal, and an upper bound where only
    the noise is.

    Args:
        model: of the next state.
        policy: what continuous actions are drawn from; finitely many count evenly.
        state: `[B, n]`.

    Returns:
        The influence on each number, `[n]` nats.
    """
    pi = policy(state)
    chosen = sample_actions(pi, ACTIONS)
    count = len(chosen.action) // len(state)
    found = model.future(policy, state.repeat_interleave(count, 0), chosen.action)
    mean, variance = (part.unflatten(0, (len(state), count)) for part in (found.mean, found.variance))
    ratio = mean.var(1, correction=0) / variance.mean(1).clamp_min(LEAST)
    nats: Tensor = 0.5 * ratio.log1p().mean(0)
    return nats


def _members(parts: Any, size: int) -> Tensor:
    """Return which numbers belong to each part, `[P, n]` of 0 and 1."""
    given = [(number,) for number in range(size)] if parts == EACH else parts
    whole = isinstance(given, tuple | list) and given and all(isinstance(part, tuple | list) and part for part in given)
    if not whole or not all(isinstance(i, int) and 0 <= i < size for part in given for i in part):
        raise InputError(
            f"Expected parts of {size} numbers, such as ((0, 1), (2,)) or 'each', but got {shown(parts)}; count from 0."
        )
    members = torch.zeros(len(given), size)
    for row, part in enumerate(given):
        members[row, list(part)] = 1
    return members


def _tripled(space: Box) -> Box:
    """Return the space of a state, what is wanted and what counts, side by side."""
    flags = np.zeros(space.shape), np.ones(space.shape)
    low, high = (
        np.concatenate([bound, np.clip(bound, *limits), flag])
        for bound, limits, flag in ((space.low, (None, 0), flags[0]), (space.high, (0, None), flags[1]))
    )
    return Box(low.astype(np.float32), high.astype(np.float32))
