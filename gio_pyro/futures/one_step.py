"""Futures of one step. Their channels do not depend on the policy, so replay needs no weights (theory, section 2)."""

import copy
import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from gymnasium import Space
from gymnasium.spaces import Box, Discrete
from torch import Tensor

from gio_pyro import tabular
from gio_pyro.errors import InputError, shown
from gio_pyro.futures.base import Future
from gio_pyro.tabular.mdp import as_mdp
from gio_pyro.tabular.reading import next_states_and_rewards
from gio_pyro.types import Transitions
from gio_pyro.utils.checks import as_number, batch, instance, invalid_argument


@dataclass(frozen=True)
class NextState(Future):
    """F = s': the state after the action. Exact counterpart: `tabular.next_state`."""

    def space(self, state_space: Space[Any]) -> Space[Any]:
        """Return the state space."""
        return state_space

    def of(self, transitions: Transitions) -> Tensor:
        """Return `transitions.next_state`, `[B, ...]`."""
        return instance("transitions", transitions, Transitions).next_state

    def outcome(self, found: Tensor, state_space: Space[Any]) -> tuple[Tensor, Tensor | None]:
        """Return s' and r of futures `[B, ...]`; r is None, as this future does not contain it."""
        return found, None

    def baseline(self, state: Tensor) -> Tensor:
        """Return s."""
        return state

    def exact(self) -> tabular.Future:
        """Return the exact counterpart."""
        return tabular.next_state


@dataclass(frozen=True)
class NextStateAndReward(Future):
    """F = (s', r). Exact counterpart: `tabular.next_state_and_reward`.

    Where states are vectors or images, F is s', flattened, followed by r. Where they are Discrete, F is an index. With
    a transition table in the environment it counts the pairs (s', r) that occur, so that F is s' itself where s'
    determines r. With `rewards` it is s' · R + (index of the reward). Any other reward is taken for the nearest one.
    """

    rewards: Sequence[float] = ()
    """R rewards that occur, increasing, reward units; for Discrete states without a transition table only."""
    pairs: Sequence[tuple[int, float]] = field(default=(), init=False, repr=False)
    """The pairs (s', r) that occur, increasing, at least one for each state; `in_environment` sets them."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "rewards", increasing(self.rewards, "rewards"))

    def space(self, state_space: Space[Any]) -> Space[Any]:
        """Return Discrete(F), or a Box of one number more than the state.

        Raises:
            InputError: Discrete states without `rewards` and without a transition table, or `rewards` with others.
        """
        if isinstance(state_space, Discrete):
            if not self.rewards and not self.pairs:
                raise InputError(
                    "Expected the rewards that occur, as Discrete states need a finite future, but got none, and there "
                    "is no transition table to read them from; give them, e.g. NextStateAndReward(rewards=(0.0, 1.0))."
                )
            return Discrete(len(self.pairs) or int(state_space.n) * len(self.rewards))
        if self.rewards:
            raise InputError("Expected rewards only where states are Discrete, but states are vectors; leave them out.")
        return Box(-np.inf, np.inf, (math.prod(state_space.shape or ()) + 1,), np.float32)

    def in_environment(self, env: Any, state_space: Space[Any]) -> Future:
        """Return this future with the pairs of `env.unwrapped.P` where states are Discrete and no rewards are given."""
        if self.rewards or not isinstance(state_space, Discrete):
            return self
        future = copy.copy(self)
        object.__setattr__(future, "pairs", next_states_and_rewards(env))
        return future

    def of(self, transitions: Transitions) -> Tensor:
        """Return (s', r) of each transition, `[B]` or `[B, n + 1]`."""
        transitions = instance("transitions", transitions, Transitions)
        state, reward = transitions.next_state, transitions.reward
        if self.rewards or self.pairs:
            return self._index(state, reward)
        return torch.cat([state.flatten(1).float(), reward[:, None]], -1)

    def outcome(self, found: Tensor, state_space: Space[Any]) -> tuple[Tensor, Tensor | None]:
        """Return s' `[B, ...]` and r `[B]` of futures, the inverse of `of`."""
        found = batch("futures", found)
        if not self.rewards and not self.pairs:
            return found[:, :-1].reshape(-1, *(state_space.shape or ())), found[:, -1]
        if found.is_floating_point():
            raise invalid_argument("futures as whole numbers", found)
        if self.pairs:
            state, reward = (
                torch.tensor(column, device=found.device)[found] for column in zip(*self.pairs, strict=True)
            )
            return state, reward
        known = torch.tensor(self.rewards, device=found.device)
        return found // len(known), known[found % len(known)]

    def baseline(self, state: Tensor) -> Tensor:
        """Return (s, 0)."""
        return torch.nn.functional.pad(batch("state", state, 2).flatten(1).float(), (0, 1))

    def exact(self) -> tabular.Future:
        """Return the exact counterpart, its futures in the order of `of`."""

        def future(mdp: tabular.TabularMDP, policy: Tensor) -> Tensor:
            pairs = as_mdp(mdp).outcomes
            label = self._index(pairs.next_state, pairs.reward)
            return tabular.grouped(pairs.probability, label, len(self.pairs) or mdp.states * len(self.rewards))

        return future

    def _index(self, state: Tensor, reward: Tensor) -> Tensor:
        known = torch.tensor(self._known, dtype=reward.dtype, device=reward.device)
        distance = (reward[..., None] - known).abs()
        if not self.pairs:
            return state * len(known) + distance.argmin(-1)
        number = self._numbers.to(state.device)[state]
        nearest = distance.masked_fill(number < 0, math.inf).argmin(-1, keepdim=True)
        return number.gather(-1, nearest).squeeze(-1)

    @cached_property
    def _known(self) -> tuple[float, ...]:
        """The R distinct rewards, increasing."""
        return tuple(self.rewards) or tuple(sorted({reward for _, reward in self.pairs}))

    @cached_property
    def _numbers(self) -> Tensor:
        """The index of each pair of a state and a reward, `[S, R]`, −1 where it does not occur."""
        column = {reward: number for number, reward in enumerate(self._known)}
        table = torch.full((1 + max(state for state, _ in self.pairs), len(column)), -1)
        for number, (state, reward) in enumerate(self.pairs):
            table[state, column[reward]] = number
        return table


def increasing(values: Sequence[float], name: str) -> tuple[float, ...]:
    """Return numbers as a tuple; raises `InputError` unless they are finite and increasing."""
    try:
        given = [None] if isinstance(values, str | bytes | dict | set) else [as_number(value) for value in values]
    except TypeError:
        given = [None]
    numbers = tuple(math.nan if value is None else float(value) for value in given)
    if not all(map(math.isfinite, numbers)) or any(b <= a for a, b in pairwise(numbers)):
        raise InputError(f"Expected {name} that increase, such as (0.0, 1.0), but got {shown(values)}.")
    return numbers
