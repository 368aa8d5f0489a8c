"""A world model of what a recurrent memory predicts."""

import math
from typing import Any

import pyro
import pyro.distributions as dist
import torch
from gymnasium.spaces import Box, Discrete
from torch import Tensor, nn

from gio_pyro.errors import InputError
from gio_pyro.models.real import bounded_scale
from gio_pyro.nn import Standardise, action_features, is_whole, mlp, width
from gio_pyro.types import Seen, Transitions, WorldSpec


class RecurrentStateSpace(nn.Module):
    """z ~ N(f(belief, a)), and x, r and termination given z and f: networks (Chung et al., 2015, arXiv 1506.02216).

    A belief is the memory h of a recurrent filter, a deterministic summary of what was seen, followed by the last
    observation, `[B, memory + d]`. So log p(x_t|x_<t) ≥ the bound of each step by itself, and a rollout draws x and
    passes it to the filter.

    Raises:
        InputError: observations that are neither Discrete nor vectors, such as images.
    """

    learning_rate = 1e-3
    filter = "RecurrentFilter"
    """The filter that is taken unless another is named."""
    memory = 64
    """Units of the filter's memory."""
    latent = 8
    """Dimensions of z."""
    floor_nats = 4.0
    """−log of the least scale of an observation or reward, in their deviations (see `RealModel`)."""

    def __init__(self, spec: WorldSpec) -> None:
        super().__init__()
        space = spec.observation_space
        vectors = isinstance(space, Box) and len(space.shape) == 1 and not is_whole(space)
        if not vectors and not isinstance(space, Discrete):
            raise InputError(
                f"Expected Discrete observations or a Box of real vectors for RecurrentStateSpace, but got {space}; "
                "take a world model of your own, or encode images before."
            )
        self.actions, self.space = spec.action_space, space
        self.shown = int(space.n) if isinstance(space, Discrete) else math.prod(space.shape or ())
        self.belief_size = self.memory + self.shown
        self.change = Standardise((self.shown,)) if isinstance(space, Box) else None
        self.scale = Standardise((self.shown,)) if isinstance(space, Box) else None
        self.paid = Standardise((1,))
        inputs = self.belief_size + width(spec.action_space) + 1
        units = spec.hidden[-1]
        self.net = nn.Sequential(mlp(inputs, spec.hidden[:-1], units), nn.ReLU())
        self.prior = nn.Linear(units, 2 * self.latent)
        outputs = (2 * self.shown if isinstance(space, Box) else self.shown) + 3
        self.draw = mlp(units + self.latent, (units,), outputs)

    def observe(self, rows: Transitions) -> None:
        """Update the statistics of observations, their changes and rewards with new transitions of what was seen."""
        if self.change is not None and self.scale is not None:
            self.scale.observe(rows.next_state.flatten(1))
            self.change.observe((rows.next_state - rows.state).flatten(1))
        self.paid.observe(rows.reward.unsqueeze(-1))

    def forward(self, belief: Tensor, action: Tensor | None, seen: Seen | None = None) -> None:
        """Sample "state", "observation" and, after an action, "reward" and "terminated"."""
        features = self.features(belief, action)
        with pyro.plate("batch", belief.shape[0]):
            z = pyro.sample("state", normal(self.prior(features)))
            out = self.draw(torch.cat([features.expand(*z.shape[:-1], -1), z], -1))
            pyro.sample(
                "observation", self.observation(belief, action, out), obs=None if seen is None else seen.observation
            )
            if action is None:
                return
            paid = dist.Normal(
                self.paid.mean + self.paid.deviation * out[..., -3],
                self.paid.deviation * bounded_scale(out[..., -2], self.floor_nats),
            )
            pyro.sample("reward", paid, obs=None if seen is None else seen.reward)
            ended = None if seen is None or seen.terminated is None else seen.terminated.to(out)
            pyro.sample("terminated", dist.Bernoulli(logits=out[..., -1]), obs=ended)

    def features(self, belief: Tensor, action: Tensor | None) -> Tensor:
        """Return features of the belief before and the action, `[B, units]`."""
        h, last = belief.split([self.memory, self.shown], -1)
        last = last if self.scale is None else self.scale(last)
        if action is None:
            known = torch.zeros(*belief.shape[:-1], width(self.actions) + 1).to(belief)
            return self.net(torch.cat([torch.zeros_like(belief), known], -1))  # type: ignore[no-any-return]
        done = action_features(self.actions, action)
        return self.net(torch.cat([h, last, done, torch.ones_like(done[..., :1])], -1))  # type: ignore[no-any-return]

    def observation(self, belief: Tensor, action: Tensor | None, out: Tensor) -> Any:
        """Return the distribution of the observation, a batch of B."""
        if self.scale is None or self.change is None:
            return dist.Categorical(logits=out[..., : self.shown])
        mean, raw = out[..., : 2 * self.shown].chunk(2, -1)
        if action is None:
            centre, unit = self.scale.mean, self.scale.deviation
        else:
            centre, unit = belief[..., self.memory :] + self.change.mean, self.change.deviation
        noisy = dist.Normal(centre + unit * mean, unit * bounded_scale(raw, self.floor_nats))
        return noisy.to_event(1)


def normal(raw: Tensor) -> Any:
    """Return independent normal distributions from `[B, 2 n]` numbers, with scales of at least 0.01."""
    mean, scale = raw.chunk(2, -1)
    return dist.Normal(mean, 0.01 + nn.functional.softplus(scale)).to_event(1)
