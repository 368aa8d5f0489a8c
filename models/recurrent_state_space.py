"""A world model of what a recurrent memory predicts."""

from typing import Any

import pyro
import pyro.distributions as dist
import torch
from torch import Tensor, nn

from gio_pyro.models.observed import emission, in_belief
from gio_pyro.models.real import bounded_scale
from gio_pyro.nn import Standardise, action_features, mlp, width
from gio_pyro.types import Seen, Transitions, WorldSpec, require_world_spec

LEAST_SCALE = 0.01
"""Least scale of the latent state."""


class RecurrentStateSpace(nn.Module):
    """z ~ N(f(belief, a)), and x, r and termination given z and f: networks (Chung et al., 2015, arXiv 1506.02216).

    A belief is the memory h of a recurrent filter, a deterministic summary of what was seen, followed by the last
    observation (not of images), the change of vectors since the one before, and the last action, `[B, memory + d]`. So
    log p(x_t|x_<t) is bounded at each step by itself, and a rollout draws x and passes it to the filter. The last step
    is there as it stands, since it means the same to the policy for ever, while the memory moves as it learns.

    Raises:
        InputError: observations that are neither Discrete nor a Box.
    """

    learning_rate = 1e-3
    filter = "RecurrentFilter"
    """The filter that is taken unless another is named."""
    memory = 64
    """Units of the filter's memory."""
    latent = 8
    """Dimensions of z."""
    rewards = True
    """Whether the site "reward" is modelled."""
    floor_nats = 4.0
    """−log of the least scale of an observation or a reward, in their deviations (see `RealModel`)."""

    def __init__(self, spec: WorldSpec) -> None:
        super().__init__()
        require_world_spec(type(self).__name__, spec)
        self.actions, units = spec.action_space, spec.hidden[-1]
        self.shown = in_belief(spec.observation_space)
        self.belief_size = self.memory + self.shown + width(spec.action_space)
        self.emission = emission(spec.observation_space, units + self.latent, units, self.floor_nats)
        self.paid = Standardise((1,))
        inputs = self.belief_size + width(spec.action_space) + 1
        self.net = nn.Sequential(mlp(inputs, spec.hidden[:-1], units), nn.ReLU())
        self.prior = nn.Linear(units, 2 * self.latent)
        self.outcome = mlp(units + self.latent, (units,), 3)

    def observe(self, rows: Transitions) -> None:
        """Update the statistics of observations and rewards with new transitions of what was seen."""
        self.emission.observe(rows)
        self.paid.observe(rows.reward.unsqueeze(-1))

    def forward(self, belief: Tensor, action: Tensor | None, seen: Seen | None = None) -> None:
        """Sample "state", "observation" and, after an action, "reward" and "terminated"."""
        features = self.features(belief, action)
        last = None if action is None else belief[..., self.memory : self.memory + self.shown]
        with pyro.plate("batch", belief.shape[0]):
            z = pyro.sample("state", normal(self.prior(features)))
            x = torch.cat([features.expand(*z.shape[:-1], -1), z], -1)
            pyro.sample("observation", self.emission(x, last), obs=None if seen is None else seen.observation)
            if action is None:
                return
            mean, raw, logit = self.outcome(x).unbind(-1)
            if self.rewards:
                pyro.sample("reward", self.reward(mean, raw), obs=None if seen is None else seen.reward)
            ended = None if seen is None or seen.terminated is None else seen.terminated.to(logit)
            pyro.sample("terminated", dist.Bernoulli(logits=logit), obs=ended)

    def features(self, belief: Tensor, action: Tensor | None) -> Tensor:
        """Return features of the belief before and the action, `[B, units]`."""
        if action is None:
            nothing = torch.zeros(*belief.shape[:-1], self.belief_size + width(self.actions) + 1).to(belief)
            return self.net(nothing)  # type: ignore[no-any-return]
        done = action_features(self.actions, action)
        h, last, before = belief.split([self.memory, self.shown, done.shape[-1]], -1)
        known = torch.cat([h, self.emission.scaled(last), before, done, torch.ones_like(done[..., :1])], -1)
        return self.net(known)  # type: ignore[no-any-return]

    def reward(self, mean: Tensor, raw: Tensor) -> Any:
        """Return the distribution of the reward, a batch of B."""
        unit = self.paid.deviation
        return dist.Normal(self.paid.mean + unit * mean, unit * bounded_scale(raw, self.floor_nats))


def normal(raw: Tensor) -> Any:
    """Return independent normal distributions from `[B, 2 n]` numbers."""
    mean, scale = raw.chunk(2, -1)
    return dist.Normal(mean, LEAST_SCALE + nn.functional.softplus(scale)).to_event(1)
