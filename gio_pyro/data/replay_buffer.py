"""The replay buffer: collected transitions in order, and the same transitions with equal ones merged."""

import math
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from gymnasium.spaces import Discrete
from torch import Tensor

from gio_pyro.data.image_planes import ImagePlanes, bytes_of_image, image_axis
from gio_pyro.data.merging import Merged
from gio_pyro.data.state_table import StateTable
from gio_pyro.data.streams import Streams
from gio_pyro.errors import GioWarning, InputError
from gio_pyro.types import Sequences, Spec, Transitions
from gio_pyro.utils.memory import MIN_CHECKED, format_bytes, free_bytes, require_memory

STORED = ("state", "action", "reward", "next_state", "terminated", "truncated", "log_behaviour")
"""The stored fields of `Transitions`; the weight of a row that was not merged is 1."""
COLUMNS = tuple(name for name in STORED if name not in ("state", "next_state"))
"""The stored fields with a value of its own in each row."""
OTHERS = 19
"""Bytes of a row without its state and action: reward, log μ, two flags, the episode, and where the next row and the
next state are."""
ROOM = 0.8
"""Share of the free memory that a replay may take, in the advice of a warning."""
FAR = torch.iinfo(torch.uint8).max
"""The largest distance between successive transitions of an episode that is stored in one byte."""


class Replay:
    """A ring buffer of transitions on one device, allocated as it fills; a state is kept once (see `StateTable`).

    Args:
        capacity: the most transitions that are kept; the oldest are overwritten.
        images: the channel axis of states, 0 or 2, where they are images (see `image_axis`): each frame is kept once.
        histories: whether `histories` and `pieces` are read, which takes one more byte a transition.
    """

    def __init__(self, capacity: int, images: int | None = None, *, histories: bool = False) -> None:
        if capacity < 1:
            raise InputError(f"Expected room for at least 1 transition, but got {capacity}; raise buffer_size.")
        self.capacity = capacity
        self._rows: dict[str, Tensor] = {}
        self._states = StateTable()
        self._planes = None if images is None else ImagePlanes(images)
        self._links = ("following", "preceding") if histories else ("following",)
        self._size = self._added = 0
        self._streams = Streams()
        self._room = 2 * capacity
        self._merged = Merged()

    def __len__(self) -> int:
        return self._size

    @property
    def bytes(self) -> int:
        """The size of the storage in bytes."""
        images = 0 if self._planes is None else self._planes.bytes
        return sum(rows.nbytes for rows in self._rows.values()) + self._states.bytes + images

    def add(
        self,
        new: Transitions,
        stream: Sequence[int] | None = None,
        begins: Sequence[bool] | None = None,
        ends: Sequence[bool] | None = None,
    ) -> Transitions:
        """Append transitions `[B, ...]`, all on one device; return them with their stream, episode and time.

        Streams and episode boundaries are given on the host; the device is read once, for whether states continue.

        Args:
            new: the transitions, in order of time.
            stream: `[B]` the index of the environment of each; one environment by default.
            begins: `[B]` whether each does not continue its stream, although the episode before it did not end.
            ends: `[B]` whether the episode ended with each; read from the transitions by default.
        """
        ends = (new.terminated | new.truncated).tolist() if ends is None else ends
        streams, breaks = ([0] * len(new) if given is None else [int(x) for x in given] for given in (stream, begins))
        self._reserve(new)  # first, as the transitions may not fit
        if len(self._streams) > self._room:
            self._streams.forget(self._oldest_episode())
            self._room = 2 * len(self._streams) + self.capacity
        episode, links = self._streams.take(self._added, streams, breaks, ends)
        new = self._numbered(new, streams, episode)
        self._forget(len(new))
        first = max(len(new) - self.capacity, 0)
        where = new.time[first:] % self.capacity
        for name in COLUMNS:
            self._rows[name][where] = getattr(new, name)[first:]
        self._write_states(new[first:], links, self._added + first)
        self._rows["episode"][where] = new.episode[first:].int()
        for name in self._links:
            self._rows[name][where] = 0
        self._link(links, self._added + len(new) - self.capacity)
        self._added += len(new)
        self._size = min(self._size + len(new), self.capacity)
        self._merged.add(len(new))
        return new

    def _forget(self, coming: int) -> None:
        """Remove the transitions that `coming` new ones are about to overwrite from the merged ones."""
        if self._merged.sums is None:
            return
        if self._merged.outdated:
            self.merged()
        gone = min(self._size + coming - self.capacity, self._size - self._merged.missing)
        if gone > 0:
            self._merged.remove(self.numbered(self.oldest + torch.arange(gone, device=self._device())))

    def _write_states(self, new: Transitions, links: Sequence[tuple[int, int]], number: int) -> None:
        """Store the states of new rows, the first of which has the given number."""
        oldest, state, next_state = number + len(new) - self.capacity, new.state, new.next_state
        if self._planes is not None:
            state, next_state = self._planes.encode(state, next_state, new.stream.tolist(), number, oldest)
        slots = [n % self.capacity for n in range(number, number + len(new))]
        after = [(a % self.capacity, b - number) for a, b in links if oldest <= a < number]
        within = [(a - number, b - number) for a, b in links if a >= number]
        self._states.write(slots, state, next_state, after, within)

    def _numbered(self, new: Transitions, stream: Sequence[int], episode: Sequence[int]) -> Transitions:
        device = new.weight.device
        time = torch.arange(self._added, self._added + len(new), device=device)
        both = _sent([stream, episode], torch.int64, device)
        return replace(new, stream=both[0], episode=both[1], time=time)

    def _link(self, links: Sequence[tuple[int, int]], oldest: int) -> None:
        """Store, for each row from the number `oldest` on, how far the next and the previous of its episode are.

        A previous row that is overwritten is far, not missing: where none is, the row begins its episode.
        """
        for end, name in enumerate(self._links):
            kept = [(pair[end] % self.capacity, pair[1] - pair[0]) for pair in links if pair[end] >= oldest]
            if not kept:
                continue
            if max(distance for _, distance in kept) > FAR:
                self._rows[name] = self._rows[name].int()
            slot, distance = _sent(kept, torch.int64, self._rows[name].device).unbind(-1)
            self._rows[name][slot] = distance.to(self._rows[name].dtype)

    def _reserve(self, new: Transitions) -> None:
        """Allocate more storage by doubling, up to the capacity."""
        have = len(self._rows["reward"]) if self._rows else 0
        need = min(self._size + len(new), self.capacity)
        if need > have:
            self._grow(new, need, have)
        if self._planes is not None:
            oldest = self._added + len(new) - self.capacity
            self._planes.reserve(new.state[-self.capacity :], oldest, need / len(self._rows["reward"]))

    def _grow(self, new: Transitions, need: int, have: int) -> None:
        """Allocate storage for at least `need` rows instead of `have`."""
        links = {name: self._rows.get(name, new.weight.byte()) for name in self._links}
        links["episode"] = new.weight.int()
        fields = {name: getattr(new, name) for name in COLUMNS} | links
        kind = new.state if self._planes is None else self._planes.codes_like(new.state)
        widths = [4, kind[:1].nbytes, *(field[:1].nbytes for field in fields.values())]
        size = self._affordable(widths, need, have, new.weight.device)
        self._states.grow(size, self._size, kind)
        for name, like in fields.items():
            grown = like.new_zeros(size, *like.shape[1:])
            if name in self._rows:
                grown[: self._size] = self._rows[name][: self._size]
            self._rows[name] = grown

    def _affordable(self, widths: Sequence[int], need: int, have: int, device: torch.device) -> int:
        """Return the new number of rows: twice as many, or fewer where memory is short; else raise `InputError`.

        Args:
            widths: bytes per row of each field.
            need: the fewest rows.
            have: the rows now.
            device: where they are stored.
        """
        sizes = [min(max(need, more), self.capacity) for more in (max(2 * have, 1024), have + have // 8)]
        row = sum(widths)
        if (fitting := next((n for n in sizes if _peak(widths, n, have) <= MIN_CHECKED), None)) is None:
            free = free_bytes(device)
            fitting = next((n for n in sizes if _peak(widths, n, have) <= free), None)
        if fitting is None:
            require_memory(
                _peak(widths, sizes[-1], have),
                f"{sizes[-1]:,} transitions of {format_bytes(row)} each",
                f"set buffer_size={max(have, 1)} or less, or show smaller observations",
                device,
            )
        return fitting or sizes[-1]

    def all(self) -> Transitions:
        """Return all transitions, oldest first; raise `InputError` where there are none."""
        return self.latest(self._size)

    def latest(self, count: int) -> Transitions:
        """Return the last `count` transitions, or as many as there are, oldest first."""
        count = min(count, self._size)
        return self._at(self._latest(count))

    def _latest(self, count: int) -> Tensor:
        return (self._added - count + torch.arange(count, device=self._device())) % self.capacity

    def sample(self, size: int) -> Transitions:
        """Return `size` transitions drawn uniformly with replacement, `[size, ...]`."""
        return self._at(self._drawn(size))

    def sequences(self, size: int | None, length: int, *, newest: bool = False) -> Sequences:
        """Return `size` sequences of up to `length` successive transitions, never across the end of an episode.

        Their first rows are drawn uniformly with replacement from all transitions; for None they are all transitions,
        oldest first, and with `newest` the last `size` ones.
        """
        slots, valid = self._walks(size, length, newest=newest)
        return Sequences(self._at(slots), valid)

    def walks(self, size: int | None, length: int) -> tuple[Tensor, Tensor]:
        """Return the numbers of the rows of such sequences, `[B, length]`, and which are valid, `[B, length]`."""
        slots, valid = self._walks(size, length)
        return self._time(slots), valid

    def _time(self, slot: Tensor) -> Tensor:
        """Return the numbers of the transitions in slots."""
        return self._added - 1 - (self._added - 1 - slot) % self.capacity

    @property
    def stride(self) -> int:
        """The largest distance between successive transitions of an episode; 1 where no transition follows another."""
        return max(1, int(self._rows["following"][: self._size].max())) if self._size else 1

    def _walks(self, size: int | None, length: int, *, newest: bool = False) -> tuple[Tensor, Tensor]:
        newest = newest or size is None
        count = self._size if size is None else min(size, self._size)
        return self._walk_on(self._latest(count) if newest else self._drawn(size or 0), length)

    def _walk_on(self, slot: Tensor, length: int) -> tuple[Tensor, Tensor]:
        """Return the slots of `length` successive transitions from `[B]` on, `[B, length]`, and which are valid."""
        slots, valid = [slot], [torch.ones_like(slot, dtype=torch.bool)]
        for _ in range(length - 1):
            distance = self._rows["following"][slot].long()
            valid.append(valid[-1] & (distance > 0))
            slot = torch.where(valid[-1], (slot + distance) % self.capacity, slot)
            slots.append(slot)
        return torch.stack(slots, 1), torch.stack(valid, 1)

    def _walk_back(self, slot: Tensor, length: int) -> tuple[Tensor, Tensor]:
        """Return the slots of the last `length` transitions of an episode up to those `[B]`, the latest first."""
        slots, valid, number = [slot], [torch.ones_like(slot, dtype=torch.bool)], self._time(slot)
        for _ in range(length - 1):
            distance = self._rows["preceding"][slot].long()
            number = number - distance
            valid.append(valid[-1] & (distance > 0) & (number >= self.oldest))
            slot = torch.where(valid[-1], (slot - distance) % self.capacity, slot)
            slots.append(slot)
        return torch.stack(slots, 1), torch.stack(valid, 1)

    def histories(self, time: Tensor, length: int) -> tuple[Sequences, Tensor]:
        """Return the last transitions of an episode up to those of these numbers `[B]`, at most `length` of each.

        The earliest one is the first of each sequence. The second result says whether it begins its episode, `[B]`.
        """
        slots, there = self._walk_back(time % self.capacity, length)
        count = there.sum(1, keepdim=True)
        place = torch.arange(length, device=time.device)
        slots = slots.gather(1, (count - 1 - place).clamp_min(0))
        return Sequences(self._at(slots), place < count), self._rows["preceding"][slots[:, 0]] == 0

    def pieces(self, size: int, length: int) -> tuple[Sequences, Tensor]:
        """Return `size` pieces of episodes of up to `length` transitions, and which begin their episode, `[size]`.

        Each contains a transition that is drawn uniformly, at any place in it, and does not begin before its episode.
        """
        slots, there = self._walk_back(self._drawn(size), length)
        before = torch.randint(length, (size,), device=slots.device)
        first = slots.gather(1, torch.minimum(before, there.sum(1) - 1).unsqueeze(1)).squeeze(1)
        slots, valid = self._walk_on(first, length)
        return Sequences(self._at(slots), valid), self._rows["preceding"][first] == 0

    def _drawn(self, size: int) -> Tensor:
        device = self._device()
        age = torch.randint(self._size, (size,), device=device)
        return (self._added - 1 - age) % self.capacity

    def _at(self, slot: Tensor) -> Transitions:
        rows = {name: self._rows[name][slot] for name in COLUMNS}
        state, next_state = self._states.states(slot), self._states.next_states(slot)
        if self._planes is not None:
            state, next_state = self._planes.decode(state), self._planes.decode(next_state)
        rows |= {"state": state, "next_state": next_state}
        episode = self._rows["episode"][slot].long()
        stream, weight = self._streams.of(episode), torch.ones_like(rows["reward"])
        return Transitions(**rows, weight=weight, stream=stream, episode=episode, time=self._time(slot))

    def holds(self, time: Tensor) -> Tensor:
        """Return whether the transitions of these numbers `[B]` are still stored, booleans `[B]`."""
        return (time >= self.oldest) & (time < self._added)

    def numbered(self, time: Tensor) -> Transitions:
        """Return the transitions of these numbers, any shape; arbitrary ones where `holds` is False."""
        self._device()
        return self._at(time % self.capacity)

    @property
    def added(self) -> int:
        """How many transitions were added so far, which is the number of the next one."""
        return self._added

    @property
    def oldest(self) -> int:
        """The number of the oldest stored transition."""
        return self._added - self._size

    @property
    def last(self) -> dict[int, int]:
        """The number of the last transition, for each stream whose episode has not ended."""
        return {stream: row for stream, (row, _) in self._streams.running.items()}

    def streams_state(self) -> dict[str, Any]:
        """Return the state of its `Streams`."""
        return self._streams.state_dict(self._oldest_episode())

    @property
    def running(self) -> dict[int, int]:
        """The number of the episode that has not ended, for each stream that has one."""
        return {stream: episode for stream, (_, episode) in self._streams.running.items()}

    def _device(self) -> torch.device:
        if self._size == 0:
            raise InputError("Expected a replay with transitions, but it is empty; call learn first.")
        return self._rows["reward"].device

    def batch(self, size: int | None) -> Transitions:
        """Return a sample of `size`, or, for None, the whole replay with equal transitions merged."""
        return self.merged() if size is None else self.sample(size)

    def merged(self) -> Transitions:
        """Return the distinct (state, action, reward, next state, terminated), with the number of each as weight.

        μ is the harmonic mean of the merged rows', so that importance weights sum to the same;
        `truncated` is False. Transitions of other than Discrete states and actions are returned as they are.
        """
        if not self.finite:
            return self.all()
        newest = self._size if self._merged.sums is None else min(self._merged.missing, self._size)
        found = self._merged.rows(self.latest(newest))
        kind = self._rows["reward"].dtype
        return replace(found, weight=found.weight.to(kind), log_behaviour=found.log_behaviour.to(kind))

    @property
    def finite(self) -> bool:
        """Whether equal transitions can be merged: states and actions are those of Discrete spaces."""
        last = self.latest(1)
        return last.finite and not last.action.is_floating_point()

    def _oldest_episode(self) -> int:
        rows = [] if self._size == 0 else [int(self._rows["episode"][: self._size].min())]
        return min([*rows, *self.running.values()], default=self._streams.first)

    def state_dict(self) -> dict[str, Any]:
        """Return copies of the transitions and of their links, as tensors and plain values."""
        filled = {name: _copy(rows[: self._size]) for name, rows in self._rows.items()}
        planes = {}
        if filled:
            slot = torch.arange(self._size, device=self._device())
            state, next_state = self._states.states(slot), self._states.next_states(slot)
            if self._planes is not None:
                planes["planes"], state, next_state = self._planes.state_dict(state, next_state)
            filled |= {"state": _copy(state), "next_state": _copy(next_state)}
        streams = self.streams_state()
        return {"rows": filled, "added": self._added, "streams": streams} | planes | self._merged.state_dict()

    def load_state_dict(self, state: dict[str, Any], device: torch.device) -> None:
        """Restore what `state_dict` returned, on `device`."""
        saved = {name: state["rows"][name].to(device) for name in (*STORED, "episode", *self._links) if state["rows"]}
        self._rows = {name: rows for name, rows in saved.items() if name not in ("state", "next_state")}
        self._states, self._size = StateTable(), len(saved["reward"]) if saved else 0
        self._added = int(state["added"])
        self._streams.load_state_dict(state["streams"])
        if saved and self._planes is not None:
            saved |= self._load_planes(saved, state.get("planes"))
        if saved:
            self._states.load(saved["state"], saved["next_state"], saved["following"])
        self._merged.load_state_dict(state, device)

    def _load_planes(self, saved: Mapping[str, Tensor], planes: Tensor | None) -> dict[str, Tensor]:
        """Restore the images of saved rows; return the codes that stand for them. Older checkpoints have no planes."""
        assert self._planes is not None
        device = saved["reward"].device
        time = self._time(torch.arange(self._size, device=device))
        codes = {name: saved[name] for name in ("state", "next_state")}
        if planes is None:
            order = time.argsort()
            stream = self._streams.of(saved["episode"].long()[order])
            found = self._planes.encode_all(codes["state"][order], codes["next_state"][order], stream.tolist(), time)
            codes = {name: found[k][order.argsort()] for k, name in enumerate(codes)}
        else:
            last = {stream: row for stream, row in self.last.items() if row >= self.oldest}
            running = {stream: row % self.capacity for stream, row in last.items()}
            self._planes.load(planes.to(device), codes["state"], codes["next_state"], time, running)
        return codes


def _sent(numbers: Sequence[Sequence[int]], kind: torch.dtype, device: torch.device) -> Tensor:
    """Return numbers on the device, copied without waiting."""
    cuda = device.type == "cuda"
    return torch.tensor(numbers, dtype=kind, pin_memory=cuda).to(device, non_blocking=cuda)


def warn_of_size(spec: Spec, capacity: int, device: torch.device) -> None:
    """Warn where a full replay would not fit its device; memory is allocated only as it fills."""
    full = bytes_of(spec) * capacity
    if full < MIN_CHECKED or full <= (free := free_bytes(device)):
        return
    fits = int(free / bytes_of(spec) * ROOM)
    warnings.warn(
        f"Expected a replay that fits the memory of {device}, but buffer_size={capacity} transitions of "
        f"{format_bytes(bytes_of(spec))} each are {format_bytes(full)}, and {format_bytes(free)} is free; set "
        f"buffer_size={fits}, or learn for fewer steps.",
        GioWarning,
        stacklevel=3,
    )


def bytes_of(spec: Spec) -> int:
    """Return the bytes that a transition takes in replay."""
    state, action = (
        8 if isinstance(space, Discrete) else math.prod(space.shape or ()) * np.dtype(space.dtype).itemsize
        for space in (spec.state_space, spec.action_space)
    )
    if (axis := image_axis(spec.state_space)) is not None:
        state = bytes_of_image(spec.state_space.shape or (), axis)
    return state + action + OTHERS


def _peak(widths: Sequence[int], size: int, have: int) -> int:
    """Return the most additional bytes while fields of `have` rows are copied to ones of `size`, one by one."""
    taken, most = 0, 0
    for width in widths:
        taken += width * size
        most = max(most, taken)
        taken -= width * have
    return most


def _copy(rows: Tensor) -> Tensor:
    return rows.to("cpu", copy=True)
