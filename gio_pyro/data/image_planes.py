"""Image states of a ring of transitions, each channel of each frame kept once.

A stack of k frames shares k − 1 of them with the stack before it, and a next state is the state of the transition that
follows. So a state is stored as the numbers of its channels, and each channel as one plane in a table. Channels are
compared, byte by byte, with those of the transition before it in its stream.
"""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from gymnasium import Space
from gymnasium.spaces import Box
from torch import Tensor

from gio_pyro.utils.image_spaces import axis_of
from gio_pyro.utils.memory import require_memory

SPARE = 1.03
"""Most planes for each that is needed if the ring fills as it has so far."""
FREE = 2**62
"""Instead of the last use of a plane that is not in use."""
AT_ONCE = 1000
"""Transitions that are encoded at once where all of a replay is."""

Channels = dict[bytes, int]
Array = np.ndarray[Any, np.dtype[Any]]


def image_axis(space: Space[Any]) -> int | None:
    """Return the channel axis of a space of images, 0 or 2; None for other spaces."""
    image = isinstance(space, Box) and space.dtype == np.uint8 and len(space.shape) == 3
    return axis_of(space) if image and isinstance(space, Box) else None


def bytes_of_image(shape: Sequence[int], axis: int) -> int:
    """Return the bytes that a transition adds: three channels where frames may be in colour, else one of a stack."""
    channels = shape[axis]
    return math.prod(shape) // channels * (3 if channels % 3 == 0 else 1) + 4 * channels


class ImagePlanes:
    """The planes of a ring of image states, on the device of the first ones.

    Args:
        axis: the channel axis of an image, 0 or 2.
    """

    def __init__(self, axis: int) -> None:
        self.axis = axis
        self._planes = torch.empty(0, dtype=torch.uint8)
        self._used_at = np.empty(0, dtype=np.int64)
        self._free: list[int] = []
        self._recent: dict[int, tuple[int, Channels]] = {}

    @property
    def bytes(self) -> int:
        """The size of the storage in bytes."""
        return self._planes.nbytes + self._used_at.nbytes

    def reserve(self, new: Tensor, oldest: int, filled: float) -> None:
        """Make room for states `[B, ...]` and next states, even if all are new; raise `InputError` if memory is short.

        Args:
            new: the states.
            oldest: the number of the oldest transition that stays.
            filled: the share of the ring in use once they are in it.
        """
        shape = self._apart(new[:1]).shape
        count = 2 * len(new) * shape[1]
        if count <= len(self._free):
            return
        gone = np.flatnonzero(self._used_at < oldest).tolist()
        if count > len(self._free) + len(gone):
            have = len(self._planes)
            used = have - len(self._free) - len(gone)
            size = max(used + count, min(2 * have, int(SPARE * used / filled) + count))
            require_memory(size * shape[2:].numel(), f"{size:,} images", "set buffer_size lower", new.device)
            planes = torch.empty(size, *shape[2:], dtype=new.dtype, device=new.device)
            if have:
                planes[:have] = self._planes
            self._planes = planes
            self._used_at = np.concatenate([self._used_at, np.full(size - have, FREE)])
            self._free += range(have, size)
        self._used_at[gone] = FREE
        self._free += gone

    def encode(
        self, state: Tensor, next_state: Tensor, stream: Sequence[int], number: int, oldest: int
    ) -> tuple[Tensor, Tensor]:
        """Store states; return the numbers of their planes, `[B, C]` integers, for states and next states.

        Args:
            state: `[B, ...]`.
            next_state: `[B, ...]`.
            stream: `[B]` the index of the environment of each.
            number: the number of the first transition.
            oldest: the number of the oldest transition that stays.
        """
        pairs = torch.stack([self._apart(state), self._apart(next_state)], 1)  # [B, 2, C, H, W]
        host = pairs.numpy(force=True)
        codes = np.empty(host.shape[:3], dtype=np.int32)
        fresh: list[tuple[int, int, int]] = []
        for row, which in enumerate(stream):
            codes[row] = self._channels(host[row], row, number + row, which, oldest, fresh)
        if fresh:
            where = torch.tensor(fresh, device=state.device)
            flat = pairs.flatten(1, 2)
            self._planes[where[:, 0]] = flat[where[:, 1], where[:, 2]]
        both = torch.from_numpy(codes).to(state.device)
        return both[:, 0], both[:, 1]

    def encode_all(
        self, state: Tensor, next_state: Tensor, stream: Sequence[int], time: Tensor
    ) -> tuple[Tensor, Tensor]:
        """Store the states of a whole ring, oldest first, as `encode` does."""
        number, parts = int(time.min()), []
        for first in range(0, len(state), AT_ONCE):
            some = slice(first, first + AT_ONCE)
            self.reserve(state[some], number, min(1.0, (first + AT_ONCE) / len(state)))
            parts.append(self.encode(state[some], next_state[some], stream[some], number + first, number))
        return torch.cat([one for one, _ in parts]), torch.cat([one for _, one in parts])

    def codes_like(self, state: Tensor) -> Tensor:
        """Return codes of the kind that states `[B, ...]` get."""
        return torch.zeros(self._apart(state[:1]).shape[:2], dtype=torch.int32, device=state.device)

    def _channels(
        self, images: Array, row: int, number: int, stream: int, oldest: int, fresh: list[tuple[int, int, int]]
    ) -> Array:
        """Return the numbers of the planes of two images `[2, C, H, W]`, and note those that are to be stored."""
        used_at, before = self._recent.get(stream, (-1, {}))
        channels: Channels = {}
        codes: list[int] = []
        for place, plane in enumerate(images.reshape(-1, *images.shape[2:])):
            key = plane.tobytes()
            known = channels.get(key)
            if known is None and used_at >= oldest and (earlier := before.get(key)) is not None:
                known = earlier
            if known is None:
                known = self._free.pop()
                fresh.append((known, row, place))
            channels[key] = known
            self._used_at[known] = number
            codes.append(known)
        self._recent[stream] = number, channels
        return np.array(codes).reshape(images.shape[:2])

    def decode(self, codes: Tensor) -> Tensor:
        """Return the images of the numbers of their planes `[..., C]`, `[..., H, W, C]` or `[..., C, H, W]`."""
        return self._planes[codes].movedim(codes.ndim - 1, codes.ndim - 1 + self.axis)

    def _apart(self, images: Tensor) -> Tensor:
        """Return images `[B, ...]` as planes, `[B, C, H, W]`."""
        return images.movedim(1 + self.axis, 1)

    def state_dict(self, *codes: Tensor) -> tuple[Tensor, ...]:
        """Return copies of the planes of codes `[N, C]`, and codes that refer to these."""
        used, found = torch.unique(torch.stack(codes), return_inverse=True)
        return self._planes[used].cpu(), *found.int().cpu().unbind(0)

    def load(self, planes: Tensor, state: Tensor, next_state: Tensor, time: Tensor, running: dict[int, int]) -> None:
        """Replace everything by what `state_dict` returned.

        Args:
            planes: `[P, H, W]`.
            state: `[N, C]` codes.
            next_state: `[N, C]` codes.
            time: `[N]` the number of each transition.
            running: the index of the last transition of each stream whose episode has not ended.
        """
        codes, number = torch.cat([state, next_state], 1).numpy(force=True), time.numpy(force=True)
        last = np.full(len(planes), -1)
        np.maximum.at(last, codes, number[:, None])
        self._planes, self._used_at = planes, np.where(last < 0, FREE, last)
        self._free, self._recent = np.flatnonzero(last < 0).tolist(), {}
        for stream, row in running.items():
            numbers = codes[row].tolist()
            keys = [plane.tobytes() for plane in planes[numbers].numpy(force=True)]
            self._recent[stream] = int(number[row]), dict(zip(keys, numbers, strict=True))
