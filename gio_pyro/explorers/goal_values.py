"""π(g|s): goals chosen by what pursuing them from where one is has been worth, a value that is learned.

An upper level takes goals as its actions: from state s to goal g, up to `horizon` steps later, it collects the signal
on the way. With R the discounted signal of a piece of an episode that went from s to g in j steps,

    Q(s, g) = E[ R + γʲ max_g' Q(g, g') ]

is learned from pieces of replay, each taken as if where it ended had been meant (hindsight for the upper level: Levy et
al., 2019, arXiv 1712.00948; Nachum et al., 2018, arXiv 1805.08296). Of vectors the maximum is over goals at which the
same episode went on to arrive.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from gymnasium.spaces import Box
from torch import Tensor, nn

from gio_pyro.data.replay_buffer import Replay
from gio_pyro.explorers.finite_goals import FiniteGoals
from gio_pyro.explorers.hindsight import Read
from gio_pyro.explorers.vector_goals import VectorGoals
from gio_pyro.nn import encoder, mlp
from gio_pyro.nn.gradient_step import Descent, Figures, adam

PIECES = 64
"""Pieces of episodes of one update."""
STEP = 0.2
"""Step size of tables."""
AHEAD = 4
"""Later goals of an episode among which the best continuation is sought."""


@dataclass(frozen=True)
class Walks:
    """Pieces of episodes as single actions of the upper level, `[B]`."""

    start: Tensor
    goal: Tensor
    collected: Tensor
    """Discounted signal on the way."""
    discount: Tensor
    """γʲ, 0 where the episode terminated at the goal."""
    end: Tensor
    """State at the goal."""
    ahead: Tensor
    """Goals that the same episode arrived at within the horizon after this one, `[B, K, ...]`."""
    goes_on: Tensor
    """Whether it arrived at each, `[B, K]`."""


def walks(replay: Replay, goals: FiniteGoals | VectorGoals, read: Read, discount: float) -> Walks:
    """Draw pieces of episodes that each end at a goal drawn at random within the horizon."""
    drawn = replay.sequences(PIECES, 2 * goals.horizon)
    steps, valid = drawn.steps, drawn.valid
    count, length = valid.shape
    each = torch.arange(count, device=valid.device)
    most = valid.sum(1)
    taken = 1 + (torch.rand(count, device=valid.device) * most.clamp_max(goals.horizon)).long()  # j
    signal = read(steps.flat()).reshape(count, length)
    time = torch.arange(length, device=valid.device)
    weight = discount ** time.to(signal) * (time < taken[:, None])
    left = (most - taken).clamp_max(goals.horizon)
    later = taken[:, None] + (torch.rand(count, AHEAD, device=valid.device) * left[:, None]).long()
    last = steps[each, taken - 1]
    return Walks(
        start=steps.state[:, 0],
        goal=goals.goals_of(last.next_state),
        collected=(weight * signal).sum(1),
        discount=torch.where(last.terminated, 0.0, discount ** taken.to(signal)),
        end=last.next_state,
        ahead=steps.next_state[each[:, None], later.clamp_max(length - 1)],
        goes_on=(left > 0)[:, None].expand(-1, AHEAD),
    )


class TableGoalValues(nn.Module):
    """Q(s, g) as a table, and which pairs a piece of an episode has connected.

    Args:
        states: S.
        discount: γ.
    """

    q: Tensor
    known: Tensor

    def __init__(self, states: int, discount: float) -> None:
        super().__init__()
        self.discount = discount
        self.optimisers: dict[str, torch.optim.Optimizer] = {}
        self.register_buffer("q", torch.zeros(states, states))
        self.register_buffer("known", torch.zeros(states, states, dtype=torch.bool))

    def __call__(self, state: Tensor, goal: Tensor) -> Tensor:
        """Return Q of K goals `[K]` from one state, `[K]`; NaN where it is not known."""
        return torch.where(self.known[state, goal], self.q[state, goal], torch.nan)

    def value(self) -> Tensor:
        """Return V of each state, max over known goals, `[S]`; 0 where none is known."""
        best = self.q.masked_fill(~self.known, -torch.inf).amax(1)
        return torch.where(best.isfinite(), best, 0.0)

    def learn(self, replay: Replay, goals: Any, read: Read) -> Figures:
        """Move Q of the pairs that drawn pieces connect towards their mean target."""
        if not len(replay):
            return {}
        drawn = walks(replay, goals, read, self.discount)
        target = drawn.collected + drawn.discount * self.value()[drawn.end]
        pair, row = torch.unique(drawn.start * len(self.q) + drawn.goal, return_inverse=True)
        zero = torch.zeros(len(pair), device=target.device)
        mean = zero.index_add(0, row, target.to(zero)) / zero.index_add(0, row, torch.ones_like(zero)[row])
        before, known = self.q.view(-1)[pair], self.known.view(-1)[pair]
        self.q.view(-1)[pair] = torch.where(known, before + STEP * (mean - before), mean)
        self.known.view(-1)[pair] = True
        return {"goal_value": self.value().max()}


class NetworkGoalValues(nn.Module):
    """Q(s, g) as a network over pairs, with a slowly following copy for its targets.

    Args:
        goals: what pairs are.
        discount: γ.
        hidden: units of its layers.
        learning_rate: Adam's step size.
        rate: share by which the copy follows at each update.
    """

    def __init__(
        self, goals: VectorGoals, discount: float, *, hidden: tuple[int, ...], learning_rate: float, rate: float
    ) -> None:
        super().__init__()
        self.discount, self.rate = discount, rate
        pairs: Box = goals.pairs
        self.encoder = encoder(pairs)
        self.net, self.copy = (mlp(self.encoder.size, hidden, 1) for _ in range(2))
        self.copy.load_state_dict(self.net.state_dict())
        self.copy.requires_grad_(False)
        self.optimisers = {"goal_values": adam([*self.encoder.parameters(), *self.net.parameters()], learning_rate)}
        self.descent = Descent("goal_values", self._loss, self.optimisers["goal_values"])
        self.join = goals.join

    @torch.no_grad()
    def __call__(self, state: Tensor, goal: Tensor) -> Tensor:
        """Return Q of K goals `[K, ...]` from one state, `[K]`."""
        found: Tensor = self.net(self.encoder(self.join(state.expand(len(goal), *state.shape), goal))).squeeze(-1)
        return found

    def learn(self, replay: Replay, goals: Any, read: Read) -> Figures:
        """Take a gradient step towards the targets of drawn pieces."""
        if not len(replay):
            return {}
        with torch.no_grad():
            drawn = walks(replay, goals, read, self.discount)
            pairs = self.join(drawn.start, drawn.goal)
            self.encoder.observe(pairs)
            state = drawn.end.repeat_interleave(AHEAD, 0)
            onward = self.copy(self.encoder(self.join(state, goals.goals_of(drawn.ahead.flatten(0, 1))))).squeeze(-1)
            best = onward.reshape(-1, AHEAD).masked_fill(~drawn.goes_on, -torch.inf).amax(1)
            target = drawn.collected + drawn.discount * torch.where(best.isfinite(), best, 0.0)
        figures = self.descent.step(None, pairs, target)
        with torch.no_grad():
            for own, following in zip(self.net.parameters(), self.copy.parameters(), strict=True):
                following.lerp_(own, self.rate)
        return figures | {"goal_value": target.max()}

    def _loss(self, context: None, pairs: Tensor, target: Tensor) -> tuple[Tensor, Figures]:
        loss = (self.net(self.encoder(pairs)).squeeze(-1) - target).square().mean()
        return loss, {"goal_values_loss": loss}


GoalValues = TableGoalValues | NetworkGoalValues
