"""What chooses actions where episodes are played: a function of what is seen, with or without a memory."""

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from gio_pyro.collection.environment_adapter import Array

Memory = Array | None
"""What is remembered of each of N episodes, `[N, M]`; None without a memory."""
Act = Callable[[Array, Array | None, Memory, Array | None], tuple[Array, Memory]]
"""From states `[N, ...]`, flags of allowed actions `[N, A]` or None, memory and which episodes begin, `[N]` booleans,
to values of the site "action" and the memory after."""


class Choosing:
    """Chooses actions in episodes that are told apart by the place where each is played.

    Args:
        act: chooses.
    """

    def __init__(self, act: Act) -> None:
        self.act = act
        self._memories: dict[int, Array] = {}

    def begin(self, place: int) -> None:
        """Forget the episode that was played in a place: another begins."""
        self._memories.pop(place, None)

    def __call__(self, states: Array, allowed: Array | None, places: Sequence[int]) -> Array:
        """Return actions for the states `[N, ...]` of the episodes in these places."""
        known = [self._memories.get(place) for place in places]
        like = next((memory for memory in known if memory is not None), None)
        memory = None if like is None else np.stack([np.zeros_like(like) if one is None else one for one in known])
        begins = np.array([one is None for one in known])
        chosen, after = self.act(states, allowed, memory, begins)
        if after is not None:
            self._memories |= dict(zip(places, after, strict=True))
        return chosen


def choosing(choose: Any) -> Choosing:
    """Return what chooses actions; a function of states and flags alone has no memory."""
    if isinstance(choose, Choosing):
        return choose
    return Choosing(lambda states, allowed, *_: (choose(states, allowed), None))
