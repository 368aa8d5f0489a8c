"""Futures of one step. Their channels do not depend on the policy, so replay needs no weights (theory, section 2)."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
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

    Where states are Discrete, F is the index s' · R + (index of the reward), and `rewards` lists the R rewards that
    occur; any other reward is taken for the nearest of them. Where states are vectors or images, F is s', flattened,
    followed by r.
    """

    rewards: Sequence[float] = ()
    """Reward units, increasing; for Discrete states only. By default those of the environment's transition table."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "rewards", increasing(self.rewards, "rewards"))

    def space(self, state_space: Space[Any]) -> Space[Any]:
        """Return Discrete(S · R), or a Box of one number more than the state.

        Raises:
            InputError: Discrete states and no `rewards`, or the other way round.
        """
        if isinstance(state_space, Discrete):
            if not self.rewards:
                raise InputError(
                    "Expected the rewards that occur, as Discrete states need a finite future, but got none, and there "
                    "is no transition table to read them from; give them, e.g. NextStateAndReward(rewards=(0.0, 1.0))."
                )
            return Discrete(int(state_space.n) * len(self.rewards))
        if self.rewards:
            raise InputError("Expected rewards only where states are Discrete, but states are vectors; leave them out.")
        return Box(-np.inf, np.inf, (math.prod(state_space.shape or ()) + 1,), np.float32)

    def in_environment(self, env: Any, state_space: Space[Any]) -> Future:
        """Return this future with the rewards of `env.unwrapped.P`, where states are Discrete and none are given."""
        if self.rewards or not isinstance(state_space, Discrete):
            return self
        return replace(self, rewards=tabular.rewards_of(env))

    def of(self, transitions: Transitions) -> Tensor:
        """Return (s', r) of each transition, `[B]` or `[B, n + 1]`."""
        transitions = instance("transitions", transitions, Transitions)
        state, reward = transitions.next_state, transitions.reward
        if self.rewards:
            return self._index(state, reward)
        return torch.cat([state.flatten(1).float(), reward[:, None]], -1)

    def outcome(self, found: Tensor, state_space: Space[Any]) -> tuple[Tensor, Tensor | None]:
        """Return s' `[B, ...]` and r `[B]` of futures, the inverse of `of`."""
        found = batch("futures", found)
        if self.rewards:
            if found.is_floating_point():
                raise invalid_argument("futures as whole numbers", found)
            known = torch.tensor(self.rewards, device=found.device)
            return found // len(known), known[found % len(known)]
        return found[:, :-1].reshape(-1, *(state_space.shape or ())), found[:, -1]

    def baseline(self, state: Tensor) -> Tensor:
        """Return (s, 0)."""
        return torch.nn.functional.pad(batch("state", state, 2).flatten(1).float(), (0, 1))

    def exact(self) -> tabular.Future:
        """Return the exact counterpart, its futures in the order of `of`."""

        def future(mdp: tabular.TabularMDP, policy: Tensor) -> Tensor:
            pairs = as_mdp(mdp).outcomes
            label = self._index(pairs.next_state, pairs.reward)
            return tabular.grouped(pairs.probability, label, mdp.states * len(self.rewards))

        return future

    def _index(self, state: Tensor, reward: Tensor) -> Tensor:
        known = torch.tensor(self.rewards, dtype=reward.dtype, device=reward.device)
        return state * len(known) + (reward[..., None] - known).abs().argmin(-1)


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
