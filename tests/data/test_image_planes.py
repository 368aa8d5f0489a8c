"""A replay of stacked frames keeps each frame once, and returns, bit for bit, what was added."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
import torch
from gymnasium.spaces import Box, Discrete
from gymnasium.wrappers import FrameStackObservation
from torch import Tensor

from gio_pyro import GIO
from gio_pyro.data.image_planes import image_axis
from gio_pyro.data.merging import concatenate
from gio_pyro.data.replay_buffer import Replay
from gio_pyro.types import Transitions
from gio_pyro.utils.image_spaces import Picture
from tests.data.test_state_table import same

SIDES, FRAMES = (6, 5), 4


def episodes(seed: int, axis: int, colours: int, streams: int) -> Iterator[tuple[Transitions, list[int], list[bool]]]:
    """Yield batches of interleaved episodes whose states are stacks of frames, the first one repeated."""
    g = torch.Generator().manual_seed(seed)
    here: list[list[Tensor] | None] = [None] * streams

    def frame() -> Tensor:
        return torch.randint(256, (colours, *SIDES), generator=g, dtype=torch.uint8)

    def stack(frames: list[Tensor]) -> Tensor:
        return torch.cat(frames).movedim(0, axis)[None].contiguous()

    while True:
        taken, stream, begins = [], [], []
        for _ in range(int(torch.randint(1, 9, (), generator=g))):
            which, begun = int(torch.randint(streams, (), generator=g)), bool(torch.rand((), generator=g) < 0.05)
            now = here[which]
            if now is None or begun:
                now = [frame()] * FRAMES
            then = [*now[1:], frame()]
            ended, cut = torch.rand(2, 1, generator=g) < 0.05
            one = torch.ones(1)
            taken.append(Transitions(stack(now), one[:, None], one, stack(then), ended, cut, -one, one))
            stream.append(which)
            begins.append(begun)
            here[which] = None if bool(ended | cut) else then
        yield concatenate(*taken), stream, begins


@pytest.mark.parametrize("axis", [0, 2])
@pytest.mark.parametrize("colours", [1, 3])
@pytest.mark.parametrize("streams", [1, 3])
@pytest.mark.parametrize("capacity", [9, 60, 10_000])
def test_images_come_back_bit_for_bit(axis: int, colours: int, streams: int, capacity: int) -> None:
    replay, whole = Replay(capacity, axis), []
    for step, (rows, stream, begins) in zip(range(25), episodes(capacity, axis, colours, streams), strict=False):
        replay.add(rows, stream, begins)
        whole.append(rows)
        everything = concatenate(*whole)
        found = replay.all()
        assert found.time.tolist() == [*range(max(0, len(everything) - capacity), len(everything))]
        same(found, everything)
        same(replay.sample(10), everything)
        same(replay.sequences(10, 4).steps.flat(), everything)
        if step % 7 == 6:
            saved, again = replay.state_dict(), Replay(capacity, axis)
            if step % 2:  # as older versions saved it
                del saved["planes"]
                plain = replay.numbered(replay._time(torch.arange(len(replay))))
                saved["rows"] |= {"state": plain.state, "next_state": plain.next_state}
            again.load_state_dict(saved, torch.device("cpu"))
            replay = again


@pytest.mark.parametrize("colours", [1, 3])
def test_each_frame_is_kept_once(colours: int) -> None:
    capacity, sides, axis = 600, (40, 40), 2
    replay, g = Replay(capacity, axis), torch.Generator().manual_seed(0)
    frames = [torch.randint(256, (*sides, colours), generator=g, dtype=torch.uint8) for _ in range(2000 + FRAMES)]
    one, no = torch.ones(1), torch.zeros(1, dtype=torch.bool)
    for first in range(2000):
        state, then = (torch.cat(frames[k : k + FRAMES], -1)[None] for k in (first, first + 1))
        ended = torch.tensor([first % 100 == 99])
        replay.add(Transitions(state, one[:, None], one, then, no, ended, one, one))
    distinct = (capacity + FRAMES) * 40 * 40 * colours
    assert replay.bytes <= 1.1 * distinct


def test_only_images_have_a_channel_axis() -> None:
    assert image_axis(Picture(np.zeros((4, 8, 8)), np.full((4, 8, 8), 255), axis=0)) == 0
    assert image_axis(Box(0, 255, (4, 8, 8), np.uint8)) == 0
    assert image_axis(Box(0, 255, (8, 8, 3), np.uint8)) == 2
    assert image_axis(Box(0, 1, (4, 8, 8))) is None
    assert image_axis(Box(0, 255, (8,), np.uint8)) is None


class Noise(gym.Env[Any, Any]):
    """Episodes of 17 random images."""

    observation_space = Box(0, 255, (16, 16), np.uint8)
    action_space = Discrete(3)

    def reset(self, *, seed: int | None = None, options: Any = None) -> tuple[Any, dict[str, Any]]:
        super().reset(seed=seed)
        self.step_number = 0
        return self._image(), {}

    def step(self, action: Any) -> tuple[Any, float, bool, bool, dict[str, Any]]:
        self.step_number += 1
        return self._image(), 0.0, self.step_number >= 17, False, {}

    def _image(self) -> Any:
        return self.np_random.integers(0, 256, (16, 16), dtype=np.uint8)


def test_an_agent_of_stacked_frames_resumes_with_its_images(tmp_path: Path) -> None:
    settings = {
        "hidden": (8,),
        "buffer_size": 200,
        "temperature": 10.0,
        "learning_starts": 50,
        "batch_size": 16,
        "train_freq": 60,
    }
    agent = GIO(FrameStackObservation(Noise(), 4), **settings).learn(300)
    frames = 200 + 200 // 17 + 2 * 60 * 4  # with room for a batch in which every frame is new
    assert agent.replay.bytes < 1.1 * frames * 16 * 16 + 200 * 100
    agent.save(tmp_path)
    again = GIO.load(tmp_path, environment=FrameStackObservation(Noise(), 4))
    for steps in (0, 60):
        one, other = agent.learn(steps).replay.all(), again.learn(steps).replay.all()
        assert all(torch.equal(a, b) for a, b in zip(one.tensors(), other.tensors(), strict=True))
    for a, b in zip(agent.model.parameters(), again.model.parameters(), strict=True):
        assert torch.equal(a, b)
