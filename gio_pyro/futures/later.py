"""Futures of several steps, read from replayed sequences that earlier policies collected."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import pyro.distributions as dist
import torch
from gymnasium import Space
from gymnasium.spaces import Box, Discrete
from torch import Tensor

from gio_pyro import tabular
from gio_pyro.distributions.masks import evenly
from gio_pyro.distributions.squash import uniform_in_box
from gio_pyro.errors import InputError, shown
from gio_pyro.futures.base import Later
from gio_pyro.futures.one_step import increasing
from gio_pyro.programs import log_probs
from gio_pyro.tabular.futures import decay, interval_of
from gio_pyro.types import UNKNOWN, Policy, Sequences
from gio_pyro.utils.checks import as_number, batch, instance

GOLDEN = (5**0.5 - 1) / 2
"""The golden ratio less 1."""
MOST_VALUES = 2**20
"""The largest number of distinct trajectories of a finite state space."""


@dataclass(frozen=True)
class StateAfter(Later):
    """F = s_{t+k}, the k − 1 later actions from the current policy. Exact counterpart: `tabular.state_after`.

    Off-policy: replayed sequences are weighted by π/μ of their later actions (see `Later`).
    """

    def space(self, state_space: Space[Any]) -> Space[Any]:
        """Return the state space."""
        return state_space

    def read(self, pieces: Sequences, state_space: Space[Any]) -> Tensor:
        """Return the last state of each sequence, `[B, ...]`."""
        return instance("pieces", pieces, Sequences).steps.next_state[:, -1]

    def baseline(self, state: Tensor) -> Tensor:
        """Return s."""
        return state

    def exact(self) -> tabular.Future:
        """Return the exact counterpart."""
        return tabular.state_after(self.steps)


@dataclass(frozen=True)
class DiscountedState(StateAfter):
    """F = s_{t+k}, k drawn from 1 to `steps` with probability ∝ γ^(k−1), later actions from the current policy.

    The information of the action about where its discounted future lies (empowerment by successor representations:
    Myers et al., 2024, arXiv 2411.02623). k depends on the number of the transition alone, by multiples of the golden
    ratio, which are spread evenly; each reading finds the same state. Exact counterpart: `tabular.discounted_state`.

    Off-policy: replayed sequences are weighted by π/μ of their later actions (see `Later`).
    """

    discount: float = 0.9
    """γ in (0, 1], of k alone."""

    def __post_init__(self) -> None:
        super().__post_init__()
        object.__setattr__(self, "discount", decay(self.discount))

    def read(self, pieces: Sequences, state_space: Space[Any]) -> Tensor:
        """Return one state of each sequence, `[B, ...]`; that of an unknown transition is drawn anew by each call."""
        steps = instance("pieces", pieces, Sequences).steps
        time = steps.time[:, 0].double()
        quantile = torch.where(time == UNKNOWN, torch.rand_like(time), (time * GOLDEN) % 1)
        weight = self.discount ** torch.arange(self.steps, dtype=torch.float64, device=time.device)
        each = torch.searchsorted(weight.cumsum(0) / weight.sum(), quantile, right=True).clamp_max(self.steps - 1)
        return steps.next_state[torch.arange(len(time), device=time.device), each]

    def exact(self) -> tabular.Future:
        """Return the exact counterpart."""
        return tabular.discounted_state(self.steps, self.discount)


@dataclass(frozen=True)
class FinalState(StateAfter):
    """F = s_{t+n} of an open-loop sequence of n actions: the first is the agent's, the others are uniform.

    They are uniform over the allowed actions, or over the action box where actions are continuous. The reward is the
    information about the agent's action that is left after n − 1 actions independent of it. Exact counterpart:
    `tabular.final_state`, whose channel does not depend on the policy.

    Off-policy: replayed sequences are weighted by uniform/μ of their later actions (see `Later`).
    """

    def source(self, policy: Policy) -> Policy:
        """Return the uniform policy over the actions that the policy may take."""

        def uniform(state: Tensor) -> Any:
            pi = policy(state)
            if not pi.has_enumerate_support:
                return uniform_in_box(torch.zeros(pi.batch_shape + pi.event_shape, device=state.device))
            return dist.Categorical(logits=evenly(log_probs(pi)))

        return uniform

    def exact(self) -> tabular.Future:
        """Return the exact counterpart."""
        return tabular.final_state(self.steps)


@dataclass(frozen=True)
class Trajectory(Later):
    """F = (s_{t+1}, …, s_{t+k}), the later actions from the current policy. Exact counterpart: `tabular.trajectory`.

    Discrete states are the digits of one index, the last one fastest; others are stacked, `[k, ...]`. As F contains s',
    in a Markov environment it has exactly the information of s': the reward is the same, the programs are harder to
    learn.

    Off-policy: replayed sequences are weighted by π/μ of their later actions (see `Later`).
    """

    def space(self, state_space: Space[Any]) -> Space[Any]:
        """Return Discrete(S^k), or a Box of k states; raises `InputError` for more than a million trajectories."""
        if isinstance(state_space, Discrete):
            if (count := int(state_space.n) ** self.steps) > MOST_VALUES:
                raise InputError(
                    f"Expected at most {MOST_VALUES:,} trajectories, but {state_space.n} states have {count:,} of "
                    f"{self.steps} steps; take fewer steps, or StateAfter({self.steps})."
                )
            return Discrete(count)
        instance("the state space", state_space, Box)
        assert isinstance(state_space, Box)
        low, high = (np.repeat(bound[None], self.steps, 0) for bound in (state_space.low, state_space.high))
        return Box(low, high, dtype=state_space.dtype.type)

    def read(self, pieces: Sequences, state_space: Space[Any]) -> Tensor:
        """Return the states of each sequence, `[B, k, ...]`, or their index `[B]`."""
        states = instance("pieces", pieces, Sequences).steps.next_state
        if not isinstance(state_space, Discrete):
            return states
        place = int(state_space.n) ** torch.arange(self.steps - 1, -1, -1, device=states.device)
        return (states * place).sum(1)

    def baseline(self, state: Tensor) -> Tensor:
        """Return s, repeated k times."""
        return batch("state", state).unsqueeze(1).expand(-1, self.steps, *state.shape[1:])

    def exact(self) -> tabular.Future:
        """Return the exact counterpart."""
        return tabular.trajectory(self.steps)


@dataclass(frozen=True)
class Return(Later):
    """F = Σ_{i<h} γ^i r_{t+i}, for credit assignment: rewards actions whose effect shows in the return.

    The later actions are from the current policy. Exact counterpart: `tabular.discounted_return`. A return is a
    function of the trajectory with rewards, so it has at most the information of that. With `levels` F is the index of
    the interval that contains the sum, for finite environments; without, F is the sum itself, `[1]`.

    Off-policy: replayed sequences are weighted by π/μ of their later actions (see `Later`).
    """

    discount: float = 1.0
    """γ in [0, 1], of this sum alone."""
    levels: tuple[float, ...] = ()
    """Increasing bounds, reward units; a sum on a bound is in the interval above it."""

    def __post_init__(self) -> None:
        super().__post_init__()
        discount = as_number(self.discount)
        if discount is None or not 0 <= discount <= 1:
            raise InputError(f"Expected a discount in [0, 1], but got {shown(self.discount)}; 0.99 is a usual choice.")
        object.__setattr__(self, "discount", discount)
        object.__setattr__(self, "levels", increasing(self.levels, "levels"))

    def space(self, state_space: Space[Any]) -> Space[Any]:
        """Return Discrete(len(levels) + 1), or a Box of one number."""
        if self.levels:
            return Discrete(len(self.levels) + 1)
        return Box(-np.inf, np.inf, (1,), np.float32)

    def read(self, pieces: Sequences, state_space: Space[Any]) -> Tensor:
        """Return the sum `[B, 1]`, or the index of its interval `[B]`."""
        pieces = instance("pieces", pieces, Sequences)
        reward = pieces.steps.reward * pieces.valid  # nothing is earned after the end of an episode
        weight = self.discount ** torch.arange(reward.shape[1], dtype=reward.dtype, device=reward.device)
        total = (reward * weight).sum(1)
        if not self.levels:
            return total[:, None]
        return interval_of(total, torch.tensor(self.levels, dtype=torch.float64))

    def exact(self) -> tabular.Future:
        """Return the exact counterpart."""
        return tabular.discounted_return(self.steps, self.discount, levels=self.levels)
