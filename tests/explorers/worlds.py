"""A maze whose tables, distances and replay are exact, and what explorers are built from in it."""

from typing import Any

import pyro.distributions as dist
import torch
from gymnasium.spaces import Discrete
from torch import Tensor

import gio_pyro.envs
from gio_pyro.data.replay_buffer import Replay
from gio_pyro.explorers import Source, explorer_named
from gio_pyro.futures import NextState
from gio_pyro.programs import ActionSamples
from gio_pyro.settings import Settings
from gio_pyro.signals import Fitted, Signal
from gio_pyro.signals.reward_mix import RewardMix
from gio_pyro.tabular import TabularMDP
from gio_pyro.types import Spec, Transitions
from tests.finite import exact_replay
from tests.spaces import vector

MDP_DISCOUNT = 0.95
MAP = ("S..#.", ".#...", "...#G", "#####", "..#..")
"""Twelve cells that can be walked in, a goal that ends the episode among them, and four behind walls."""


def maze() -> Any:
    return gio_pyro.envs.Maze(MAP)


def table() -> TabularMDP:
    return TabularMDP.from_env(maze(), discount=MDP_DISCOUNT)


def distances(mdp: TabularMDP) -> Tensor:
    """Fewest steps from each state to each other, `[S, S]`, by breadth first; infinite where there is no way."""
    step = (mdp.transition > 0).any(1) & ~mdp.terminal[:, None]
    found = torch.full((mdp.states, mdp.states), torch.inf)
    found.fill_diagonal_(0)
    reach = torch.eye(mdp.states, dtype=torch.bool)
    for length in range(1, mdp.states + 1):
        reach = (reach.double() @ step.double()) > 0
        found[reach & found.isinf()] = length
    return found


def everything(mdp: TabularMDP) -> Transitions:
    """Every transition between cells that can be walked to from the start, once."""
    rows = exact_replay(mdp)
    return rows[distances(mdp)[int(mdp.start.argmax())][rows.state].isfinite()]


def replay_of(rows: Transitions) -> Replay:
    replay = Replay(10_000)
    replay.add(rows)
    return replay


class Given(Signal):
    """What a test says of each next state; of vectors, their first number."""

    def __init__(self, values: Tensor | None = None) -> None:
        super().__init__(None)  # type: ignore[arg-type]
        self.values = values

    def read(self, rows: Transitions) -> Tensor:
        return rows.next_state[:, 0] if self.values is None else self.values[rows.next_state]


def source_of(
    states: int | None, actions: int = 4, values: Tensor | None = None, *, streams: int = 1, **settings: Any
) -> Source:
    """What an explorer of a finite world, or of one of two numbers, is built from."""
    space = vector(2) if states is None else Discrete(states)
    spec = Spec(space, Discrete(actions), space, hidden=(16,))

    def uniform(state: Tensor) -> Any:
        return dist.Categorical(logits=torch.zeros(len(state), actions))

    fitted = Fitted(spec, NextState(), None, None, uniform)  # type: ignore[arg-type]
    given = Settings(**{"hidden": (16,), **settings})

    def nothing(state: Tensor, chosen: ActionSamples) -> Tensor:
        return torch.zeros(len(state), chosen.count)

    return Source(fitted, given, RewardMix(Given(values), 1.0, 0.0), streams, nothing, explorer_named)
