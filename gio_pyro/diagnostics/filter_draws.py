"""What a world model and its filter say of each instant of episodes, as draws.

state          z ~ q(z|belief before, a, x, r)
observation    x ~ p(x|belief before, a), before x was seen
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from gio_pyro.beliefs.pieces import Piece
from gio_pyro.beliefs.programs import OBSERVATION, STATE, Nodes
from gio_pyro.beliefs.world import World
from gio_pyro.types import Seen


@dataclass(frozen=True)
class Instants:
    """The T + 1 instants of B episodes: what was believed before each, and what was done and seen."""

    world: World
    piece: Piece
    beliefs: Tensor
    """After each instant, `[B, T + 1, D]`."""

    @classmethod
    def of(cls, world: World, piece: Piece) -> Instants:
        """Run the filter along episodes."""
        return cls(world, piece, world.along(piece))

    @property
    def counted(self) -> Tensor:
        """Which instants there are, `[B, T + 1]` booleans."""
        return self.piece.counted(0)

    @property
    def observed(self) -> Tensor:
        """What was seen at each, `[B, T + 1, ...]`."""
        return torch.cat([self.piece.first.unsqueeze(1), self.piece.observation], 1)

    def states(self, count: int) -> Tensor:
        """Return draws of the filter, `[count, B, T + 1, ...]`."""
        first, later = (
            self.world.filter.run(belief, action, seen)[0][STATE]["fn"].sample(torch.Size([count]))
            for belief, action, seen in self._parts()
        )
        return self._joined(first, later)

    def observations(self) -> Tensor:
        """Return one draw of the one-step prediction of each observation, `[B, T + 1, ...]`."""
        first, later = (self._predicted(belief, action)[OBSERVATION]["value"] for belief, action, _ in self._parts())
        return self._joined(first[None], later[None])[0]

    def _predicted(self, belief: Tensor, action: Tensor | None) -> Nodes:
        return self.world.model.run(belief, action)

    def _parts(self) -> Iterator[tuple[Tensor, Tensor | None, Seen]]:
        """Yield belief before, action and what was seen, at the first instants `[B]` and all later ones `[B · T]`."""
        action, seen = self.piece.later()
        yield self.world.before(self.piece.first), None, Seen(self.piece.first)
        yield self.beliefs[:, :-1].flatten(0, 1), action, seen

    def _joined(self, first: Tensor, later: Tensor) -> Tensor:
        """Return values `[K, B, ...]` and `[K, B · T, ...]` as `[K, B, T + 1, ...]`."""
        shape = len(first[0]), len(self.piece)
        return torch.cat([first.unsqueeze(2), later.unflatten(1, shape)], 2)
