"""Which part of what follows an action the agent is rewarded for controlling: its future F.

    future                                 F                                     its channel depends on the policy
    NextState()                            s'                                    no
    NextStateAndReward()                   (s', r)                               no
    FinalState(n)                          s_{t+n}, later actions uniform        no
    StateAfter(k)                          s_{t+k}                               yes
    DiscountedState(n)                     s_{t+k}, k ≤ n drawn ∝ γ^(k−1)        yes
    Trajectory(k)                          (s_{t+1}, …, s_{t+k})                 yes
    Return(h)                              Σ_{i<h} γ^i r_{t+i}                   yes
    Features(future, function, space)      a user's function of any of these     as that of `future`

Each is read from replay, and each has an exact counterpart in `gio_pyro.tabular`. Your own is a subclass of `Future`.
"""

from gio_pyro.futures.base import Future, FutureLike, Later
from gio_pyro.futures.features import Features
from gio_pyro.futures.later import DiscountedState, FinalState, Return, StateAfter, Trajectory
from gio_pyro.futures.names import FUTURES, future_from, written
from gio_pyro.futures.one_step import NextState, NextStateAndReward
from gio_pyro.futures.spec import exact_of, has_exact, reads_reward, spec_of, steps_of
from gio_pyro.futures.wrapped import unwrapped_future, without_masks

__all__ = [
    "FUTURES",
    "DiscountedState",
    "Features",
    "FinalState",
    "Future",
    "FutureLike",
    "Later",
    "NextState",
    "NextStateAndReward",
    "Return",
    "StateAfter",
    "Trajectory",
    "exact_of",
    "future_from",
    "has_exact",
    "reads_reward",
    "spec_of",
    "steps_of",
    "unwrapped_future",
    "without_masks",
    "written",
]
