"""Whose turn it is: shares of steps kept by whole turns, in every environment by itself.

Cost: 3 s.
"""

from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from gio_pyro.collection import Collector
from gio_pyro.collection.collected import Step
from gio_pyro.data.replay_buffer import Replay
from gio_pyro.explorers import Explorer, ExplorerScheduler, NoExplorer
from gio_pyro.explorers.scheduler import LONGEST, either
from tests.environments import make
from tests.explorers.worlds import source_of

CPU = torch.device("cpu")


class Right(Explorer):
    """Takes action 1, which it would have taken with probability 0.9; remembers what it is told."""

    def __init__(self, source: Any) -> None:
        super().__init__(source)
        self.begun: list[int] = []
        self.arrived: list[tuple[int, int]] = []

    def behaviour(self, replay: Any) -> Any:
        return lambda state, stream: (torch.ones_like(state), torch.full((len(state),), 0.9).log())

    def begin(self, stream: Tensor) -> None:
        self.begun += stream.tolist()

    def on_step(self, arrived: Tensor, stream: Tensor) -> None:
        self.arrived += zip(stream.tolist(), arrived.tolist(), strict=True)


def left(state: Tensor) -> tuple[Tensor, Tensor]:
    return torch.zeros_like(state), torch.full((len(state),), 0.8).log()


def turns(share: float, streams: int = 1) -> ExplorerScheduler:
    return ExplorerScheduler(Right(source_of(4, 2, streams=streams)), share, streams)


def step_of(ends: list[bool], real: list[bool] | None = None) -> Step:
    after = torch.zeros(len(ends), dtype=torch.long)
    return Step({"next_state": after}, np.array(ends), np.array(real or [True] * len(ends)))


@pytest.mark.parametrize("share", [0.0, 0.1, 0.5, 0.73, 1.0])
def test_the_explorer_takes_its_share_of_the_steps_by_whole_episodes(share: float):
    """Episodes of 7 steps: the share is met within one of them, at any time."""
    both = turns(share)
    behaviour = both.behaviour(left, Replay(10))
    explored: list[int] = []
    for step in range(1, 701):
        action, log_mu = behaviour(torch.tensor([0]))
        assert float(log_mu.exp()) == pytest.approx(0.9 if int(action) else 0.8)
        explored.append(int(action))
        behaviour.on_step(step_of([step % 7 == 0]))
        assert abs(sum(explored) - share * step) <= 7
    assert all(len(set(explored[first : first + 7])) == 1 for first in range(0, 700, 7))
    assert (int(both.explored), int(both.taken)) == (sum(explored), 700)


def test_an_episode_without_end_is_shared_in_long_turns():
    both = turns(0.5)
    behaviour = both.behaviour(left, Replay(10))
    explored = []
    for _ in range(4 * LONGEST):
        explored.append(int(behaviour(torch.tensor([0]))[0]))
        behaviour.on_step(step_of([False]))
    assert [sum(explored[i : i + LONGEST]) for i in range(0, len(explored), LONGEST)] == [LONGEST, 0, LONGEST, 0]


def test_environments_have_turns_of_their_own():
    both = turns(0.5, streams=3)
    behaviour = both.behaviour(left, Replay(10))
    assert behaviour(torch.zeros(3, dtype=torch.long))[0].tolist() == [1, 1, 1]
    behaviour.on_step(step_of([True, False, False]))
    assert behaviour(torch.zeros(3, dtype=torch.long))[0].tolist() == [0, 1, 1]
    behaviour.on_step(step_of([False, True, False]))
    assert behaviour(torch.zeros(3, dtype=torch.long))[0].tolist() == [0, 0, 1]
    assert (both.explored.tolist(), both.taken.tolist()) == ([1, 2, 2], [2, 2, 2])
    assert both.explorer.begun == [0, 1, 2]
    assert [stream for stream, _ in both.explorer.arrived] == [0, 1, 2, 1, 2]


def test_a_step_that_only_begins_an_episode_is_not_counted_and_the_turn_begins_after_it():
    both = turns(1.0)
    behaviour = both.behaviour(left, Replay(10))
    for ends, real in ((True, True), (False, False), (False, True)):
        behaviour(torch.tensor([0]))
        behaviour.on_step(step_of([ends], [real]))
    assert (int(both.taken), both.explorer.begun, len(both.explorer.arrived)) == (2, [0, 0, 0], 2)


def test_without_an_explorer_the_behaviour_is_the_agents_own_and_nothing_is_kept():
    alone = NoExplorer()
    assert alone.behaviour(left, Replay(10)) is left
    assert not alone.state_dict()
    assert (alone.improve(Replay(10), 3), alone.optimisers()) == ({}, {})


def test_a_collector_tells_it_where_it_got_to_and_keeps_its_probabilities():
    """A corridor of 4 cells: always right is 3 steps an episode, always left never ends before the limit of 5."""
    both = turns(0.5)
    rows = Collector(make(limit=5), seed=0, device=CPU).collect(both.behaviour(left, Replay(10)), 16).rows
    assert rows.action.tolist() == [1, 1, 1] + [0] * 5 + [1, 1, 1, 1, 1, 1][:3] + [0] * 5
    assert rows.log_behaviour.exp().tolist() == pytest.approx([0.9 if a else 0.8 for a in rows.action.tolist()])
    assert both.explorer.arrived == [(0, 1), (0, 2), (0, 3)] * 2


@pytest.mark.parametrize("which", [[True, True], [False, False], [True, False, True, False], [False, True, True]])
def test_either_keeps_the_order_of_the_rows(which: list[bool]):
    found = either(torch.tensor(which), lambda row: (row, row + 0.5), lambda row: (10 + row, row - 0.5))
    expected = [i if yes else 10 + i for i, yes in enumerate(which)]
    assert found[0].tolist() == expected
    assert found[1].tolist() == [i + 0.5 if yes else i - 0.5 for i, yes in enumerate(which)]
