"""The memory of an episode: exact for finite states, by a comparator that learned what is near for vectors.

Cost: 2 s.
"""

from dataclasses import replace

import pytest
import torch
from gymnasium.spaces import Discrete
from torch import Tensor

from gio_pyro.data.replay_buffer import Replay
from gio_pyro.errors import InputError
from gio_pyro.models import DirichletModel, GaussianModel
from gio_pyro.signals import Reachability
from gio_pyro.signals.memories import LearnedMemory
from gio_pyro.signals.reward_mix import RewardMix
from gio_pyro.types import Spec, Transitions

from .worlds import FEW, FINITE, fitted, rows


def walk(*states: int, ended: bool = False) -> Transitions:
    at = torch.tensor(states)
    ends = torch.arange(len(at) - 1) == len(at) - 2
    return rows(at[:-1], torch.zeros(len(at) - 1, dtype=torch.long), at[1:], ends & ended)


def to(*states: int) -> Transitions:
    at = torch.tensor(states)
    return rows(torch.zeros_like(at), torch.zeros_like(at), at)


def finite() -> Reachability:
    return Reachability(fitted(DirichletModel, FINITE))


def test_before_anything_was_remembered_all_is_new():
    assert finite()(to(0, 1, 2, 3)).tolist() == [1, 1, 1, 1]


def test_states_of_this_episode_are_known_its_first_one_too():
    signal = finite()
    signal.observe(walk(0, 2))
    assert signal(to(0, 1, 2, 3)).tolist() == [0, 1, 0, 1]
    signal.observe(walk(2, 3))
    assert signal(to(0, 1, 2, 3)).tolist() == [0, 1, 0, 0]


def test_an_end_forgets():
    signal = finite()
    signal.observe(walk(0, 2, ended=True))
    assert signal(to(0, 1, 2, 3)).tolist() == [1, 1, 1, 1]


def test_telling_an_end_in_the_middle_is_telling_one_after_the_other():
    one, other = finite(), finite()
    first, second = walk(0, 2, 3, ended=True), walk(1, 1)
    one.observe(first)
    one.observe(second)
    other.observe(Transitions(*(torch.cat(pair) for pair in zip(first.tensors(), second.tensors(), strict=True))))
    assert torch.equal(one(to(0, 1, 2, 3)), other(to(0, 1, 2, 3)))
    assert one(to(0, 1, 2, 3)).tolist() == [1, 0, 1, 1]


def circle(start: int, count: int, period: int = 80) -> Transitions:
    """A walk around a circle, a step of 1/80 of it at a time."""
    angle = 2 * torch.pi * torch.arange(start, start + count + 1) / period
    at = torch.stack([angle.cos(), angle.sin()], -1)
    return rows(at[:-1], torch.zeros(count, dtype=torch.long), at[1:])


@pytest.mark.slow
def test_a_comparator_learns_what_is_near():
    """Of half a circle that was walked, places on it are near and the middle of the other half is out of reach."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        signal = Reachability(fitted(GaussianModel, FEW), history=400, capacity=40, learning_rate=3e-3)
        signal.observe(circle(0, 300))
        for _ in range(400):
            figures = signal.update(circle(0, 1))
        ended = circle(300, 1)
        signal.observe(Transitions(*ended.tensors()[:4], torch.ones(1).bool(), *ended.tensors()[5:]))
        signal.observe(circle(0, 12))
    assert float(figures["reachability_loss"]) < 0.3
    near, far = signal(circle(3, 1)), signal(circle(45, 1))
    assert float(near) < 0.3
    assert float(far) > 0.9


def test_a_memory_is_of_its_capacity_however_long_the_pieces_are():
    def made() -> Reachability:
        with torch.random.fork_rng():
            torch.manual_seed(0)
            signal = Reachability(fitted(GaussianModel, FEW), history=50, capacity=10)
        assert isinstance(signal.memory, LearnedMemory)
        torch.nn.init.constant_(list(signal.memory.compare.parameters())[-1], -9.0)  # nothing is near: all is kept
        return signal

    one, pieces = made(), made()
    one.observe(circle(0, 60))
    for k in range(0, 60, 7):
        pieces.observe(circle(0, 60)[k : k + 7])
    assert one.memory.remembered(0) == pieces.memory.remembered(0) == list(range(101, 121, 2))
    assert len(one.memory.state()["kept"]) == 50


def test_finite_states_within_reach_are_those_of_a_breadth_first_search():
    """Round a ring of 20 whose every transition is known: each episode is paid every fourth step, k being 3."""
    spec = Spec(Discrete(20), Discrete(3), Discrete(20))
    replay = Replay(1_000)
    signal = Reachability(replace(fitted(DirichletModel, spec), replay=replay), near=3)
    at = torch.arange(41) % 20
    ends = torch.arange(40) % 20 == 19
    here = replay.add(rows(at[:-1], torch.zeros(40, dtype=torch.long), at[1:], ends))
    signal.observe(here)
    once = [float(k % 4 == 0 and k < 20) for k in range(1, 21)]
    assert signal(here).tolist() == once * 2
    assert signal(replay.all()[torch.tensor([3, 23, 7, 2])]).tolist() == [1, 1, 1, 0]


@pytest.mark.parametrize("kind", ["finite", "vectors"])
def test_each_row_is_paid_against_its_own_episode_as_of_then(kind: str):
    """Of four streams in any order and in pieces of any length, and read long after."""
    spec = Spec(Discrete(12), Discrete(3), Discrete(12)) if kind == "finite" else FEW
    generator = torch.Generator().manual_seed(0)
    walks = (torch.randint(-1, 2, (4, 30), generator=generator).cumsum(1) + 40) % 12
    ends = torch.arange(29) % 11 == 10
    ends[-1] = True

    def paid(order: str) -> Tensor:
        replay = Replay(1_000)
        with torch.random.fork_rng():
            torch.manual_seed(0)
            source = fitted(DirichletModel if kind == "finite" else GaussianModel, spec)
            signal = Reachability(replace(source, replay=replay), near=1)
        streams, steps = torch.arange(4).repeat(29), torch.arange(29).repeat_interleave(4)
        if order == "one after the other":
            streams, steps = torch.arange(4).repeat_interleave(29), torch.arange(29).repeat(4)
        for piece in torch.arange(116).split(7 if order == "pieces" else 116):
            at, then = walks[streams[piece], steps[piece]], walks[streams[piece], steps[piece] + 1]
            if kind == "vectors":
                at, then = (torch.stack([(x * 0.52).cos(), (x * 0.52).sin()], -1) for x in (at, then))
            new = rows(at, torch.zeros(len(piece), dtype=torch.long), then, ends[steps[piece]])
            which = [0] * len(piece) if order == "one after the other" else streams[piece].tolist()
            signal.observe(replay.add(new, which))
        found = signal(replay.all())
        assert torch.allclose(signal(replay.all()[torch.tensor([50, 3])]), found[[50, 3]])
        return found[(streams * 29 + steps).argsort()]

    first = paid("pieces")
    assert 0 < float(first.mean()) < 1
    for order in ("at once", "one after the other"):
        assert torch.allclose(first, paid(order), atol=1e-6)


def test_a_merged_transition_is_paid_the_mean_of_those_it_stands_for():
    replay = Replay(100)
    spec = Spec(Discrete(9), Discrete(3), Discrete(9))
    signal = Reachability(replace(fitted(DirichletModel, spec), replay=replay), near=1)
    at = torch.tensor([0, 1, 2, 3])
    signal.observe(replay.add(rows(at[:-1], torch.zeros(3, dtype=torch.long), at[1:])))
    signal.observe(replay.add(rows(at[1:2], torch.zeros(1, dtype=torch.long), at[2:3]), [1]))
    assert signal(replay.all()).tolist() == [0, 1, 0, 0]
    merged = RewardMix(signal, 1.0, 0.0).mix(replay.merged(), 0)
    assert dict(zip(merged.state.tolist(), merged.reward.tolist(), strict=True)) == {0: 0.0, 1: 0.5, 2: 0.0}


def test_with_no_pairs_yet_an_update_changes_nothing():
    with torch.random.fork_rng():
        signal = Reachability(fitted(GaussianModel, FEW))
        before = {k: v.clone() for k, v in signal.named_parameters()}
        signal.update(circle(0, 5))
    assert all(torch.equal(before[k], v) for k, v in signal.named_parameters())


@pytest.mark.parametrize("settings", [{"capacity": 0}, {"history": 10, "capacity": 20}, {"near": 0}])
def test_a_memory_of_no_size_is_told_in_a_sentence(settings: dict[str, int]):
    with pytest.raises(InputError, match=r"^Expected .* but got .*; .*\.$"):
        Reachability(fitted(GaussianModel, FEW), **settings)
