"""A world model and its filter together: beliefs along an episode, and imagined steps."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from gio_pyro.beliefs.pieces import Piece
from gio_pyro.beliefs.programs import OBSERVATION, REWARD, STATE, TERMINATED, Drawn, Filter, Nodes, WorldModel
from gio_pyro.types import Seen, Transitions


class World(nn.Module):
    """A world model and its filter.

    Args:
        model: p(z, x, r|belief, a).
        filter: q(z|belief, a, x, r).
    """

    def __init__(self, model: WorldModel, filter: Filter) -> None:
        super().__init__()
        self.model, self.filter = model, filter

    @property
    def size(self) -> int:
        """D, the numbers of a belief."""
        return self.model.belief_size

    def before(self, like: Tensor) -> Tensor:
        """Return the belief before anything was seen, for a batch like `[B, ...]`: zeros `[B, D]`."""
        return torch.zeros(len(like), self.size, device=like.device)

    def begin(self, observation: Tensor) -> Tensor:
        """Return the belief at the first observation `[B, ...]` of an episode, `[B, D]`."""
        return self.filter.update(self.before(observation), None, Seen(observation))

    def update(self, belief: Tensor, action: Tensor, seen: Seen) -> Tensor:
        """Return the belief after an action `[B, ...]` and what it led to, `[B, D]`."""
        return self.filter.update(belief, action, seen)

    def along(self, piece: Piece) -> Tensor:
        """Return the beliefs at the T + 1 instants of pieces of episodes, `[B, T + 1, D]`."""
        belief, found = self.before(piece.first), list[Tensor]()
        for action, seen in piece.instants():
            belief = self.filter.update(belief, action, seen)
            if action is None:
                belief = self.opened(belief, piece)
            found.append(belief)
        return torch.stack(found, 1)

    def opened(self, belief: Tensor, piece: Piece) -> Tensor:
        """Return the beliefs at the first instant of pieces, `[B, D]`: in the midst of an episode that of the model.

        A world model may have a method `midway()`, what is believed of the state at any instant, `[D]`. Otherwise the
        belief is that of the filter, as if the episode began there.
        """
        midway = getattr(self.model.program, "midway", None)
        if midway is None:
            return belief
        return torch.where(piece.begins.unsqueeze(-1), belief, midway().to(belief))

    def imagine(self, belief: Tensor, action: Tensor | None) -> Drawn:
        """Return one step drawn from the world model, and the belief that the filter has after it."""
        nodes = self.model.run(belief, action)
        seen = seen_in(nodes)
        return Drawn(nodes[STATE]["value"], seen, self.filter.update(belief, action, seen))

    def observe(self, rows: Transitions) -> None:
        """Update input statistics with new transitions of what was seen."""
        for program in (self.model, self.filter):
            program.observed(rows)

    @property
    def programs(self) -> Sequence[WorldModel | Filter]:
        """Both programs."""
        return self.model, self.filter


def seen_in(nodes: Nodes) -> Seen:
    """Return what is seen in a run of a world model."""
    values = {name: node["value"] for name, node in nodes.items()}
    ended = values.get(TERMINATED)
    return Seen(values[OBSERVATION], values.get(REWARD), None if ended is None else ended > 0.5)
