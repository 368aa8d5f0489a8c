"""The reward that the critic learns from: the environment's own, a signal, or both.

    r = w r_env + β_t signal(s, a, s')      or, with `signal_value`,      Q = (Q of w r_env) + β_t (Q of signal)

Rewards are computed when transitions are sampled, not when they are stored, so they always use the current signal.
With w = 0 and no signal, the agent maximises the guide's intrinsic reward alone.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Protocol

import torch
from torch import Tensor, nn

from gio_pyro.data.merging import can_be_merged, mean_of_equal
from gio_pyro.errors import InputError, raised_by
from gio_pyro.futures import reads_reward
from gio_pyro.nn.gradient_step import Figures
from gio_pyro.schedules.weights import Weight, weight_of
from gio_pyro.signals.base import Fitted, Signal
from gio_pyro.signals.names import signal_named
from gio_pyro.types import UNKNOWN, Transitions, WeightedBatch
from gio_pyro.utils.calls import to_builtin


class EnvironmentReward(nn.Module):
    """Scaled environment reward, for an agent without a signal.

    Args:
        reward_weight: w; with 0 the agent maximises the intrinsic reward alone.
    """

    learns = False
    """Whether `update` trains anything."""

    def __init__(self, reward_weight: float = 1.0) -> None:
        super().__init__()
        self.reward_weight = reward_weight

    def observe(self, rows: Transitions) -> None:
        """Receive new transitions, each once, in order of time."""

    def update(self, rows: Transitions) -> Figures:
        """Take a gradient step on a batch of replay; return its losses."""
        return {}

    def mix(self, rows: Transitions, step: int) -> Transitions:
        """Return the transitions with the reward that the critic learns from after `step` environment steps."""
        return rows if self.reward_weight == 1 else replace(rows, reward=self.reward_weight * rows.reward)

    def auxiliary(self, rows: Transitions, step: int) -> tuple[WeightedBatch, ...]:
        """Return the transitions with the signal as their reward, and β, for each auxiliary value function."""
        return ()

    def read(self, rows: Transitions) -> Tensor:
        """Return the signal by itself, `[B]`; 0 without one."""
        return torch.zeros_like(rows.reward)


class RewardMix(EnvironmentReward):
    """Weighted sum of the environment's reward and a signal.

    Args:
        signal: the signal.
        weight: β: a number, or `"linear:FROM:TO:STEPS"`, reward units for each unit of the signal.
        reward_weight: w, weight of the environment's reward.
        separate: whether the signal has its own value function instead of being added to the reward.
    """

    learns = True

    def __init__(self, signal: Signal, weight: Weight, reward_weight: float, *, separate: bool = False) -> None:
        super().__init__(reward_weight)
        self.signal = signal
        self.weight = weight_of(to_builtin(weight))
        self.separate = separate

    def observe(self, rows: Transitions) -> None:
        """Pass new transitions to the signal, each once, in order of time."""
        with raised_by(type(self.signal).__name__, "observe"):
            self.signal.observe(rows)

    def update(self, rows: Transitions) -> Figures:
        """Take a gradient step on the signal with a batch of replay; return its losses."""
        with raised_by(type(self.signal).__name__, "update"):
            return dict(self.signal.update(rows) or {})

    def mix(self, rows: Transitions, step: int) -> Transitions:
        """Return the transitions with the reward that the critic learns from after `step` environment steps."""
        own, weight = self.reward_weight * rows.reward, self.weight(step)
        return replace(rows, reward=own if self.separate or weight == 0 else own + weight * self.read(rows))

    def auxiliary(self, rows: Transitions, step: int) -> tuple[WeightedBatch, ...]:
        """Return the transitions with the signal as their reward, and β, if it has its own value function."""
        return (WeightedBatch(replace(rows, reward=self.read(rows)), self.weight(step)),) if self.separate else ()

    @torch.no_grad()
    def read(self, rows: Transitions) -> Tensor:
        """Return the signal by itself, `[B]`."""
        found: Tensor = self.signal(rows)
        return (self._averaged(rows, found) if self.signal.episodic else found).to(rows.reward)

    def _averaged(self, rows: Transitions, found: Tensor) -> Tensor:
        """Return the mean of an episodic signal over the replayed transitions that each merged row stands for."""
        replay, merged = self.signal.fitted.replay, rows.time == UNKNOWN
        if replay is None or not len(replay) or not bool(merged.any()) or not can_be_merged(rows):
            return found
        each = replay.all()
        return torch.where(merged, mean_of_equal(rows, each, self.signal(each), found), found)


class RewardSettings(Protocol):
    """What is read of the settings of an agent."""

    @property
    def signal(self) -> str | None:
        """Name of the signal, None without one."""
        ...

    @property
    def signal_weight(self) -> float | str:
        """Weight of the signal."""
        ...

    @property
    def signal_value(self) -> bool:
        """Whether the signal has a critic of its own."""
        ...

    @property
    def reward_weight(self) -> float | None:
        """Weight of the environment's reward."""
        ...

    @property
    def explorer(self) -> str | None:
        """Name of the explorer, None without one."""
        ...

    @property
    def intrinsic(self) -> str:
        """Whether the guide is read "imagined" or "replayed"."""
        ...


def reward_mix_of(settings: RewardSettings, fitted: Fitted) -> EnvironmentReward:
    """Return the reward of the critic according to the settings: the environment's reward, a signal, or both.

    If an explorer maximises the signal, the agent's own policy learns from the environment's reward alone.

    Raises:
        InputError: a signal that cannot be built, or a future that contains the reward, which the signal changes.
    """
    s = settings
    if s.signal is None:
        mix = EnvironmentReward(1.0 if s.reward_weight is None else s.reward_weight)
        if mix.reward_weight != 1:
            _require_future_without_reward(s, fitted, "reward_weight")
        return mix
    signal = signal_named(s.signal, fitted)
    if s.explorer is not None:
        return RewardMix(signal, 0.0, 1.0)
    _require_future_without_reward(s, fitted, "a signal")
    return signal_mix_of(s, signal, separate=s.signal_value)


def signal_mix_of(settings: RewardSettings, signal: Signal, *, separate: bool = False) -> RewardMix:
    """Return the reward of a policy that maximises the signal, with the weights of the settings."""
    own = 0.0 if settings.reward_weight is None else settings.reward_weight
    return RewardMix(signal, settings.signal_weight, own, separate=separate)


def _require_future_without_reward(settings: RewardSettings, fitted: Fitted, beside: str) -> None:
    """Raise `InputError` for a replayed guide of rewards, which would see the changed reward."""
    if settings.intrinsic == "replayed" and reads_reward(fitted.future, fitted.spec):
        raise InputError(
            f"Expected a future without the reward beside {beside} and a replayed guide, but got {fitted.future}: what "
            'is paid would pass for the reward; take NextState, or intrinsic="imagined".'
        )
