"""Open-loop action sequences: where they begin and end, and their probabilities.

Cost: 12 s.
"""

import math
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
import torch

from gio_pyro.collection import Collector
from gio_pyro.distributions.sequences import ActionSequences
from gio_pyro.empowerment.options import (
    MAX_BYTES,
    SEQUENCES_PER_COLLECTION,
    OpenLoopBehaviour,
    OptionReplay,
    Options,
    collect_options,
    options_from_sequences,
)
from gio_pyro.errors import InputError
from gio_pyro.types import Sequences
from tests.distributions.test_sequences import every, some
from tests.futures.test_reading import two_episodes


class Counter(gym.Env[Any, Any]):
    """The state counts the steps of an episode; action 1 adds 10. It ends, or is cut, after some steps."""

    observation_space = gym.spaces.Discrete(1_000)
    action_space = gym.spaces.Discrete(2)

    def __init__(self, length: int = 7, cut: bool = False) -> None:
        self.length, self.cut = length, cut

    def reset(self, *, seed: int | None = None, options: Any = None) -> tuple[int, dict[str, Any]]:
        super().reset(seed=seed)
        self.state = self.steps = 0
        return 0, {}

    def step(self, action: int) -> tuple[int, float, bool, bool, dict[str, Any]]:
        self.state, self.steps = self.state + 1 + 10 * int(action), self.steps + 1
        over = self.steps == self.length
        return self.state, 0.0, over and not self.cut, over and self.cut, {}


def source(length: int) -> Any:
    sequences = some(length, count=2, batch=1)

    def omega(state: torch.Tensor) -> ActionSequences:
        return ActionSequences(sequences.network, sequences.context.expand(len(state), -1))

    return omega


def collector(mode: Any, count: int, **arguments: Any) -> Collector:
    make = [lambda: Counter(**arguments)] * count
    env = Counter(**arguments) if count == 0 else gym.vector.SyncVectorEnv(make, autoreset_mode=mode)
    return Collector(env, seed=0, device=torch.device("cpu"))


@pytest.mark.parametrize("mode", list(gym.vector.AutoresetMode))
@pytest.mark.parametrize("count", [0, 1, 3])
@pytest.mark.parametrize("cut", [False, True])
def test_a_sequence_leads_from_its_state_to_its_end_in_one_episode(mode: Any, count: int, cut: bool):
    collecting = collector(mode, count, cut=cut)
    for _ in range(6):
        options, steps = collect_options(collecting, source(3), 3, 0.5)
        assert steps <= SEQUENCES_PER_COLLECTION * 3 * max(count, 1)
        for state, actions, final in zip(options.state, options.actions, options.final, strict=True):
            left = 7 - int(state) % 10
            taken = actions[: min(left, 3)]
            assert int(final) == int(state) + len(taken) + 10 * int(taken.sum())
            assert left >= 3 or not cut


def test_what_was_cut_off_is_left_out_and_what_ended_is_filled():
    """0 1 2 3 ends by itself and 4 3 2 is cut: of pieces of 3 steps, those from 4 and 3 are unknown."""
    pieces = two_episodes().sequences(None, 3)
    options = options_from_sequences(pieces, 2)
    assert options.state.tolist() == [0, 1, 2]
    assert options.final.tolist() == [3, 3, 3]
    assert options.log_behaviour.tolist() == pytest.approx([3 * math.log(0.5)] * 3)
    assert set(options.actions.flatten().tolist()) <= {0, 1}


@pytest.mark.parametrize("share", [0.0, 0.3, 1.0])
def test_the_behaviour_scores_what_it_does(share: float):
    omega = source(2)(torch.zeros(1))
    expected = {
        tuple(value.tolist()): (1 - share) * math.exp(float(omega.log_prob(value[None]))) + share / 4
        for value in every(2, 2)
    }
    torch.manual_seed(0)
    behaviour = OpenLoopBehaviour(source(2), share)
    first, log_first = behaviour(torch.zeros(20_000))
    second, log_second = behaviour(torch.zeros(20_000))
    for pair, probability in expected.items():
        these = (first == pair[0]) & (second == pair[1])
        assert float(these.double().mean()) == pytest.approx(probability, abs=0.015)
        if these.any():
            assert float((log_first + log_second)[these].exp().mean()) == pytest.approx(probability, abs=1e-5)


def options(numbers: list[int]) -> Options:
    values = torch.tensor(numbers)
    return Options(values, values[:, None], values, values.float())


def test_the_oldest_go_first():
    kept = OptionReplay(4)
    kept.add(options([0, 1, 2]))
    assert len(kept) == 3
    kept.add(options([3, 4]))
    kept.add(options([5, 6, 7, 8, 9, 10]))
    assert len(kept) == 4
    drawn = kept.sample(200)
    assert set(drawn.state.tolist()) == set(drawn.final.tolist()) == {7, 8, 9, 10}
    assert torch.equal(drawn.state, drawn.actions[:, 0])


def test_large_states_are_kept_in_smaller_numbers():
    kept = OptionReplay(10**9)
    picture = torch.zeros(1, 2**20, dtype=torch.uint8)
    kept.add(Options(picture, torch.zeros(1, 2, dtype=torch.long), picture, torch.zeros(1)))
    assert kept.capacity == MAX_BYTES // (2 * 2**20 + 16 + 4)


def test_nothing_can_be_drawn_from_nothing():
    with pytest.raises(InputError, match=r"^Expected sequences to learn from"):
        OptionReplay(3).sample(1)


def test_pieces_of_no_known_end_are_no_options():
    pieces = two_episodes().sequences(None, 3)
    known = options_from_sequences(Sequences(pieces.steps[3:], pieces.valid[3:]), 2)
    assert len(known) == 0
    assert np.array_equal(known.actions.shape, (0, 3))
