"""A filter with a recurrent memory."""

import pyro
import pyro.distributions as dist
import torch
from gymnasium.spaces import Discrete
from torch import Tensor, nn

from gio_pyro.errors import InputError
from gio_pyro.nn import action_features, encoder, mlp, one_hot, width
from gio_pyro.types import Seen, Transitions, WorldSpec


class RecurrentFilter(nn.Module):
    """h' = GRU(h, a, x), q(z|belief, a, x) = N(f(h')): the filter of a `RecurrentStateSpace`.

    Raises:
        InputError: a world model without its sizes of memory, latent and observation.
    """

    learning_rate = 1e-3

    def __init__(self, spec: WorldSpec) -> None:
        super().__init__()
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
        self.cell = nn.GRUCell(self.encoder.size + width(spec.action_space) + 1, self.memory)
        self.net = mlp(self.memory + self.encoder.size, spec.hidden[-1:], 2 * world.latent)

    def observe(self, rows: Transitions) -> None:
        """Update the input statistics with new transitions of what was seen."""
        self.encoder.observe(rows.next_state)

    def forward(self, belief: Tensor, action: Tensor | None, seen: Seen) -> Tensor:
        """Sample "state", and return the belief after."""
        x = self.encoder(seen.observation)
        if action is None:
            done, h = torch.zeros(len(x), width(self.actions) + 1).to(x), torch.zeros(len(x), self.memory).to(x)
        else:
            features = action_features(self.actions, action)
            done, h = torch.cat([features, torch.ones_like(features[..., :1])], -1), belief[..., : self.memory]
        h = self.cell(torch.cat([x, done], -1), h)
        mean, scale = self.net(torch.cat([h, x], -1)).chunk(2, -1)
        with pyro.plate("batch", len(x)):
            pyro.sample("state", dist.Normal(mean, 0.01 + nn.functional.softplus(scale)).to_event(1))
        return torch.cat([h, self.shown(seen.observation).to(h)], -1)

    def shown(self, observation: Tensor) -> Tensor:
        """Return an observation as it is part of the belief, `[B, d]`: flat, or one-hot."""
        return one_hot(observation, self.size) if self.discrete else observation.flatten(1)
