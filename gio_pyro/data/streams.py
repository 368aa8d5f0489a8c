"""Streams and episodes of transitions that N environments interleave."""

from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor


class Streams:
    """Numbers episodes in the order in which they begin, over all streams, and links successive transitions.

    The state is kept on the host, so that nothing waits for the device; the table from episodes to streams is on the
    device as well.

    Attributes:
        first: the number of the oldest episode that is kept.
        running: for each stream whose episode has not ended, the numbers of its last transition and of its episode.
    """

    def __init__(self) -> None:
        self.first = 0
        self.running: dict[int, tuple[int, int]] = {}
        self._of: list[int] = []
        self._table: Tensor | None = None
        self._written = 0

    def __len__(self) -> int:
        return len(self._of)

    def take(
        self, number: int, stream: Sequence[int], begins: Sequence[int], ends: Sequence[bool]
    ) -> tuple[list[int], list[tuple[int, int]]]:
        """Add transitions; return the episode of each, and pairs of numbers of successive transitions.

        Args:
            number: the number of the first transition.
            stream: `[B]` the index of the environment of each.
            begins: `[B]` whether each does not continue its stream, although the episode before it did not end.
            ends: `[B]` whether the episode ended with each.
        """
        episodes, links = [], []
        for row, (which, begun, ended) in enumerate(zip(stream, begins, ends, strict=True), start=number):
            last, episode = self.running.pop(which, (None, 0))
            if last is None or begun:
                episode = self._begin(which)
            else:
                links.append((last, row))
            episodes.append(episode)
            if not ended:
                self.running[which] = row, episode
        return episodes, links

    def _begin(self, stream: int) -> int:
        self._of.append(stream)
        return self.first + len(self._of) - 1

    def of(self, episode: Tensor) -> Tensor:
        """Return the stream of each episode, integers on its device."""
        if self._table is None or len(self._table) < len(self._of):
            self._table, self._written = torch.zeros(2 * len(self._of), dtype=torch.int32, device=episode.device), 0
        if new := self._of[self._written :]:
            self._table[self._written : len(self._of)] = torch.tensor(new, dtype=torch.int32).to(self._table.device)
            self._written = len(self._of)
        return self._table[episode - self.first].long()

    def forget(self, before: int) -> None:
        """Drop the episodes before the number `before`."""
        del self._of[: before - self.first]
        self.first, self._table = before, None

    def state_dict(self, first: int) -> dict[str, Any]:
        """Return the state from the episode `first` on, as tensors and plain values."""
        return {
            "first": first,
            "streams": torch.tensor(self._of[first - self.first :], dtype=torch.int32),
            "running": {str(stream): list(numbers) for stream, numbers in self.running.items()},
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Restore what `state_dict` returned."""
        self.first, self._of, self._table = int(state["first"]), state["streams"].tolist(), None
        self.running = {int(stream): (row, episode) for stream, (row, episode) in state["running"].items()}
