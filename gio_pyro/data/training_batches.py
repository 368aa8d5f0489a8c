"""Batches that the programs are fitted to: replayed transitions, their futures and their weights."""

import math
from dataclasses import replace
from typing import Any

import torch
from gymnasium import Space
from gymnasium.spaces import Discrete
from torch import Tensor

from gio_pyro.data.merging import merge_by
from gio_pyro.data.replay_buffer import Replay
from gio_pyro.errors import InputError
from gio_pyro.types import UNKNOWN, Policy, ReadFuture, Sequences, Spec, Transitions
from gio_pyro.utils.memory import require_memory

COPIES = 4
"""Copies of a batch that a gradient step holds at once, 4 bytes a number."""
CANDIDATES = 16
"""Candidates drawn for each row of `unweighted_batch`, where weights differ."""


def training_batch(
    future: ReadFuture, replay: Replay, policy: Policy, states: Space[Any], size: int | None
) -> tuple[Transitions, Tensor]:
    """Return transitions `[B]` and their futures `[B, ...]` under `policy`.

    Args:
        future: F.
        replay: the transitions, which earlier policies collected.
        policy: π; the weights of the transitions correct for the earlier policies.
        states: the state space.
        size: B, drawn uniformly; None for the whole replay, with equal rows of finite environments merged.
    """
    if not future.sequential:
        batch = replay.batch(size)
        return batch, future.of(batch)
    drawn = replay.sequences(size, future.steps)
    rows = replace(drawn.steps[:, 0], weight=future.weight(policy, drawn))
    found = future.read(drawn, states)
    return _merged(rows, found) if size is None else (rows, found)


def require_room_for(rows: int, spec: Spec, device: torch.device) -> None:
    """Raise `InputError` where a batch of so many rows does not fit the device, as the whole replay may not."""
    numbers = [
        int(space.n) if isinstance(space, Discrete) else math.prod(space.shape or ())
        for space in (spec.state_space, spec.future_space)
        if space is spec.future_space or not isinstance(space, Discrete)
    ]
    what = f"{rows:,} transitions at once, as batch_size=None has it"
    require_memory(4 * COPIES * rows * sum(numbers), what, "set batch_size=256", device)


def _merged(rows: Transitions, found: Tensor) -> tuple[Transitions, Tensor]:
    if not rows.finite or rows.action.is_floating_point() or found.ndim > 1 or found.is_floating_point():
        return rows, found
    known = rows.weight > 0
    if not bool(known.any()):
        return rows[:1], found[:1]
    rows, found = rows[known], found[known]
    kind = rows.weight.dtype
    merged, first = merge_by((rows.state, rows.action, found), rows)
    return replace(merged, weight=merged.weight.to(kind), log_behaviour=merged.log_behaviour.to(kind)), found[first]


def sequence_batch(future: ReadFuture, replay: Replay, size: int | None, steps: int) -> tuple[Transitions, Tensor]:
    """Return about `size` transitions `[B]` with their futures, in sequences of `steps` successive ones.

    Rows after the end of an episode have the weight 0. For None a sequence begins at each replayed transition.
    """
    drawn = replay.sequences(None if size is None else max(1, size // steps), steps)
    rows = drawn.steps.flat()
    return replace(rows, weight=rows.weight * drawn.valid.flatten()), future.of(rows)


def newly_known(
    future: ReadFuture, replay: Replay, policy: Policy, states: Space[Any], count: int
) -> tuple[Transitions, Tensor]:
    """Return the transitions whose future became known with the last `count` ones, each once and in order.

    A future of one step is known at once. One of several steps is known when its last transition is replayed, or when
    the episode terminated earlier; transitions then have the weights of `future.weight`, without those of weight 0.
    """
    if not future.sequential:
        rows = replay.latest(count)
        return rows, future.of(rows)
    drawn = replay.sequences(count + (future.steps - 1) * replay.stride, future.steps, newest=True)
    last = torch.where(drawn.valid, drawn.steps.time, UNKNOWN).amax(1)
    drawn = Sequences(drawn.steps[last >= replay.added - count], drawn.valid[last >= replay.added - count])
    rows = replace(drawn.steps[:, 0], weight=future.weight(policy, drawn))
    known = rows.weight > 0
    return rows[known], future.read(drawn, states)[known]


def unweighted_batch(
    future: ReadFuture, replay: Replay, policy: Policy, states: Space[Any], size: int
) -> tuple[Transitions, Tensor]:
    """Return transitions of equal weight, `[size]`, and their futures; where weights differ, drawn by weight.

    Raises:
        InputError: the replay is empty, or too short for any future of so many steps.
    """
    if not future.sequential:
        batch = replay.sample(size)
        return batch, future.of(batch)
    rows, found = training_batch(future, replay, policy, states, CANDIDATES * size)
    if not bool((rows.weight > 0).any()):
        raise InputError(
            f"Expected replay to know what follows in {future.steps} steps, but it is too short; learn for longer."
        )
    drawn = torch.multinomial(rows.weight, size, replacement=True)
    return replace(rows[drawn], weight=torch.ones_like(rows.weight[drawn])), found[drawn]
