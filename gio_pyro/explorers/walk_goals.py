"""Goals that are reached where a network says so, which learned from walks how many steps two states are apart."""

from __future__ import annotations

from typing import Any

import torch
from gymnasium.spaces import Box
from torch import Tensor

from gio_pyro.data.replay_buffer import Replay
from gio_pyro.explorers.hindsight import Read
from gio_pyro.explorers.vector_goals import VectorGoals
from gio_pyro.nn.gradient_step import Descent, Figures, adam
from gio_pyro.signals import Fitted
from gio_pyro.signals.memories import LearnedMemory

MOST = 256
"""Goals that are remembered; the next takes the place of one at random."""
LOOKED_AT = 8
"""States of a batch that are looked at for new goals."""
NEAR = 0.5
"""Probability of being within reach from which a goal counts as reached."""


class WalkGoals(VectorGoals):
    """Goals from a memory of states that are out of each other's reach, within reach as a network predicts.

    The network compares pairs of states: near if they are at most `steps` apart in an episode, far if more than five
    times as many. A state becomes a goal if none of those remembered is near (Mezghani et al., 2022, arXiv 2206.11733).

    Args:
        fitted: spaces and replay of the agent.
        horizon: steps of the pieces that transitions are relabelled in.
        steps: steps within which states are near.
        learning_rate: Adam's step size.
    """

    memory: Tensor
    stored: Tensor

    def __init__(self, fitted: Fitted, horizon: int, steps: int, *, learning_rate: float) -> None:
        space = fitted.spec.state_space
        assert isinstance(space, Box)
        assert fitted.replay is not None
        super().__init__(space, horizon, near=1.0)
        self.comparator = LearnedMemory(
            fitted.replay, space, fitted.spec.hidden, capacity=MOST, history=MOST, near=steps
        )
        self.register_buffer("memory", self.empty(MOST))
        self.register_buffer("stored", torch.zeros((), dtype=torch.int64))
        self.optimisers = {"reach": adam(list(self.comparator.parameters()), learning_rate)}
        self.descent = Descent("reach", self._loss, self.optimisers["reach"])

    @torch.no_grad()
    def within_reach(self, state: Tensor, goal: Tensor) -> Tensor:
        """Return the probability that each goal `[B, ...]` is near its state `[B, ...]`, `[B]`."""
        return self.comparator.likelihood(state, goal)

    def reached(self, state: Tensor, goal: Tensor) -> Tensor:
        """Return whether each state `[B, ...]` is near its goal `[B, ...]`."""
        return self.within_reach(state, goal) >= NEAR

    def observe(self, state: Tensor) -> None:
        """Take new states `[B, ...]` into the input statistics, and remember those that are far from all goals."""
        super().observe(state)
        self.comparator.encoder.observe(state)
        for one in state[:: max(1, len(state) // LOOKED_AT)][:LOOKED_AT]:
            count = min(int(self.stored), MOST)
            goals = self.memory[:count]
            if count and bool(self.reached(one.expand_as(goals), goals).any()):
                continue
            place = count if count < MOST else int(torch.randint(MOST, ()))
            self.memory[place] = one.to(self.memory)
            self.stored += 1

    def survey(self, replay: Replay, signal: Read) -> Any:
        """Nothing has to be drawn: goals are remembered."""
        return None

    def candidates(self, drawn: Any, state: Tensor) -> tuple[Tensor, Tensor]:
        """Return the remembered goals that are not reached yet, each worth the same, `[K, ...]` and `[K]`."""
        goals = self.memory[: min(int(self.stored), MOST)]
        goals = goals[~self.reached(state.expand_as(goals).to(goals), goals)] if len(goals) else goals
        return goals, torch.ones(len(goals), device=goals.device)

    def learn(self, replay: Replay) -> None:
        """Take a gradient step on pairs of states of replayed walks."""
        self.descent.step(None, *self.comparator.pairs())

    def _loss(self, context: None, *pairs: Tensor) -> tuple[Tensor, Figures]:
        loss = self.comparator.loss(*pairs)
        return loss, {"reach_loss": loss}
