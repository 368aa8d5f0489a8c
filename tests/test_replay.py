"""Replay keeps what was collected, in order, and counts what is equal."""

from dataclasses import fields
from typing import Any

import pytest
import torch

from gio_pyro.errors import InputError
from gio_pyro.replay import Replay, concatenate, merge
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
        "behaviour": torch.full((n,), 0.5),
        "weight": torch.ones(n),
    }
    return Transitions(**default | {name: torch.as_tensor(value) for name, value in kwargs.items()})


def filled(capacity: int, *batches: Transitions) -> Replay:
    replay = Replay(capacity)
    for batch in batches:
        replay.add(batch)
    return replay


def equal(first: Transitions, second: Transitions) -> bool:
    return all(torch.equal(getattr(first, f.name), getattr(second, f.name)) for f in fields(first))


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
    merged = filled(10, rows(1, 1, 1, behaviour=[0.5, 0.25, 1.0])).merged()
    assert merged.behaviour.tolist() == pytest.approx([3 / (2 + 4 + 1)])


def test_importance_weights_sum_to_the_same_merged_or_not():
    g = torch.Generator().manual_seed(0)
    states = torch.randint(4, (200,), generator=g).tolist()
    mu = 0.1 + 0.9 * torch.rand(200, generator=g)
    replay = Replay(1_000)
    for start in range(0, 200, 20):
        replay.add(rows(*states[start : start + 20], behaviour=mu[start : start + 20]))
        replay.merged()
    apart, together = replay.all(), replay.merged()
    assert float((together.weight / together.behaviour).sum()) == pytest.approx(float((1 / apart.behaviour).sum()))


@pytest.mark.parametrize("capacity", [3, 10, 64, 1_000])
def test_merging_step_by_step_equals_merging_at_once(capacity: int):
    g = torch.Generator().manual_seed(capacity)
    replay = Replay(capacity)
    for _ in range(20):
        size = int(torch.randint(1, 8, (), generator=g))
        states = torch.randint(5, (size,), generator=g).tolist()
        replay.add(rows(*states, behaviour=0.1 + torch.rand(size, generator=g)))
        if torch.rand((), generator=g) < 0.7:
            at_once, merged = merge(replay.all()), replay.merged()
            assert counts(merged) == counts(at_once)
            torch.testing.assert_close(merged.behaviour, at_once.behaviour.float())


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


def test_concatenation_keeps_the_order():
    assert concatenate(rows(3), rows(1, 2)).state.tolist() == [3, 1, 2]


def test_distinct_states_carry_the_weight_of_their_rows():
    state, weight = rows(2, 1, 2, weight=[1.0, 2.0, 4.0]).distinct_states()
    assert dict(zip(state.tolist(), weight.tolist(), strict=True)) == {1: 2.0, 2: 5.0}


def test_a_mean_is_weighted():
    assert float(rows(1, 2, weight=[1.0, 3.0]).mean(torch.tensor([0.0, 4.0]))) == 3.0
