"""Histories and pieces of episodes, against plain Python over a list of all that was ever added."""

from dataclasses import dataclass, field

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from gio_pyro.data import replay_buffer
from gio_pyro.data.replay_buffer import Replay
from gio_pyro.types import Transitions


@dataclass
class Reference:
    """Every transition that was added: its stream, and the numbers of its episode before it."""

    before: list[list[int]] = field(default_factory=list)
    open: dict[int, list[int]] = field(default_factory=dict)

    def add(self, streams: list[int], begins: list[bool], ends: list[bool]) -> None:
        for stream, begun, ended in zip(streams, begins, ends, strict=True):
            past = [] if begun else self.open.get(stream, [])
            number = len(self.before)
            self.before.append(past)
            self.open.pop(stream, None)
            if not ended:
                self.open[stream] = [*past, number]

    def history(self, number: int, length: int, oldest: int) -> tuple[list[int], bool]:
        whole = [*self.before[number], number]
        kept = [one for one in whole if one >= oldest][-length:]
        return kept, kept[0] == whole[0]

    def onward(self, number: int, length: int) -> list[int]:
        found = [number]
        for later in range(number + 1, len(self.before)):
            if len(found) < length and self.before[later][-1:] == found[-1:]:
                found.append(later)
        return found


def batch(number: int, count: int, ends: list[bool]) -> Transitions:
    state = torch.arange(number, number + count)
    flags, zeros = torch.tensor(ends), torch.zeros(count)
    return Transitions(state, state, state.float(), state + 1000, flags, zeros > 0, zeros, zeros + 1)


steps = st.lists(
    st.lists(st.tuples(st.integers(0, 2), st.booleans(), st.booleans()), min_size=1, max_size=7), min_size=1, max_size=8
)


def filled(rounds: list[list[tuple[int, bool, bool]]], replay: Replay) -> Reference:
    known = Reference()
    for one in rounds:
        streams, rare, ends = ([row[column] for row in one] for column in range(3))
        begins = [begun and ended for begun, ended in zip(rare, ends, strict=True)]
        replay.add(batch(len(known.before), len(one), ends), streams, begins, ends)
        known.add(streams, begins, ends)
    return known


def check(replay: Replay, known: Reference, length: int) -> None:
    added = len(known.before)
    number = torch.arange(replay.oldest, added)
    found, begins = replay.histories(number, length)
    for row, one in enumerate(number.tolist()):
        kept, first = known.history(one, length, replay.oldest)
        assert found.steps.time[row][found.valid[row]].tolist() == kept
        assert found.steps.state[row][found.valid[row]].tolist() == kept
        assert found.steps.next_state[row][found.valid[row]].tolist() == [n + 1000 for n in kept]
        assert bool(begins[row]) is first
    drawn, begins = replay.pieces(32, length)
    for row in range(32):
        kept = drawn.steps.time[row][drawn.valid[row]].tolist()
        assert kept == known.onward(kept[0], length)
        assert kept[0] >= replay.oldest
        assert bool(begins[row]) is (known.before[kept[0]] == [])
        assert len(drawn.steps.episode[row].unique()) == 1


@settings(max_examples=60, deadline=None)
@given(rounds=steps, capacity=st.integers(1, 24), length=st.integers(1, 6))
def test_histories_and_pieces_are_those_of_a_plain_list(
    rounds: list[list[tuple[int, bool, bool]]], capacity: int, length: int
):
    replay = Replay(capacity, histories=True)
    known = filled(rounds, replay)
    check(replay, known, length)
    other = Replay(capacity, histories=True)
    other.load_state_dict(replay.state_dict(), torch.device("cpu"))
    check(other, known, length)
    further = [[(0, False, False), (1, False, True)], [(0, False, True), (1, False, False), (2, False, False)]]
    for one in further:  # both go on alike
        streams, begins, ends = ([row[column] for row in one] for column in range(3))
        for each in (replay, other):
            each.add(batch(len(known.before), len(one), ends), streams, begins, ends)
        known.add(streams, begins, ends)
    check(replay, known, length)
    check(other, known, length)


@pytest.mark.parametrize("capacity", [300, 2000])
def test_distances_of_more_than_a_byte(capacity: int):
    """Stream 0 is seldom stepped."""
    assert replay_buffer.FAR == 255
    replay, known = Replay(capacity, histories=True), Reference()
    for _ in range(4):
        streams = [0, *[1] * 280]
        flags = [False] * len(streams)
        replay.add(batch(len(known.before), len(streams), flags), streams, flags, flags)
        known.add(streams, flags, flags)
    check(replay, known, 3)


def test_every_transition_is_in_some_piece_at_every_place():
    replay = Replay(10, histories=True)
    ends = [False] * 5 + [True]
    replay.add(batch(0, 6, ends), [0] * 6, [False] * 6, ends)
    drawn, _ = replay.pieces(400, 3)
    firsts = set(drawn.steps.time[:, 0].tolist())
    assert firsts == {0, 1, 2, 3, 4, 5}
    assert set(drawn.valid.sum(1).tolist()) == {1, 2, 3}
