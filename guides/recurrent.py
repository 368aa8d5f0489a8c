"""A filter with a recurrent memory."""

import math

import pyro
import pyro.distributions as dist
import torch
from gymnasium.spaces import Discrete
from torch import Tensor, nn

from gio_pyro.errors import InputError, shown
from gio_pyro.nn import Standardise, action_features, encoder, mlp, one_hot, width
from gio_pyro.types import Seen, Transitions, WorldSpec, require_world_spec


class RecurrentFilter(nn.Module):
    """h' = GRU(h, a, x, x − x⁻), q(z|belief, a, x) = N(f(h', x)): the filter of a `RecurrentStateSpace`.

    The change x − x⁻ of vectors, in its own deviations, shows velocities that are lost in the level of x.

    With a `longest` time, units begin with taking in the first observation at once, and later ones at rates of 1 to
    1/`longest` a step, spread evenly in their logarithm, so that what was seen first can still be read after many steps
    (compare Tallec and Ollivier 2018, arXiv 1804.11188). It is for worlds that ask for memory: CartPole without
    velocities did not learn with 100 (seed 100: 96 steps after 40,000).

    Raises:
        InputError: a world model without its sizes of memory, latent and observation, or a `longest` time below 1.
    """

    learning_rate = 1e-3
    longest: float | None = None
    """Steps for which the slowest units keep what they took in, before training; None for the weights of a GRU."""

    def __init__(self, spec: WorldSpec) -> None:
        super().__init__()
        require_world_spec(type(self).__name__, spec)
        world = spec.world_model
        missing = [name for name in ("memory", "latent", "shown") if not isinstance(getattr(world, name, None), int)]
        if missing:
            raise InputError(
                f"Expected a world model with {', '.join(missing)} for RecurrentFilter, but {type(world).__name__} has "
                "none; take RecurrentStateSpace, or another filter."
            )
        self.memory, self.actions, self.size = world.memory, spec.action_space, world.shown
        self.discrete = isinstance(spec.observation_space, Discrete)
        self.encoder = encoder(spec.observation_space)
        vectors = self.size > 0 and not self.discrete
        self.changes = self.size // 2 if vectors else 0
        self.change = Standardise((self.changes,)) if vectors else None
        self.cell = nn.GRUCell(self.encoder.size + self.changes + width(spec.action_space) + 1, self.memory)
        if self.longest is not None:
            self._spread_rates(self.longest)
        self.net = mlp(self.memory + self.encoder.size, spec.hidden[-1:], 2 * world.latent)

    @torch.no_grad()
    def _spread_rates(self, longest: float) -> None:
        """Let what is taken in have about unit deviation, and the rates of later steps be spread."""
        if not longest >= 1:
            raise InputError(f"Expected longest to be at least 1 step, or None, but got {shown(longest)}.")
        one_hots = (self.discrete, isinstance(self.actions, Discrete))
        sizes = (self.encoder.size + self.changes, width(self.actions))
        active = 1 + sum(1 if one_hot else size for one_hot, size in zip(one_hots, sizes, strict=True))
        _, keep, taken = self.cell.weight_ih.chunk(3)  # of the gates r and z, and of what is taken in
        taken.normal_(std=active**-0.5)
        keep[:, -1] += math.log(longest) * torch.rand(self.memory)  # of the last input, 1 at all later steps

    def observe(self, rows: Transitions) -> None:
        """Update the input statistics with new transitions of what was seen."""
        self.encoder.observe(rows.next_state)
        if self.change is not None:
            self.change.observe((rows.next_state - rows.state).flatten(1))

    def forward(self, belief: Tensor, action: Tensor | None, seen: Seen) -> Tensor:
        """Sample "state", and return the belief after."""
        x, change, done = self.encoder(seen.observation), self.since(belief, action, seen), self.done(belief, action)
        later = torch.full_like(done[..., :1], float(action is not None))
        scaled = change if action is None or self.change is None else self.change(change)
        h = self.cell(torch.cat([x, scaled, done, later], -1), belief[..., : self.memory])
        mean, scale = self.net(torch.cat([h, x], -1)).chunk(2, -1)
        with pyro.plate("batch", len(x)):
            pyro.sample("state", dist.Normal(mean, 0.01 + nn.functional.softplus(scale)).to_event(1))
        return torch.cat([h, self.shown(seen.observation).to(h), change, done], -1)

    def since(self, belief: Tensor, action: Tensor | None, seen: Seen) -> Tensor:
        """Return the change of a vector since the last observation, 0 at the first, `[B, d]`; nothing of others."""
        if action is None or self.change is None:
            return torch.zeros(len(belief), self.changes).to(belief)
        return seen.observation.flatten(1) - belief[..., self.memory : self.memory + self.changes]

    def done(self, belief: Tensor, action: Tensor | None) -> Tensor:
        """Return the action as features, zeros at the first step, `[B, d]`."""
        if action is None:
            return torch.zeros(len(belief), width(self.actions)).to(belief)
        return action_features(self.actions, action).to(belief)

    def shown(self, observation: Tensor) -> Tensor:
        """Return an observation as it is part of the belief, `[B, d]`: flat, one-hot, or nothing of an image."""
        if self.discrete:
            return one_hot(observation, self.size)
        return observation.flatten(1) if self.changes else observation.flatten(1)[:, :0]
