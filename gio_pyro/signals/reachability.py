"""Episodic curiosity: reachability of the next state from the memory of its episode."""

from typing import Any

import torch
from gymnasium.spaces import Discrete
from torch import Tensor

from gio_pyro.data.replay_buffer import Replay
from gio_pyro.errors import InputError
from gio_pyro.nn.gradient_step import Figures
from gio_pyro.signals.base import Fitted, Signal, as_fitted
from gio_pyro.signals.memories import ExactMemory, LearnedMemory
from gio_pyro.types import Transitions


class Reachability(Signal):
    """1 − C(s'), the probability that s' is more than k steps away from its episode's memory: episodic curiosity.

    The bonus α (β − C) of Savinov et al. (2019, arXiv 1810.02274) with α = β = 1, and the memory of the paper: the
    first state of an episode, and each state that was novel (C below 0.5) when it was reached. For finite states C is
    exactly 1 or 0: whether s' is within k steps of the memory along observed transitions. For others it is the 90th
    percentile, over the memory, of the output of a comparator network, trained on pairs of states of one episode at
    most k or more than 5 k steps apart. The paper's comparator is a residual network for images, this one a small MLP.

    Each transition in replay is evaluated against the memory of its own episode as it was before the transition, with
    any number of environments. A transition with an unknown `time` is evaluated as the next one of its stream.

    Args:
        fitted: spaces and replay of the agent; without a replay the signal keeps its own of 10,000 transitions.
        capacity: how many states of an episode are remembered, where they are not finite.
        history: maximal number over all episodes.
        near: k.
        learning_rate: Adam's step size.

    Raises:
        InputError: a capacity or distance below 1, or a history shorter than the memory.
    """

    unit = "chance"
    reads_programs = False
    episodic = True

    def __init__(
        self,
        fitted: Fitted,
        *,
        capacity: int = 200,
        history: int = 100_000,
        near: int = 5,
        learning_rate: float = 1e-3,
    ) -> None:
        super().__init__(as_fitted(fitted))
        _check(capacity, history, near)
        space, hidden = fitted.spec.state_space, fitted.spec.hidden
        self.seen = Replay(OWN) if fitted.replay is None else fitted.replay
        if isinstance(space, Discrete):
            self.memory: ExactMemory | LearnedMemory = ExactMemory(self.seen, near)
            return
        self.memory = LearnedMemory(self.seen, space, hidden, capacity=capacity, history=history, near=near)
        self.learn("reachability", self._loss, learning_rate)

    @torch.no_grad()
    def observe(self, rows: Transitions) -> None:
        """Add novel states, and the first state of each episode, to the memory."""
        if self.fitted.replay is None:
            rows = self.seen.add(rows, rows.stream.tolist())
        self.memory.add(rows)

    def read(self, rows: Transitions) -> Tensor:
        """Return the probability that each next state is out of reach, `[B]`; 1 for an empty memory."""
        return 1 - self.memory.similarity(rows)

    def update(self, rows: Transitions) -> Figures:
        """Take one gradient step on the comparator with pairs of states sampled from replay; `rows` are not used."""
        if not isinstance(self.memory, LearnedMemory) or self.descent is None or not len(self.seen):
            return {}
        pairs = self.memory.pairs()
        self.memory.encoder.observe(pairs[0])
        with torch.enable_grad():
            return self.descent.step(None, *pairs)

    def _loss(self, context: None, *pairs: Tensor) -> tuple[Tensor, Figures]:
        assert isinstance(self.memory, LearnedMemory)
        loss = self.memory.loss(*pairs)
        return loss, {"reachability_loss": loss}

    def get_extra_state(self) -> Any:
        """Return the state of the optimiser, of the memory, and of the signal's own replay, if any."""
        own = self.seen.state_dict() if self.fitted.replay is None else None
        return {"optimiser": super().get_extra_state(), "memory": self.memory.state(), "seen": own}

    def set_extra_state(self, state: Any) -> None:
        """Restore what `get_extra_state` returned."""
        if self.fitted.replay is None:
            self.seen.load_state_dict(state["seen"], torch.device("cpu"))
        self.memory.load(state["memory"])
        if state["optimiser"] is not None:
            super().set_extra_state(state["optimiser"])


OWN = 10_000
"""Capacity of the signal's own replay, used if the agent provides none."""


def _check(capacity: int, history: int, near: int) -> None:
    if min(capacity, near) < 1 or history < capacity:
        raise InputError(
            "Expected a capacity and a near distance of at least 1 and a history of at least the capacity, but got "
            f"capacity={capacity}, near={near}, history={history}; 200, 5 and 100000 are the defaults."
        )
