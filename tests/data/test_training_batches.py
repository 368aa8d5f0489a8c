"""Which transitions programs observe: each once, in order, when its future is known, by its weight.

Cost: under a second.
"""

from typing import Any

import numpy as np
import pyro.distributions as dist
import pytest
import torch
from gymnasium.spaces import Discrete

from gio_pyro.data.replay_buffer import Replay
from gio_pyro.data.training_batches import newly_known
from gio_pyro.futures import (
    FUTURES,
    DiscountedState,
    Features,
    FinalState,
    Future,
    NextState,
    NextStateAndReward,
    Return,
    StateAfter,
    Trajectory,
)
from gio_pyro.models import DirichletModel
from gio_pyro.programs import Model
from gio_pyro.types import Spec, Transitions

STATES = Discrete(6)


def policy(state: torch.Tensor) -> Any:
    """Right with 0.7, left with 0.3."""
    return dist.Categorical(probs=torch.tensor([0.3, 0.7]).expand(len(state), 2))


def walks(count: int, steps: int) -> tuple[Transitions, list[int]]:
    """Interleaved walks of `count` ragged streams, some of which end by termination and some by a cut."""
    rng = np.random.default_rng(0)
    at, rows, streams = rng.integers(0, 6, count), [], []
    for _ in range(steps):
        for stream in range(count):
            if rng.random() < 0.2:
                continue
            action = int(rng.random() < 0.5)
            after = int(np.clip(at[stream] + 2 * action - 1, 0, 5))
            rows.append((at[stream], action, after, after == 5, after != 5 and rng.random() < 0.1))
            streams.append(stream)
            at[stream] = rng.integers(0, 5) if rows[-1][3] or rows[-1][4] else after
    state, action, after, ended, cut = (torch.tensor(np.array(column)) for column in zip(*rows, strict=True))
    one = torch.ones(len(rows))
    new = Transitions(state, action, after.float(), after, ended, cut, one * np.log(0.5), one)
    return new, streams


@pytest.mark.parametrize("future", [NextState(), StateAfter(3), Return(2, levels=(3.0, 7.0))])
@pytest.mark.parametrize("size", [1, 13, 1_000])
def test_each_future_is_observed_once_when_it_is_known(future: Future, size: int):
    rows, streams = walks(3, 60)
    replay, told = Replay(10_000), []
    for first in range(0, len(rows), size):
        piece = slice(first, first + size)
        replay.add(rows[piece], streams[piece])
        told.append(newly_known(future, replay, policy, STATES, len(rows[piece])))
    numbers = torch.cat([found.time for found, _ in told])
    assert len(numbers.unique()) == len(numbers)
    for found, _ in told:
        assert found.time.tolist() == sorted(found.time.tolist())
    every, known = replay.all(), torch.ones(len(rows), dtype=torch.bool)
    weight, read = torch.ones(len(rows)), every.next_state
    if not isinstance(future, NextState):
        pieces = replay.sequences(None, future.steps)  # type: ignore[attr-defined]
        weight, read = future.weight(policy, pieces), future.read(pieces, STATES)  # type: ignore[attr-defined]
        known = weight > 0
    order = numbers.argsort()
    assert torch.equal(numbers[order], every.time[known])
    assert torch.allclose(torch.cat([found.weight for found, _ in told])[order], weight[known])
    assert torch.equal(torch.cat([values for _, values in told])[order], read[known])


EVERY = [
    NextState(),
    NextStateAndReward(rewards=(0.0, 1.0, 2.0, 3.0, 4.0, 5.0)),
    StateAfter(3),
    FinalState(2),
    Trajectory(2),
    Return(3, levels=(4.0, 9.0)),
    Features(StateAfter(2), lambda state: state % 2, Discrete(2)),
]


def test_every_future_of_the_library_is_among_those_that_are_held_to_be_the_same():
    drawn = {DiscountedState}  # by the number of the transition, which depends on how it came
    assert {type(future) for future in EVERY} == {*FUTURES.values(), Features} - drawn


@pytest.mark.parametrize("future", EVERY, ids=lambda future: type(future).__name__)
@pytest.mark.parametrize("size", [5, 1_000])
def test_futures_are_the_same_however_the_trajectories_come(future: Future, size: int):
    """One environment after the other, or all of them at once, in pieces of any length."""
    rows, streams = walks(3, 60)
    in_turn = torch.tensor(streams).argsort(stable=True)
    found = []
    for order, which in ((in_turn, [0] * len(rows)), (torch.arange(len(rows)), streams)):
        replay, read = Replay(10_000), []
        begins = _begins([streams[row] for row in order.tolist()], which)
        for first in range(0, len(rows), size):
            piece = slice(first, first + size)
            replay.add(rows[order][piece], which[piece], begins[piece])
            read.append(newly_known(future, replay, policy, STATES, len(rows[order][piece])))
        columns = [
            torch.cat(c).double() for c in zip(*((r.state, r.action, f, r.weight) for r, f in read), strict=True)
        ]
        found.append(sorted(torch.stack(columns, -1).tolist()))
    np.testing.assert_allclose(*found, rtol=1e-5)


def _begins(owner: list[int], which: list[int]) -> list[bool]:
    """Return where a stream goes on with another environment's trajectory than before."""
    last: dict[int, int] = {}
    begins = []
    for one, stream in zip(owner, which, strict=True):
        begins.append(last.get(stream, one) != one)
        last[stream] = one
    return begins


def test_a_model_that_counts_counts_by_weight_and_others_as_before():
    """What the model observed in pieces is each known future once, times the weight of its later actions."""
    rows, streams = walks(3, 60)
    future, replay, model = StateAfter(3), Replay(10_000), DirichletModel(Spec(STATES, Discrete(2), STATES))
    counting, alike = Model(model), []

    class Plain(DirichletModel):
        def observe(self, state: Any, action: Any, future: Any) -> None:  # type: ignore[override]
            alike.append(len(state))

    plain = Model(Plain(Spec(STATES, Discrete(2), STATES)))
    for first in range(0, len(rows), 9):
        replay.add(rows[first : first + 9], streams[first : first + 9])
        found, values = newly_known(future, replay, policy, STATES, len(rows[first : first + 9]))
        for program in (counting, plain):
            program.observe(found.state, found.action, values, found.weight)
    pieces = replay.sequences(None, 3)
    exact = torch.zeros(6, 2, 6)
    index = (pieces.steps.state[:, 0], pieces.steps.action[:, 0], future.read(pieces, STATES))
    exact.index_put_(index, future.weight(policy, pieces), accumulate=True)
    assert torch.allclose(model.counts, exact, atol=1e-4)
    assert sum(alike) == int((future.weight(policy, pieces) > 0).sum())
