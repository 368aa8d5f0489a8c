"""Learning progress of regions of the state space."""

from typing import Any

import torch
from gymnasium import Space
from gymnasium.spaces import Discrete
from torch import Tensor, nn

from gio_pyro.nn import VectorEncoder
from gio_pyro.nn.gradient_step import Figures
from gio_pyro.signals.base import Fitted
from gio_pyro.signals.learning_progress import LearningProgress
from gio_pyro.types import Transitions
from gio_pyro.utils.checks import whole

MOST_REGIONS = 2**16
RECENT = 0.1
"""Share of a region's progress that one batch replaces."""


class RegionalProgress(LearningProgress):
    """The mean learning progress in the region of s', nats: agents go where models improve, not where one point did.

    Regions are states of finite worlds; otherwise cells around `regions` prototypes, which follow the visited states
    (MacQueen, 1967); Deep ICAC has a growing network of them (Hafez et al., 2019, arXiv 1810.11388). Progress is
    log p_new − log p_old of replayed transitions, so that noise, which both models suffer from, adds none.

    Args:
        fitted: spaces, future and programs of the agent.
        regions: number of prototypes, where states are not finite.
        rate: of the moving average that is the old model (see `LearningProgress`).

    Raises:
        InputError: a number out of range, or a future of several steps.
    """

    progress: Tensor

    def __init__(self, fitted: Fitted, *, regions: int = 32, rate: float = 0.9995) -> None:
        super().__init__(fitted, rate=rate)
        space = fitted.spec.state_space
        regions = whole("regions", regions, 1, MOST_REGIONS)
        self.regions = _regions(space, regions)
        self.register_buffer("progress", torch.zeros(self.regions.count))

    def observe(self, rows: Transitions) -> None:
        """Let the prototypes follow new states."""
        self.regions.observe(rows.next_state)

    @torch.no_grad()
    def update(self, rows: Transitions) -> Figures:
        """Update the old model, and the progress of each region with the replayed `rows` in it."""
        super().update(rows)
        region, gained = self.regions(rows.next_state), super().read(rows)
        zero = torch.zeros_like(self.progress)
        weight = zero.index_add(0, region, rows.weight.to(zero))
        mean = zero.index_add(0, region, (rows.weight * gained).to(zero)) / weight.clamp_min(1e-12)
        self.progress.lerp_(torch.where(weight > 0, mean, self.progress), RECENT)
        return {}

    def read(self, rows: Transitions) -> Tensor:
        """Return the progress of the region of each next state, `[B]` nats."""
        return self.progress[self.regions(rows.next_state)]


def _regions(space: Space[Any], count: int) -> "States | Prototypes":
    return States(int(space.n)) if isinstance(space, Discrete) else Prototypes(space, count)


class States(nn.Module):
    """Each state of a finite world is a region.

    Args:
        count: S.
    """

    def __init__(self, count: int) -> None:
        super().__init__()
        self.count = count

    def observe(self, state: Tensor) -> None:
        """Do nothing: states stay where they are."""

    def forward(self, state: Tensor) -> Tensor:
        """Return the region of each state, `[B]`."""
        return state


class Prototypes(nn.Module):
    """Cells around prototypes, each of them the mean of the states that were nearest to it when they were visited.

    Args:
        space: of states.
        count: number of prototypes; the first states are theirs.
    """

    place: Tensor
    visits: Tensor

    def __init__(self, space: Any, count: int) -> None:
        super().__init__()
        self.count = count
        self.numbers = VectorEncoder(space)
        self.register_buffer("place", torch.zeros(count, self.numbers.size))
        self.register_buffer("visits", torch.zeros(count))

    @torch.no_grad()
    def observe(self, state: Tensor) -> None:
        """Move the nearest prototype towards each state `[B, ...]`, one after the other."""
        self.numbers.observe(state)
        for x in state.flatten(1).to(self.place):
            empty = self.visits == 0
            nearest = int(empty.int().argmax()) if bool(empty.any()) else int(self._distance(x[None]).argmin())
            self.visits[nearest] += 1
            self.place[nearest] += (x - self.place[nearest]) / self.visits[nearest]

    def forward(self, state: Tensor) -> Tensor:
        """Return the nearest prototype that was visited, for each state, `[B]`."""
        far = self._distance(state.flatten(1).to(self.place))
        return far.masked_fill((self.visits == 0) & bool(self.visits.any()), torch.inf).argmin(-1)

    def _distance(self, x: Tensor) -> Tensor:
        """Return the squared distances to all prototypes in standard deviations, `[B, count]`."""
        deviation = self.numbers.scale.deviation
        return torch.cdist(x / deviation, self.place / deviation)
