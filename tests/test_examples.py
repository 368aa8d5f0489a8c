"""Which transitions programs observe: each once, in order, when its future is known, by its weight.

Cost: under a second.
"""

from typing import Any

import numpy as np
import pyro.distributions as dist
import pytest
import torch
from gymnasium.spaces import Discrete

from gio_pyro.examples import newest
from gio_pyro.futures import Future, NextState, Return, StateAfter
from gio_pyro.models import DirichletModel
from gio_pyro.programs import Model
from gio_pyro.replay import Replay
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
        told.append(newest(future, replay, policy, STATES, len(rows[piece])))
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
        found, values = newest(future, replay, policy, STATES, len(rows[first : first + 9]))
        for program in (counting, plain):
            program.observe(found.state, found.action, values, found.weight)
    pieces = replay.sequences(None, 3)
    exact = torch.zeros(6, 2, 6)
    index = (pieces.steps.state[:, 0], pieces.steps.action[:, 0], future.read(pieces, STATES))
    exact.index_put_(index, future.weight(policy, pieces), accumulate=True)
    assert torch.allclose(model.counts, exact, atol=1e-4)
    assert sum(alike) == int((future.weight(policy, pieces) > 0).sum())
