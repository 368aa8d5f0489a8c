"""What the critic is told that a transition earned: the environment's reward, and a signal beside it.

    r_paid = w r + β_t signal(s, a, s')            or, kept apart,   Q = Q of w r  +  β_t (Q of the signal)

Rewards are computed when transitions are read, not when they are stored: a signal that has learned since pays what it
would pay now, and nothing in replay grows stale.
"""

from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor, nn

from gio_pyro.actor_critic import WeightedBatch
from gio_pyro.data.replay_buffer import can_be_merged, mean_of_equal
from gio_pyro.errors import raised_by
from gio_pyro.nn.gradient_step import Figures
from gio_pyro.schedules.weights import Weight, weight_of
from gio_pyro.signals import Signal
from gio_pyro.types import UNKNOWN, Transitions


class RewardMix(nn.Module):
    """Pays transitions; with no signal it pays what the environment did.

    Args:
        signal: what is paid besides the reward, or None.
        weight: β: a number, or `"linear:FROM:TO:STEPS"`, reward units for each unit of the signal.
        reward_weight: w, of the environment's own reward.
        apart: whether the signal has a value of its own instead of a part in the reward.
    """

    def __init__(self, signal: Signal | None, weight: Weight, reward_weight: float, *, apart: bool = False) -> None:
        super().__init__()
        self.signal = signal
        self.weight, self.reward_weight = weight_of(weight), reward_weight
        self.kept_apart = apart

    def observe(self, rows: Transitions) -> None:
        """Tell the signal about new transitions, each once, in order of time."""
        if self.signal is not None:
            with raised_by(type(self.signal).__name__, "observe"):
                self.signal.observe(rows)

    def update(self, rows: Transitions) -> Figures:
        """Let the signal learn from a batch of replay."""
        if self.signal is None:
            return {}
        with raised_by(type(self.signal).__name__, "update"):
            return dict(self.signal.update(rows) or {})

    def paid(self, rows: Transitions, step: int) -> Transitions:
        """Return the transitions with what they are paid after `step` environment steps as their reward."""
        if self.signal is None:
            return rows
        own, weight = self.reward_weight * rows.reward, self.weight(step)
        return replace(rows, reward=own if self.kept_apart or weight == 0 else own + weight * self.read(rows))

    def apart(self, rows: Transitions, step: int) -> tuple[WeightedBatch, ...]:
        """Return the transitions with the signal as their reward and β, where it has a value of its own."""
        return (WeightedBatch(replace(rows, reward=self.read(rows)), self.weight(step)),) if self.kept_apart else ()

    @torch.no_grad()
    def read(self, rows: Transitions) -> Tensor:
        """Return the signal by itself, `[B]`; 0 where there is none."""
        if self.signal is None:
            return torch.zeros_like(rows.reward)
        found: Tensor = self.signal(rows)
        return (self._averaged(rows, found) if self.signal.episodic else found).to(rows.reward)

    def _averaged(self, rows: Transitions, found: Tensor) -> Tensor:
        """Return what an episodic signal says of `rows`: of one that stands for several, their mean."""
        replay = None if self.signal is None else self.signal.fitted.replay
        merged = rows.time == UNKNOWN
        if replay is None or not len(replay) or not bool(merged.any()) or not can_be_merged(rows):
            return found
        each = replay.all()
        assert self.signal is not None
        return torch.where(merged, mean_of_equal(rows, each, self.signal(each), found), found)
