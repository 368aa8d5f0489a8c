"""Models of futures that are vectors or images of real numbers."""

import math

import pyro
import pyro.distributions as dist
import torch
from gymnasium.spaces import Box
from torch import Tensor, nn

from gio_pyro.errors import InputError
from gio_pyro.networks import Standardise, action_features, anchor_of, encoder, is_whole, mlp, width
from gio_pyro.types import Policy, Spec


class GaussianModel(nn.Module):
    """p_ψ(F|s, a) = N(mean, scale²), each number of F on its own, from one network of state and action.

    Where F is a state, the network predicts the change from s to F. It works in units of the standard deviation of
    what it predicts, which the engine tells it (`observe`). In these units the scale is at least `exp(−floor_nats)`, to
    0.003 nats: no number of F can tell more than about `floor_nats` nats about the action.

    Raises:
        InputError: a future space that is not a Box.
    """

    learning_rate = 1e-3
    floor_nats = 4.0

    def __init__(self, spec: Spec) -> None:
        super().__init__()
        future = spec.future_space
        if not isinstance(future, Box):
            raise InputError(f"Expected a Box of futures for GaussianModel, but got {future}; use a categorical model.")
        self.shape, self.anchor = future.shape, anchor_of(spec.state_space, future, spec.anchor)
        self.encoder = encoder(spec.state_space)
        self.target = Standardise(future.shape, whole=is_whole(future))
        self.actions = spec.action_space
        size = math.prod(future.shape)
        self.net = mlp(self.encoder.size + width(spec.action_space), spec.hidden, 2 * size)

    def observe(self, state: Tensor, action: Tensor, future: Tensor) -> None:
        """Take new data into the statistics of inputs and outputs."""
        self.encoder.observe(state)
        self.target.observe(future if self.anchor is None else future.float() - self.anchor(state))

    def forward(self, policy: Policy, state: Tensor, future: Tensor | None = None) -> Tensor:
        """Sample "action", and "future" `[B, ...]`."""
        with pyro.plate("batch", state.shape[0]):
            action = pyro.sample("action", policy(state))
            return pyro.sample("future", self.outcome(state, action), obs=future)

    def outcome(self, state: Tensor, action: Tensor) -> dist.Independent:
        """Return p_ψ(F|s, a), a batch of B normal distributions."""
        features = torch.cat([self.encoder(state), action_features(self.actions, action)], -1)
        mean, raw = self.net(features).reshape(len(state), 2, *self.shape).unbind(1)
        mean = self.target.mean + self.target.deviation * mean
        scale = self.target.deviation * bounded_scale(raw, self.floor_nats)
        mean = mean if self.anchor is None else mean + self.anchor(state)
        outcome: dist.Independent = dist.Normal(mean, scale).to_event(len(self.shape))
        return outcome


def bounded_scale(raw: Tensor, floor_nats: float) -> Tensor:
    """Return exp(raw) bent so that it stays above `exp(−floor_nats)`, and below e²."""
    log_scale = -floor_nats + torch.nn.functional.softplus(raw + floor_nats)
    return (2.0 - torch.nn.functional.softplus(2.0 - log_scale)).exp()
