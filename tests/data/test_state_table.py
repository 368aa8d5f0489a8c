"""A replay that keeps each state once returns, bit for bit, what was added."""

from collections.abc import Callable, Iterator

import pytest
import torch
from torch import Tensor

from gio_pyro.data.merging import concatenate
from gio_pyro.data.replay_buffer import STORED, Replay
from gio_pyro.types import Transitions

Batch = tuple[Transitions, list[int], list[bool]]


def vectors(generator: torch.Generator) -> Tensor:
    return torch.randn(3, generator=generator)


def numbers(generator: torch.Generator) -> Tensor:
    return torch.randint(5, (), generator=generator)


def zeros_of_both_signs(generator: torch.Generator) -> Tensor:
    return torch.tensor([0.0, -0.0, float("nan")])[torch.randint(3, (2,), generator=generator)]


def episodes(
    seed: int, state: Callable[[torch.Generator], Tensor], streams: int, length: float = 0.2, jump: float = 0.0
) -> Iterator[Batch]:
    """Yield batches of interleaved episodes, which end with a probability, or go on elsewhere than they led to."""
    g = torch.Generator().manual_seed(seed)
    here: list[Tensor | None] = [None] * streams
    while True:
        taken, stream, begins = [], [], []
        for _ in range(int(torch.randint(1, 9, (), generator=g))):
            which = int(torch.randint(streams, (), generator=g))
            begun = bool(torch.rand((), generator=g) < 0.05)
            now, jumped = here[which], bool(torch.rand((), generator=g) < jump)
            if now is None or begun or jumped:
                now = state(g)
            then, (ended, cut) = state(g), (torch.rand(2, generator=g) < length / 2).tolist()
            flags = torch.tensor([ended]), torch.tensor([cut])
            one, action = torch.ones(1), torch.randn(1, 1, generator=g)
            taken.append(Transitions(now[None], action, one * len(taken), then[None], *flags, -one, one))
            stream.append(which)
            begins.append(begun)
            here[which] = None if ended or cut else then
        yield concatenate(*taken), stream, begins


def same(found: Transitions, whole: Transitions) -> None:
    for name in STORED:
        one, other = getattr(found, name).contiguous(), getattr(whole[found.time], name).contiguous()
        assert one.shape == other.shape
        assert one.dtype == other.dtype
        assert torch.equal(one.flatten().view(torch.uint8), other.flatten().view(torch.uint8))


@pytest.mark.parametrize("state", [vectors, numbers, zeros_of_both_signs])
@pytest.mark.parametrize(("streams", "length", "jump"), [(1, 0.2, 0.0), (3, 0.2, 0.0), (2, 0.05, 0.2), (2, 1.9, 0.0)])
@pytest.mark.parametrize("capacity", [7, 50, 10_000])
def test_what_was_added_comes_back_bit_for_bit(
    state: Callable[[torch.Generator], Tensor], streams: int, length: float, jump: float, capacity: int
) -> None:
    replay, whole = Replay(capacity), []
    for step, (rows, stream, begins) in zip(range(40), episodes(capacity, state, streams, length, jump), strict=False):
        replay.add(rows, stream, begins)
        whole.append(rows)
        everything = concatenate(*whole)
        found = replay.all()
        assert found.time.tolist() == [*range(max(0, len(everything) - capacity), len(everything))]
        same(found, everything)
        same(replay.sample(20), everything)
        same(replay.sequences(20, 4).steps.flat(), everything)
        if step % 7 == 6:
            again = Replay(capacity)
            again.load_state_dict(replay.state_dict(), torch.device("cpu"))
            replay = again


def test_next_states_take_room_at_the_ends_of_episodes_only() -> None:
    replay, count, length = Replay(10_000), 20_000, 50
    state, end = torch.randn(count + 1, 32), torch.arange(1, count + 1) % length == 0
    rows = Transitions(
        state[:-1], state[:-1, :1], state[:-1, 0], state[1:], end, ~end & end, state[1:, 0], state[1:, 0]
    )
    for first in range(0, count, 100):
        replay.add(rows[first : first + 100])
    without = 10_000 * (4 * (1 + 1 + 1) + 2 + 4 + 1 + 4)
    assert replay.bytes <= without + 10_000 * 32 * 4 * (1 + 1.2 / length)
