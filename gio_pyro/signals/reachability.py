"""What is out of reach of all that was visited in this episode."""

from collections.abc import Iterator

import torch
from gymnasium.spaces import Discrete
from torch import Tensor

from gio_pyro.errors import InputError
from gio_pyro.optimisation import Figures
from gio_pyro.signals.base import Fitted, Signal
from gio_pyro.signals.memories import ExactMemory, LearnedMemory
from gio_pyro.types import Transitions


class Reachability(Signal):
    """1 − C(s'), the chance that s' is out of reach of this episode's memory: episodic curiosity.

    The bonus α (β − C) of Savinov et al. (2019, arXiv 1810.02274) with α = β = 1. C is 1 or 0 for finite states:
    whether s' was visited. For others it is the 90th percentile, over the memory, of what a comparator says, which
    learns from pairs of states a few or many steps apart; the paper's comparator of images is a residual network, this
    one a small perceptron. The memory is fed by `observe` and begins anew where an episode ends, so read transitions
    before they are observed: afterwards they are known.

    Args:
        fitted: what is read: only its spaces.
        capacity: how many states are remembered, where they are not finite.
        history: how many states the comparator learns from.
        near: steps within which states are within reach.
        learning_rate: Adam's step size.

    Raises:
        InputError: a capacity or distance below 1, or a history shorter than the memory.
    """

    unit = "chance"
    begins: Tensor

    def __init__(
        self, fitted: Fitted, *, capacity: int = 200, history: int = 1_000, near: int = 5, learning_rate: float = 1e-3
    ) -> None:
        super().__init__(fitted)
        _check(capacity, history, near)
        space, hidden = fitted.spec.state_space, fitted.spec.hidden
        self.register_buffer("begins", torch.ones((), dtype=torch.bool))
        if isinstance(space, Discrete):
            self.memory: ExactMemory | LearnedMemory = ExactMemory(int(space.n))
            return
        self.memory = LearnedMemory(space, hidden, capacity=capacity, history=history, near=near)
        self.learn("reachability", self._loss, learning_rate)

    @torch.no_grad()
    def observe(self, rows: Transitions) -> None:
        """Remember the next states, and of a new episode its first; forget where it ends."""
        for piece, ended in _episodes(rows):
            if bool(self.begins):
                self.memory.add(piece.state[:1])
            self.memory.add(piece.next_state)
            if ended:
                self.memory.forget()
            self.begins.fill_(ended)

    def read(self, rows: Transitions) -> Tensor:
        """Return the chance that each next state is out of reach, `[B]`; 1 where nothing is remembered."""
        similarity: Tensor = self.memory(rows.next_state)
        return 1 - similarity

    def _loss(self, context: None, *rows: Tensor) -> tuple[Tensor, Figures]:
        """Return the comparator's loss on its history: replayed rows do not say how many steps apart they are."""
        assert isinstance(self.memory, LearnedMemory)
        loss = self.memory.loss()
        return loss, {"reachability_loss": loss}


def _check(capacity: int, history: int, near: int) -> None:
    if min(capacity, near) < 1 or history < capacity:
        raise InputError(
            "Expected a capacity and a near distance of at least 1 and a history of at least the capacity, but got "
            f"capacity={capacity}, near={near}, history={history}; 200, 5 and 1000 are the defaults."
        )


def _episodes(rows: Transitions) -> Iterator[tuple[Transitions, bool]]:
    """Yield the pieces of episodes in `rows`, and whether each one ended."""
    start, ends = 0, (rows.terminated | rows.truncated).nonzero().flatten().tolist()
    for end in ends:
        yield rows[start : end + 1], True
        start = end + 1
    if start < len(rows):
        yield rows[start:], False
