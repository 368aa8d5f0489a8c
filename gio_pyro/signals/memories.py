"""Episodic memories of `Reachability`: exact for finite states, with a learned comparator for others.

Both store the first state of an episode, and each later state that was out of reach of the memory when it was reached.
Transitions are identified by their numbers in replay, so each can be evaluated against the memory at its own time.
"""

from bisect import bisect_left
from collections import deque
from collections.abc import Iterable, Sequence
from typing import Any

import torch
from gymnasium import Space
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits

from gio_pyro.data.replay_buffer import Replay
from gio_pyro.nn import encoder, mlp
from gio_pyro.types import Transitions

FAR = 5
"""Pairs of states count as far from this many times the near distance on, up to `FARTHEST` times it."""
FARTHEST = 20
PERCENTILE = 0.9
"""Quantile of the similarities to the memory; more robust to single errors than the maximum."""
NOVEL = 0.5
"""A state is stored if its similarity to the memory is below this."""
PAIRS = 256
"""Pairs of states in one gradient step."""
AT_ONCE = 256
"""Batch size of states in a forward pass."""


class ExactMemory:
    """The states within `near` steps of each episode's memory along observed transitions.

    Args:
        seen: the transitions.
        near: steps within which states are within reach.
    """

    def __init__(self, seen: Replay, near: int) -> None:
        self.seen, self.near = seen, near
        self.leads: dict[int, set[int]] = {}
        self._forget()

    def _forget(self) -> None:
        self._balls: dict[int, frozenset[int]] = {}
        self._first = self._next = self.seen.oldest
        self._novel: list[bool] = []
        self._covers: dict[int, set[int]] = {}

    def add(self, rows: Transitions) -> None:
        """Add observed transitions to the graph of states."""
        for before, after in zip(rows.state.tolist(), rows.next_state.tolist(), strict=True):
            if after not in self.leads.setdefault(before, set()):
                self.leads[before].add(after)
                self._balls = {}
                self._novel, self._covers = [], {}
                self._next = self._first

    def ball(self, state: int) -> frozenset[int]:
        """Return the states that can be reached from one within `near` steps."""
        if state not in self._balls:
            found = edge = {state}
            for _ in range(self.near):
                edge = {after for before in edge for after in self.leads.get(before, ())} - found
                found = found | edge
            self._balls[state] = frozenset(found)
        return self._balls[state]

    def _walk(self, covers: dict[int, set[int]], rows: Transitions) -> list[bool]:
        """Return whether each next state is out of reach of its episode's memory, and store those that are."""
        novel = []
        columns = (rows.episode.tolist(), rows.state.tolist(), rows.next_state.tolist())
        for episode, before, after in zip(*columns, strict=True):
            cover = covers.get(episode)
            if cover is None:
                cover = covers[episode] = set(self.ball(before))
            novel.append(after not in cover)
            if novel[-1]:
                cover |= self.ball(after)
        return novel

    def _catch_up(self) -> None:
        """Process the transitions in replay that were not processed since the graph last changed."""
        if self._first != self.seen.oldest:
            self._forget()
        if self._next < self.seen.added:
            rows = self.seen.numbered(torch.arange(self._next, self.seen.added))
            self._novel += self._walk(self._covers, rows)
            self._next = self.seen.added
            self._covers = {episode: self._covers[episode] for episode in self.seen.running.values()}

    def similarity(self, rows: Transitions) -> Tensor:
        """Return 1 where the next state is within reach of the memory as of each transition, else 0, `[B]`."""
        self._catch_up()
        here, fresh = self.seen.holds(rows.time), rows.time >= self.seen.added
        novel = [True] * len(rows)
        stored = self.seen.numbered(rows.time.where(here, self.seen.oldest)).next_state if bool(here.any()) else None
        same = here if stored is None else here & (stored == rows.next_state)
        for k, (is_here, is_same) in enumerate(zip(here.tolist(), same.tolist(), strict=True)):
            if is_same:
                novel[k] = self._novel[int(rows.time[k]) - self._first]
            elif is_here:
                novel[k] = int(rows.next_state[k]) not in self._as_of(int(rows.episode[k]), int(rows.time[k]))
            elif not bool(fresh[k]):
                novel[k] = int(rows.next_state[k]) not in self._running(int(rows.stream[k]))
        coming = fresh.nonzero().flatten()
        for k, found in zip(coming.tolist(), self._trial(rows[coming]) if len(coming) else (), strict=True):
            novel[k] = found
        return 1 - torch.tensor(novel, device=rows.weight.device).to(rows.weight)

    def _as_of(self, episode: int, time: int) -> set[int]:
        """Return the states within reach of an episode's memory before a transition, from its first state on."""
        covers: dict[int, set[int]] = {}
        rows = self.seen.numbered(torch.arange(self._first, time + 1))
        mine = rows[rows.episode == episode]
        self._walk(covers, mine[:-1])
        return covers.get(episode) or set(self.ball(int(mine.state[0])))

    def _running(self, stream: int) -> set[int]:
        """Return the states within reach of the running episode of a stream; empty if there is none."""
        return self._covers.get(self.seen.running.get(stream, -1), set())

    def _trial(self, rows: Transitions) -> list[bool]:
        """Return the result of `_walk` for transitions that are not in replay yet, without storing them."""
        trial = ExactMemory(self.seen, self.near)
        trial.leads = {before: set(after) for before, after in self.leads.items()}
        trial.add(rows)
        covers: dict[int, set[int]] = {}
        if len(self.seen):
            past = self.seen.all()
            trial._walk(covers, past[torch.isin(past.episode, rows.episode)])
        return trial._walk(covers, rows)

    def state(self) -> dict[str, Any]:
        """Return the graph of observed transitions, as tensors."""
        pairs = [(before, after) for before, all_after in self.leads.items() for after in sorted(all_after)]
        return {"leads": torch.tensor(sorted(pairs), dtype=torch.int64).reshape(-1, 2)}

    def load(self, state: dict[str, Any]) -> None:
        """Restore what `state` returned."""
        self.leads = {}
        for before, after in state["leads"].tolist():
            self.leads.setdefault(before, set()).add(after)
        self._forget()


class LearnedMemory(nn.Module):
    """Comparator network of pairs of states, and the memory of each episode.

    The memory holds transition numbers; the states themselves are read from replay.

    Args:
        seen: the transitions.
        space: of states.
        hidden: layers of the network.
        capacity: maximal number of states of an episode; the oldest are dropped first.
        history: maximal number over all episodes; likewise.
        near: states at most so many steps apart are within reach.
    """

    def __init__(
        self, seen: Replay, space: Space[Any], hidden: tuple[int, ...], *, capacity: int, history: int, near: int
    ) -> None:
        super().__init__()
        self.seen, self.capacity, self.history, self.near = seen, capacity, history, near
        self.encoder = encoder(space)
        self.embed = mlp(self.encoder.size, hidden, 32)
        self.compare = mlp(32, hidden, 1)
        self._forget()

    def _forget(self) -> None:
        self._kept: dict[int, list[int]] = {}
        self._order: deque[tuple[int, int]] = deque()

    def add(self, rows: Transitions) -> None:
        """Store the states of new transitions that are out of reach of their episode's memory."""
        self._walk(rows, self._keep)

    def _keep(self, episode: int, place: int) -> None:
        """Store a place: twice a transition's number for its state, plus 1 for its next state."""
        self._kept.setdefault(episode, []).append(place)
        self._order.append((episode, place))
        while len(self._order) > self.history:
            episode, place = self._order.popleft()
            self._kept[episode].remove(place)
            if not self._kept[episode]:
                del self._kept[episode]

    def remembered(self, episode: int) -> list[int]:
        """Return the places stored for an episode, at most `capacity`."""
        return self._kept.get(episode, [])[-self.capacity :]

    def _walk(self, rows: Transitions, keep: Any, kept: dict[int, list[int]] | None = None) -> Tensor:
        """Return the similarity of each next state to its episode's memory, `[B]`; call `keep` for novel ones."""
        kept = self._kept if kept is None else kept
        found = torch.ones(len(rows), device=rows.weight.device)
        episode, time = rows.episode.tolist(), rows.time.tolist()
        for turn in _turns(episode):
            for k in turn:
                if not kept.get(episode[k]):
                    keep(episode[k], 2 * time[k])
            places = [kept[episode[k]][-self.capacity :] for k in turn]
            found[turn] = self._similar(rows.next_state[turn], places, rows)
            for k, value in zip(turn, found[turn].tolist(), strict=True):
                if value < NOVEL:
                    keep(episode[k], 2 * time[k] + 1)
        return found

    def similarity(self, rows: Transitions) -> Tensor:
        """Return the probability that each next state is within reach of the memory at its time, `[B]`; 0 if empty."""
        found = torch.zeros(len(rows), device=rows.weight.device)
        fresh = (rows.time >= self.seen.added).nonzero().flatten()
        if len(fresh):
            trial = {episode: list(places) for episode, places in self._kept.items()}
            found[fresh] = self._walk(rows[fresh], lambda e, place: trial.setdefault(e, []).append(place), trial)
        running = self.seen.running
        columns = zip(rows.stream.tolist(), rows.episode.tolist(), rows.time.tolist(), strict=True)
        past, places = [], []
        for k, (stream, episode, time) in enumerate(columns):
            if time >= self.seen.added:
                continue
            mine = self._kept.get(episode if time >= 0 else running.get(stream, -1), [])
            before = mine[: bisect_left(mine, 2 * time + 1)] if time >= 0 else mine
            if before:
                past.append(k)
                places.append(before[-self.capacity :])
        for start in range(0, len(past), AT_ONCE):
            piece = past[start : start + AT_ONCE]
            found[piece] = self._similar(rows.next_state[piece], places[start : start + AT_ONCE], rows)
        return found

    def _similar(self, state: Tensor, places: Sequence[Sequence[int]], rows: Transitions) -> Tensor:
        """Return the percentile of the similarities of states `[B]` to states in `places`, B lists of them, `[B]`."""
        distinct = sorted({place for mine in places for place in mine})
        where = {place: number for number, place in enumerate(distinct)}
        memory, there = self._states(distinct, rows)
        widest = max(len(mine) for mine in places)
        index = torch.tensor([[where[p] for p in mine] + [-1] * (widest - len(mine)) for mine in places])
        index = index.to(state.device)
        valid = (index >= 0) & there[index]
        logit = self._logit(self._features(state).unsqueeze(1), self._features(memory)[index])
        found = torch.where(valid, logit.sigmoid(), torch.nan).nanquantile(PERCENTILE, 1)
        return torch.where(valid.any(1), found, 0.0)

    def _states(self, places: Sequence[int], rows: Transitions) -> tuple[Tensor, Tensor]:
        """Return the states in places, `[M, ...]`, and whether they are available, in `rows` or in replay."""
        place = torch.tensor(places, device=rows.weight.device)
        time, after = place // 2, place % 2 == 1
        mine = {number: k for k, number in enumerate(rows.time.tolist()) if number >= self.seen.added}
        here = self.seen.holds(time)
        row = torch.tensor([mine.get(number, 0) for number in time.tolist()], device=time.device)
        shape = (-1, *[1] * (rows.state.ndim - 1))
        found = torch.where(after.reshape(shape), rows.next_state[row], rows.state[row])
        if bool(here.any()):
            old = self.seen.numbered(time)
            stored = torch.where(after.reshape(shape), old.next_state, old.state)
            found = torch.where(here.reshape(shape), stored, found)
        fresh = torch.tensor([number in mine for number in time.tolist()], device=time.device)
        return found, here | fresh

    def pairs(self) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Return pairs of states of one episode, whether they are near, and whether they are valid, `[PAIRS, ...]`."""
        number, valid = self.seen.walks(PAIRS, FARTHEST * self.near + 1)
        device = number.device
        each = torch.arange(PAIRS, device=device)
        close = each % 2 == 0
        short = torch.randint(self.near + 1, (PAIRS,), device=device)
        long = torch.randint(FAR * self.near + 1, FARTHEST * self.near + 1, (PAIRS,), device=device)
        steps = torch.where(close, short, long)
        first, second = (self.seen.numbered(number[each, k]).state for k in (torch.zeros_like(steps), steps))
        return first, second, close, valid[each, steps]

    def loss(self, first: Tensor, second: Tensor, close: Tensor, known: Tensor) -> Tensor:
        """Return the binary cross-entropy of near and far pairs, nats; 0 if no pair is valid."""
        found = self._logit(self._features(first), self._features(second))
        each = binary_cross_entropy_with_logits(found, close.to(found), reduction="none")
        return (each * known).sum() / known.sum().clamp_min(1)

    def _features(self, state: Tensor) -> Tensor:
        pieces = [self.embed(self.encoder(piece)) for piece in state.split(AT_ONCE)]
        return torch.cat(pieces)

    def likelihood(self, one: Tensor, other: Tensor) -> Tensor:
        """Return the probability that each pair of states `[B, ...]` is near, `[B]`."""
        return self._logit(self._features(one), self._features(other)).sigmoid()

    def _logit(self, one: Tensor, other: Tensor) -> Tensor:
        """Return the logit that two states are near, a function of the absolute difference of their features."""
        logit: Tensor = self.compare((one - other).abs()).squeeze(-1)
        return logit

    def state(self) -> dict[str, Any]:
        """Return the stored places, as tensors."""
        return {"kept": torch.tensor(list(self._order), dtype=torch.int64).reshape(-1, 2)}

    def load(self, state: dict[str, Any]) -> None:
        """Restore what `state` returned."""
        self._forget()
        for episode, place in state["kept"].tolist():
            self._keep(episode, place)


def _turns(episode: Iterable[int]) -> list[list[int]]:
    """Return row numbers such that each turn has one of every episode, in order."""
    count: dict[int, int] = {}
    turns: list[list[int]] = []
    for row, which in enumerate(episode):
        turn = count.get(which, 0)
        count[which] = turn + 1
        if turn == len(turns):
            turns.append([])
        turns[turn].append(row)
    return turns
