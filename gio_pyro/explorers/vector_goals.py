"""Goals among states of numbers: near and far in standard deviations, reachable as pieces of episodes show."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from gymnasium.spaces import Box
from torch import Tensor, nn

from gio_pyro.data.replay_buffer import Replay
from gio_pyro.explorers.hindsight import Read, meant
from gio_pyro.nn import Standardise, is_image, is_whole
from gio_pyro.programs import example
from gio_pyro.types import Sequences, Transitions

PIECES = 256
"""Pieces of episodes that are drawn to find what lies ahead."""
NEAREST = 8
"""Of these, the ones that began nearest to the present state say what can be reached from it."""
ELSEWHERE = 0.2
"""Share of relabelled transitions whose goal is another piece's, so that what cannot be reached is learned, too."""


@dataclass(frozen=True)
class Pieces:
    """Pieces of episodes, and how to read the signal of their transitions."""

    pieces: Sequences
    signal: Read


class VectorGoals(nn.Module):
    """A pair of a state and a goal is both side by side; of images, their channels.

    What can be reached is what followed, within `horizon` steps, a replayed state like the present one: the `NEAREST`
    of `PIECES` drawn ones. That is a sample and no proof, but it asks for nothing that never was.

    Args:
        space: of states.
        horizon: steps within which a goal must have been reached before.
        near: root mean square distance, in standard deviations of each number, at which a goal counts as reached.
    """

    def __init__(self, space: Box, horizon: int, near: float) -> None:
        super().__init__()
        self.horizon, self.near = horizon, near
        self.scale = Standardise(space.shape, whole=is_whole(space))
        self.axis = _channels(space)
        self.pairs = _doubled(space, self.axis)
        self.optimisers: dict[str, torch.optim.Optimizer] = {}
        self.blank = torch.zeros_like(example(space, torch.device("cpu"))[0])

    def empty(self, count: int) -> Tensor:
        """Return room for goals, `[count, ...]`."""
        return self.blank.expand(count, *self.blank.shape).clone()

    def goals_of(self, state: Tensor) -> Tensor:
        """Return the goals to be where each of `state` `[B, ...]` is, `[B, ...]`: the states themselves."""
        return state

    def learn(self, replay: Replay) -> None:
        """Learn from replay; there is nothing to learn."""

    def join(self, state: Tensor, goal: Tensor) -> Tensor:
        """Return the pairs, `[B, ...]` each."""
        return torch.cat([state, goal.to(state)], self.axis + 1)

    def state_of(self, pairs: Tensor) -> Tensor:
        """Return the states of pairs, `[B, ...]` each."""
        return pairs.tensor_split(2, self.axis + 1)[0]

    def reached(self, state: Tensor, goal: Tensor) -> Tensor:
        """Return whether each state `[B, ...]` is near its goal `[B, ...]`."""
        return self._distance(state, goal) <= self.near

    def observe(self, state: Tensor) -> None:
        """Take new states `[B, ...]` into the scale of distances."""
        self.scale.observe(state)

    def survey(self, replay: Replay, signal: Read) -> Pieces:
        """Draw pieces of episodes."""
        return Pieces(replay.sequences(PIECES, self.horizon), signal)

    def candidates(self, drawn: Pieces, state: Tensor) -> tuple[Tensor, Tensor]:
        """Return what followed states like one given, and how much each is worth, `[K, ...]` and `[K]`."""
        steps, valid = drawn.pieces.steps, drawn.pieces.valid
        closest = self._distance(steps.state[:, 0], state).argsort()[:NEAREST]
        ahead = steps[closest].flat()[valid[closest].flatten()]
        goal = self.goals_of(ahead.next_state)
        missing = ~self.reached(state.expand(len(ahead), *state.shape), goal)
        ahead, goal = ahead[missing], goal[missing]
        return goal, drawn.signal(ahead) if len(ahead) else ahead.reward

    def relabelled(self, replay: Replay, size: int | None) -> Transitions:
        """Return `size` transitions, each with a goal that its episode arrived at within the horizon, or another's.

        Reward 1 and the end where the goal is reached (hindsight experience replay with future goals: Andrychowicz et
        al., 2017, arXiv 1707.01495). None stands for one of each transition.
        """
        drawn = replay.sequences(size, self.horizon)
        goal = self.goals_of(one_ahead(drawn))
        each = torch.arange(len(goal), device=goal.device)
        other = torch.rand(len(goal), device=goal.device) < ELSEWHERE
        return meant(self, drawn.steps[:, 0], goal[torch.where(other, each.roll(1), each)])

    def _distance(self, one: Tensor, other: Tensor) -> Tensor:
        return self._apart(one, other).flatten(1).square().mean(1).sqrt()

    def _apart(self, one: Tensor, other: Tensor) -> Tensor:
        """Return the differences of each number in standard deviations, `[B, ...]`."""
        return (one.to(self.scale.mean) - other.to(self.scale.mean)) / self.scale.deviation


def one_ahead(drawn: Sequences) -> Tensor:
    """Return a state that followed the first one of each piece `[B, T]`, drawn at random, `[B, ...]`."""
    each = torch.arange(len(drawn.valid), device=drawn.valid.device)
    later = (torch.rand(len(each), device=each.device) * drawn.valid.sum(1)).long()
    return drawn.steps.next_state[each, later]


def _channels(space: Box) -> int:
    """Return the axis along which two states are put side by side, counted within one state."""
    if not is_image(space):
        return 0
    return 0 if space.shape[0] < min(space.shape[1:]) else 2


def _doubled(space: Box, axis: int) -> Box:
    bounds: list[Any] = [np.concatenate([bound, bound], axis) for bound in (space.low, space.high)]
    return Box(bounds[0], bounds[1], dtype=space.dtype.type if space.dtype is not None else np.float32)
