"""Replay keeps what was collected, in order, and counts what is equal."""

import itertools
import random
import subprocess
import sys
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest
import torch

from gio_pyro.data import merging
from gio_pyro.data.merging import concatenate, merge
from gio_pyro.data.replay_buffer import STORED, Replay
from gio_pyro.errors import InputError
from gio_pyro.types import Transitions


def rows(*states: int, **kwargs: Any) -> Transitions:
    """Transitions told apart by their state; other fields may be given as lists."""
    n = len(states)
    default = {
        "state": torch.tensor(states),
        "action": torch.zeros(n, dtype=torch.long),
        "reward": torch.zeros(n),
        "next_state": torch.tensor(states) + 1,
        "terminated": torch.zeros(n, dtype=torch.bool),
        "truncated": torch.zeros(n, dtype=torch.bool),
        "log_behaviour": torch.full((n,), 0.5).log(),
        "weight": torch.ones(n),
    }
    return Transitions(**default | {name: torch.as_tensor(value) for name, value in kwargs.items()})


def filled(capacity: int, *batches: Transitions) -> Replay:
    replay = Replay(capacity)
    for batch in batches:
        replay.add(batch)
    return replay


def equal(first: Transitions, second: Transitions) -> bool:
    return all(torch.equal(getattr(first, name), getattr(second, name)) for name in (*STORED, "weight"))


def counts(transitions: Transitions) -> dict[int, float]:
    return dict(zip(transitions.state.tolist(), transitions.weight.tolist(), strict=True))


def test_what_is_added_comes_back_whole_and_in_order():
    added = rows(3, 1, 2, action=[1, 0, 1], reward=[0.5, -1.0, 2.0], truncated=[True, False, True])
    assert equal(filled(10, added).all(), added)


def test_batches_are_kept_in_order():
    assert filled(10, rows(1, 2), rows(3), rows(4, 5)).all().state.tolist() == [1, 2, 3, 4, 5]


def test_the_length_grows_to_the_capacity_and_stays():
    replay = Replay(5)
    lengths = []
    for state in range(8):
        replay.add(rows(state))
        lengths.append(len(replay))
    assert lengths == [1, 2, 3, 4, 5, 5, 5, 5]


def test_the_oldest_go_first():
    assert filled(4, rows(0, 1, 2), rows(3, 4, 5)).all().state.tolist() == [2, 3, 4, 5]


@pytest.mark.parametrize("size", [1, 2, 3, 5, 7])
def test_the_ring_equals_the_tail_of_everything_added(size: int):
    replay, everything = Replay(7), []
    for start in range(0, 40, size):
        states = list(range(start, start + size))
        everything += states
        replay.add(rows(*states))
        assert replay.all().state.tolist() == everything[-7:]


def test_a_batch_larger_than_the_capacity_leaves_its_end():
    assert filled(3, rows(0), rows(*range(1, 10))).all().state.tolist() == [7, 8, 9]


def test_a_first_batch_larger_than_the_capacity_leaves_its_end():
    assert filled(3, rows(*range(10))).all().state.tolist() == [7, 8, 9]


def test_the_storage_grows_without_losing_rows():
    replay = Replay(10_000)
    for start in range(0, 5_000, 500):
        replay.add(rows(*range(start, start + 500)))
    assert replay.all().state.tolist() == list(range(5_000))


def test_the_storage_does_not_take_the_whole_capacity_at_once():
    replay = filled(10**12, rows(1))
    assert len(replay) == 1


@pytest.mark.parametrize("capacity", [0, -1])
def test_a_replay_without_room_is_refused(capacity: int):
    with pytest.raises(InputError, match="at least 1 transition"):
        Replay(capacity)


@pytest.mark.parametrize("read", [lambda r: r.all(), lambda r: r.sample(3), lambda r: r.merged()])
def test_an_empty_replay_says_so(read: Any):
    with pytest.raises(InputError, match="it is empty; call learn first"):
        read(Replay(3))


def test_a_sample_has_the_size_asked_for_and_only_stored_rows():
    sample = filled(100, rows(4, 8)).sample(50)
    assert len(sample) == 50
    assert set(sample.state.tolist()) == {4, 8}


def test_every_row_is_as_likely_in_a_sample():
    replay = filled(8, rows(*range(11)))
    with torch.random.fork_rng():
        torch.manual_seed(0)
        seen = torch.bincount(replay.sample(16_000).state, minlength=11)
    assert seen[:3].tolist() == [0, 0, 0]
    assert float((seen[3:] - 2_000).abs().max()) < 5 * (16_000 / 8 * 7 / 8) ** 0.5


def test_a_batch_of_none_is_the_merged_replay():
    replay = filled(10, rows(1, 1, 2))
    assert counts(replay.batch(None)) == {1: 2.0, 2: 1.0}
    assert len(replay.batch(7)) == 7


def test_merged_weights_count_equal_rows():
    assert counts(filled(100, rows(1, 2, 1), rows(2, 2, 3)).merged()) == {1: 2.0, 2: 3.0, 3: 1.0}


DIFFERENT = [
    {"action": [0, 1]},
    {"reward": [0.0, 1.0]},
    {"next_state": [5, 6]},
    {"terminated": [False, True]},
]


@pytest.mark.parametrize("difference", DIFFERENT, ids=[next(iter(d)) for d in DIFFERENT])
def test_rows_that_differ_are_not_merged(difference: dict[str, Any]):
    assert len(filled(10, rows(1, 1, **difference)).merged()) == 2


def test_rows_that_differ_in_truncation_are_merged_and_go_on():
    merged = filled(10, rows(1, 1, truncated=[True, False])).merged()
    assert merged.weight.tolist() == [2.0]
    assert merged.truncated.tolist() == [False]


def test_merged_behaviour_is_the_harmonic_mean():
    merged = filled(10, rows(1, 1, 1, log_behaviour=torch.tensor([0.5, 0.25, 1.0]).log())).merged()
    assert merged.log_behaviour.exp().tolist() == pytest.approx([3 / (2 + 4 + 1)])


def test_importance_weights_sum_to_the_same_merged_or_not():
    g = torch.Generator().manual_seed(0)
    states = torch.randint(4, (200,), generator=g).tolist()
    mu = 0.1 + 0.9 * torch.rand(200, generator=g)
    replay = Replay(1_000)
    for start in range(0, 200, 20):
        replay.add(rows(*states[start : start + 20], log_behaviour=mu[start : start + 20].log()))
        replay.merged()
    apart, together = replay.all(), replay.merged()
    total = (together.weight * (-together.log_behaviour).exp()).sum()
    assert float(total) == pytest.approx(float((-apart.log_behaviour).exp().sum()))


@pytest.mark.parametrize("capacity", [3, 10, 64, 1_000])
def test_merging_step_by_step_equals_merging_at_once(capacity: int):
    g = torch.Generator().manual_seed(capacity)
    replay = Replay(capacity)
    for _ in range(20):
        size = int(torch.randint(1, 8, (), generator=g))
        states = torch.randint(5, (size,), generator=g).tolist()
        replay.add(rows(*states, log_behaviour=(0.1 + torch.rand(size, generator=g)).log()))
        if torch.rand((), generator=g) < 0.7:
            at_once, merged = merge(replay.all()), replay.merged()
            assert counts(merged) == counts(at_once)
            torch.testing.assert_close(merged.log_behaviour, at_once.log_behaviour.float())
            assert torch.equal(merged.time, at_once.time)
            assert torch.equal(merged.episode, at_once.episode)
        if torch.rand((), generator=g) < 0.3:
            again = Replay(capacity)
            again.load_state_dict(replay.state_dict(), torch.device("cpu"))
            replay = again


def test_a_full_replay_is_merged_without_reading_it_again(monkeypatch: pytest.MonkeyPatch):
    replay = filled(1_000, rows(*range(1_000)))
    replay.merged()
    grouped, sorted_rows = merging._grouped, []
    monkeypatch.setattr(merging, "_grouped", lambda c, r: (sorted_rows.append(len(r)), grouped(c, r))[1])
    replay.add(rows(*[1, 2, 3] * 300))
    replay.merged()
    replay.add(rows(1, 2, 3))
    assert counts(replay.merged()) == counts(merge(replay.all()))
    assert sorted_rows[:2] == [1_000 + 2 * 900, 103 + 2 * 3]


def test_merged_weights_forget_what_the_ring_forgot():
    replay = filled(4, rows(1, 1, 2))
    replay.merged()
    replay.add(rows(3, 3, 3))
    assert counts(replay.merged()) == {2: 1.0, 3: 3.0}


def test_the_merged_weights_sum_to_the_number_of_rows():
    assert float(filled(64, rows(*([1, 2, 3] * 50))).merged().weight.sum()) == 64.0


def test_rows_already_weighted_add_their_weights():
    assert counts(merge(rows(1, 1, 2, weight=[2.0, 3.0, 4.0]))) == {1: 5.0, 2: 4.0}


def test_continuous_states_are_not_merged():
    state = torch.zeros(3, 2)
    replay = filled(10, rows(1, 1, 1, state=state, next_state=state))
    assert len(replay.merged()) == 3


def test_continuous_actions_are_not_merged():
    assert len(filled(10, rows(1, 1, 1, action=torch.zeros(3, 2))).merged()) == 3


def test_concatenation_keeps_the_order():
    assert concatenate(rows(3), rows(1, 2)).state.tolist() == [3, 1, 2]


def test_distinct_states_carry_the_weight_of_their_rows():
    state, weight = rows(2, 1, 2, weight=[1.0, 2.0, 4.0]).distinct_states()
    assert dict(zip(state.tolist(), weight.tolist(), strict=True)) == {1: 2.0, 2: 5.0}


def test_a_mean_is_weighted():
    assert float(rows(1, 2, weight=[1.0, 3.0]).mean(torch.tensor([0.0, 4.0]))) == 3.0


def pieces(replay: Replay, size: int = 400, length: int = 4) -> list[list[int]]:
    """The states of drawn sequences, cut where they are not valid."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        drawn = replay.sequences(size, length)
    return [state[: int(valid.sum())].tolist() for state, valid in zip(drawn.steps.state, drawn.valid, strict=True)]


def test_a_sequence_is_successive_rows_of_an_episode():
    replay = filled(100, rows(*range(10)))
    drawn = pieces(replay)
    assert all(piece == list(range(piece[0], min(piece[0] + 4, 10))) for piece in drawn)
    assert {piece[0] for piece in drawn} == set(range(10))


def test_a_sequence_has_the_shapes_that_were_asked_for():
    drawn = filled(100, rows(*range(10))).sequences(7, 5)
    assert drawn.valid.shape == (7, 5)
    assert all(getattr(drawn.steps, f.name).shape == (7, 5) for f in fields(drawn.steps))
    assert bool(drawn.valid[:, 0].all())


def test_a_sequence_of_vectors_keeps_their_shape():
    state = torch.arange(30.0).reshape(10, 3)
    replay = filled(100, rows(*range(10), state=state, next_state=state + 3))
    drawn = replay.sequences(6, 4)
    assert drawn.steps.state.shape == (6, 4, 3)
    step = drawn.steps.state[:, 1:] - drawn.steps.next_state[:, :-1]
    assert not bool(step[drawn.valid[:, 1:]].any())


def test_a_sequence_that_ends_repeats_its_last_row():
    with torch.random.fork_rng():
        drawn = filled(100, rows(*range(3))).sequences(50, 5)
    for state, valid in zip(drawn.steps.state.tolist(), drawn.valid.tolist(), strict=True):
        known = sum(valid)
        assert valid == [True] * known + [False] * (5 - known)
        assert state[known:] == [2] * (5 - known)


@pytest.mark.parametrize("flag", ["terminated", "truncated"])
def test_a_sequence_never_crosses_the_end_of_an_episode(flag: str):
    ends = [False, False, True, False, True, False]
    drawn = pieces(filled(100, rows(*range(6), **{flag: ends})))
    assert {tuple(piece) for piece in drawn} == {(0, 1, 2), (1, 2), (2,), (3, 4), (4,), (5,)}


def test_a_sequence_crosses_batches_of_one_episode():
    drawn = pieces(filled(100, rows(0, 1), rows(2), rows(3, 4)))
    assert {tuple(piece) for piece in drawn} == {(0, 1, 2, 3), (1, 2, 3, 4), (2, 3, 4), (3, 4), (4,)}


def test_a_sequence_stays_in_its_stream():
    """Two environments in turn: rows 0, 2, 4 … of one and 1, 3, 5 … of the other."""
    replay = Replay(100)
    for first in range(0, 12, 4):
        replay.add(rows(*range(first, first + 4)), stream=[0, 1, 0, 1])
    drawn = pieces(replay, length=3)
    assert {tuple(piece) for piece in drawn} == {
        *((n, n + 2, n + 4) for n in range(8)),
        *((n, n + 2) for n in (8, 9)),
        (10,),
        (11,),
    }


def test_streams_may_be_tensors():
    replay = Replay(100)
    replay.add(rows(0, 1, 2, 3), torch.tensor([0, 1, 0, 1]), torch.tensor([False, False, False, True]))
    assert {tuple(piece) for piece in pieces(replay)} == {(0, 2), (2,), (1,), (3,)}


def test_a_row_that_begins_anew_does_not_continue_the_one_before():
    """As after `reset` in the middle of an episode: nothing ended, and yet nothing goes on."""
    replay = Replay(100)
    replay.add(rows(0, 1, 2, 3), begins=[False, False, True, False])
    replay.add(rows(4), begins=[True])
    assert {tuple(piece) for piece in pieces(replay)} == {(0, 1), (1,), (2, 3), (3,), (4,)}


def test_ends_may_be_told_instead_of_read():
    replay = Replay(100)
    replay.add(rows(0, 1, 2), ends=[False, True, False])
    assert {tuple(piece) for piece in pieces(replay)} == {(0, 1), (1,), (2,)}


def test_the_end_of_one_streams_episode_is_not_that_of_another():
    replay = Replay(100)
    replay.add(rows(0, 1, 2, 3, terminated=[True, False, False, False]), stream=[0, 1, 0, 1])
    assert {tuple(piece) for piece in pieces(replay)} == {(0,), (1, 3), (2,), (3,)}


@pytest.mark.parametrize("size", [1, 2, 3, 5, 8, 11])
@pytest.mark.parametrize("capacity", [4, 7, 10])
def test_a_sequence_never_runs_into_what_has_overwritten_its_continuation(capacity: int, size: int):
    replay, last = Replay(capacity), 0
    for first in range(0, 40, size):
        replay.add(rows(*range(first, first + size)))
        last = first + size - 1
        kept = range(max(last - capacity + 1, 0), last + 1)
        for piece in pieces(replay, 60, 5):
            assert piece == list(range(piece[0], min(piece[0] + 5, last + 1)))
            assert piece[0] in kept


@pytest.mark.parametrize("capacity", [5, 9, 16, 1_000])
@pytest.mark.parametrize("seed", range(3))
def test_sequences_of_many_streams_in_a_ring_are_those_of_the_episodes(capacity: int, seed: int):
    """Random streams, ends and begins; each row is followed by what followed it, as long as that is kept."""
    g = torch.Generator().manual_seed(seed)
    replay, follows, last = Replay(capacity), {}, {}
    number = 0
    for _ in range(30):
        size = int(torch.randint(1, 7, (), generator=g))
        stream = torch.randint(3, (size,), generator=g).tolist()
        ends, begins = ((torch.rand(size, generator=g) < p).tolist() for p in (0.2, 0.1))
        for row in range(size):
            before = last.pop(stream[row], None)
            if before is not None and not begins[row]:
                follows[before] = number + row
            if not ends[row]:
                last[stream[row]] = number + row
        replay.add(rows(*range(number, number + size), terminated=ends), stream, begins)
        number += size
        for piece in pieces(replay, 40, 6):
            expected = [piece[0]]
            while len(expected) < 6 and expected[-1] in follows:
                expected.append(follows[expected[-1]])
            assert piece == expected
            assert min(piece) >= number - capacity


def test_a_saved_replay_knows_how_its_rows_follow_one_another():
    first, second = Replay(9), Replay(9)
    for start in range(0, 24, 2):
        first.add(rows(start, start + 1), stream=[0, 1])
    second.load_state_dict(first.state_dict(), torch.device("cpu"))
    for replay in (first, second):
        replay.add(rows(24, 25), stream=[0, 1])
    assert pieces(first) == pieces(second)
    assert max(len(piece) for piece in pieces(second)) == 4


def test_what_is_saved_is_a_copy():
    replay = filled(4, rows(1, 2, 3, 4))
    saved = replay.state_dict()
    replay.add(rows(5, 6))
    assert saved["rows"]["state"].tolist() == [1, 2, 3, 4]


@pytest.mark.parametrize(("capacity", "count"), [(1_000, 1), (1_000, 3), (37, 4), (20, 300)])
def test_each_row_has_its_stream_its_episode_and_its_number(capacity: int, count: int):
    """N ragged streams, in pieces of any length, against lists; more than 255 of them, longer links than a byte has."""
    rng, replay, went = random.Random(0), Replay(capacity), []
    running: dict[int, int] = {}
    begun = itertools.count()
    for piece in range(8):
        steps = [(stream, rng.random() < 0.2) for _ in range(rng.randint(1, 5)) for stream in range(count)]
        steps = [step for step in steps if rng.random() < 0.8] or steps[:1]
        for stream, end in steps:
            running[stream] = running[stream] if stream in running else next(begun)
            went.append((stream, running[stream], end))
            if end:
                del running[stream]
        new = rows(*range(len(went) - len(steps), len(went)))
        taken = replay.add(new, [stream for stream, _ in steps], ends=[end for _, end in steps])
        if piece == 5:
            saved, replay = replay.state_dict(), Replay(capacity)
            replay.load_state_dict(saved, torch.device("cpu"))
        assert taken.episode.tolist() == [episode for _, episode, _ in went[-len(steps) :]]
    kept = replay.all()
    assert kept.time.tolist() == kept.state.tolist() == list(range(len(went)))[-capacity:]
    assert list(zip(kept.stream.tolist(), kept.episode.tolist(), strict=True)) == [w[:2] for w in went][-capacity:]
    assert replay.running == running
    pieces = replay.sequences(None, 4)
    whole: dict[int, list[int]] = {}
    for number, (_, episode, _) in enumerate(went):
        whole.setdefault(episode, []).append(number)
    for first, valid, found in zip(kept.time.tolist(), pieces.valid, pieces.steps.state, strict=True):
        mine = whole[went[first][1]]
        assert found[valid].tolist() == mine[mine.index(first) :][:4]


def test_merged_rows_are_of_no_episode_where_they_stand_for_several():
    merged = filled(100, rows(1, 2, 1, 3), rows(2)).merged()
    assert dict(zip(merged.state.tolist(), merged.time.tolist(), strict=True)) == {1: -1, 2: -1, 3: 3}


def test_episodes_that_are_gone_are_forgotten():
    replay = Replay(10)
    for _ in range(30):
        replay.add(rows(1, 2), [0, 1], ends=[True, True])
    assert len(replay.state_dict()["streams"]["streams"]) == 10
    assert len(replay._streams) < 40


def pendulum(count: int) -> Transitions:
    """Transitions as Pendulum gives them."""
    numbers, flag = torch.zeros(count), torch.zeros(count, dtype=torch.bool)
    return Transitions(
        torch.zeros(count, 3), torch.zeros(count, 1), numbers, torch.zeros(count, 3), flag, flag, numbers, numbers + 1
    )


RAW = 4 * (3 + 1 + 1 + 3) + 2 + 4
"""Bytes of a Pendulum transition: eight numbers, two flags and the log-density of its action."""


def test_a_million_transitions_take_little_more_than_their_bytes():
    replay = Replay(1_000_000)
    for _ in range(20):
        replay.add(pendulum(50_000), ends=[False] * 50_000)
    assert len(replay) == 1_000_000
    assert replay.bytes <= 1.15 * (RAW - 4) * 1_000_000  # without the log-density


def test_a_large_replay_with_few_rows_is_small():
    replay = Replay(1_000_000)
    replay.add(pendulum(10))
    assert replay.bytes < 100_000


PROBE = """
import resource, torch
from gio_pyro.data.replay_buffer import Replay
from tests.data.test_replay_buffer import pendulum

rows, ends = pendulum(50_000), [False] * 50_000
Replay(100_000).add(rows, ends=ends)
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
replay = Replay(1_000_000)
replay.add(pendulum(10))
few = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
for _ in range(20):
    replay.add(rows, ends=ends)
now = int(open("/proc/self/statm").read().split()[1]) * resource.getpagesize() // 1024
print(few - before, now - before, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before)
"""


@pytest.mark.slow
@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="needs Linux's /proc")
def test_the_process_grows_by_no_more_than_the_rows():
    """Kilobytes: with ten rows, with a million, and at the worst moment while the storage grows."""
    run = subprocess.run([sys.executable, "-c", PROBE], capture_output=True, text=True, check=True)
    few, million, worst = (int(number) for number in run.stdout.split())
    raw = RAW * 1_000_000 / 1024
    assert few < 2_000
    assert million < 1.25 * raw  # the lists of the batches of 50,000, too
    assert worst < 2.0 * raw
