"""Streams, episodes and times of transitions that another library's loop collects."""

from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor

from gio_pyro.data.replay_buffer import Replay
from gio_pyro.data.streams import Streams
from gio_pyro.types import UNKNOWN, Transitions


def sequence_starts(replay: Replay, rows: Transitions, stream: Sequence[int]) -> list[bool]:
    """Return whether each of `rows` `[B]` starts a sequence: its state is not the last next state of its stream.

    Args:
        replay: earlier transitions.
        rows: in order of time.
        stream: `[B]` the index of the environment of each.
    """
    before: dict[int, int] = {}
    inside: list[tuple[int, int]] = []
    across: list[tuple[int, int]] = []
    last = replay.last
    for row, which in enumerate(stream):
        if which in before:
            inside.append((row, before[which]))
        elif which in last and bool(replay.holds(torch.tensor(last[which]))):
            across.append((row, last[which]))
        before[which] = row
    begins = [True] * len(rows)
    device = rows.weight.device
    for pairs, seen in ((inside, False), (across, True)):
        if pairs:
            now, then = torch.tensor(pairs, device=device).unbind(-1)
            led_to = replay.numbered(then).next_state if seen else rows.next_state[then]
            for row, same in zip(now.tolist(), _equal(rows.state[now], led_to), strict=True):
                begins[row] = not same
    return begins


def _equal(one: Tensor, other: Tensor) -> list[bool]:
    found: list[bool] = (one == other).flatten(1).all(1).tolist() if one.ndim > 1 else (one == other).tolist()
    return found


def with_links(replay: Replay, rows: Transitions, stream: Sequence[int], numbers: Sequence[int] | None) -> Transitions:
    """Return `rows` `[B]` with their stream, episode and time.

    Args:
        replay: the observed transitions.
        rows: in order of time.
        stream: `[B]` the index of the environment of each.
        numbers: `[B]` the time of each observed transition that replay still holds. Any other, and all of them for
            None, are taken for the next transitions of their stream.
    """
    device = rows.weight.device
    time = torch.tensor([UNKNOWN] * len(rows) if numbers is None else numbers, device=device)
    known = replay.holds(time)
    if bool(known.all()):
        found = replay.numbered(time)
        return replace(rows, stream=found.stream, episode=found.episode, time=time)
    where = torch.tensor(stream, device=device)
    fresh = (~known).nonzero().flatten()
    coming = _next_episodes(replay, rows[fresh], [stream[k] for k in fresh.tolist()])
    episode = torch.full_like(time, UNKNOWN)
    if bool(known.any()):
        found = replay.numbered(time[known])
        where[known], episode[known] = found.stream, found.episode
    time, episode = time.clone(), episode.index_copy(0, fresh, coming)
    time[fresh] = replay.added + torch.arange(len(fresh), device=device)
    return replace(rows, stream=where, episode=episode, time=time)


def _next_episodes(replay: Replay, rows: Transitions, stream: Sequence[int]) -> Tensor:
    """Return the episode numbers that transitions would get if they were observed now, `[B]`."""
    trial = Streams()
    trial.load_state_dict(replay.streams_state())
    ends = (rows.terminated | rows.truncated).tolist()
    episodes, _ = trial.take(replay.added, list(stream), sequence_starts(replay, rows, stream), ends)
    return torch.tensor(episodes, device=rows.weight.device)
