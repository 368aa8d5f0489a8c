"""Base class of models of real-valued futures: features, standardisation of targets, and the Pyro program."""

import math
from typing import Any

import pyro
import pyro.distributions as dist
import torch
from gymnasium.spaces import Box
from torch import Tensor, nn

from gio_pyro.distributions.mixtures import MixtureOfNormals
from gio_pyro.errors import InputError
from gio_pyro.nn import Standardise, action_features, baseline_of, encoder, is_whole, joined, width
from gio_pyro.types import Policy, Spec


class RealModel(nn.Module):
    """A model of real-valued vectors or images; subclasses implement `outcome`, the distribution of F.

    The target is F less a baseline (`Spec.baseline`), such as s for the next state, standardised by the running mean
    and deviation that `observe` updates. Standardised scales are at least `exp(−floor_nats)`, to 0.003 nats, which
    bounds the information of each dimension of F about the action by about `floor_nats` nats.

    Raises:
        InputError: a future space that is not a Box.
    """

    learning_rate = 1e-3
    floor_nats = 4.0

    def __init__(self, spec: Spec) -> None:
        super().__init__()
        future, name = spec.future_space, type(self).__name__
        if not isinstance(future, Box):
            raise InputError(f"Expected a Box of futures for {name}, but got {future}; use a categorical model.")
        self.shape, self.baseline = future.shape, baseline_of(spec.state_space, future, spec.baseline)
        self.encoder = encoder(spec.state_space)
        self.target = Standardise(future.shape, whole=is_whole(future))
        self.actions = spec.action_space
        self.inputs, self.size = self.encoder.size + width(spec.action_space), math.prod(future.shape)

    def observe(self, state: Tensor, action: Tensor, future: Tensor) -> None:
        """Update the statistics of inputs and targets with new data."""
        self.encoder.observe(state)
        self.target.observe(future if self.baseline is None else future.float() - self.baseline(state))

    def forward(self, policy: Policy, state: Tensor, future: Tensor | None = None) -> Tensor:
        """Sample "action", and "future" `[B, ...]`."""
        with pyro.plate("batch", state.shape[0]):
            action = pyro.sample("action", policy(state))
            return pyro.sample("future", self.outcome(state, action), obs=future)

    def outcome(self, state: Tensor, action: Tensor) -> Any:
        """Return p_ψ(F|s, a), a batch of B distributions."""
        raise NotImplementedError

    def features(self, state: Tensor, action: Tensor) -> Tensor:
        """Return the network input of states and actions, `[..., B, inputs]`."""
        return joined(self.encoder(state), action_features(self.actions, action))

    def place(self, state: Tensor, mean: Tensor) -> Tensor:
        """Return a standardised mean `[..., B, *shape]` in the units of F, baseline added."""
        mean = self.target.mean + self.target.deviation * mean
        return mean if self.baseline is None else mean + self.baseline(state)

    def standardised(self, state: Tensor, future: Tensor) -> Tensor:
        """Return the standardised target of F `[B, *shape]`, baseline subtracted: the inverse of `place`."""
        target = future if self.baseline is None else future - self.baseline(state)
        return (target - self.target.mean) / self.target.deviation

    def normals(self, state: Tensor, mean: Tensor, raw: Tensor) -> Any:
        """Return normals of batch shape `[K, B]` for K members, from standardised `mean` and `raw` `[K, B, *shape]`."""
        return dist.Normal(self.place(state, mean), self.scale(raw)).to_event(len(self.shape))

    def scale(self, raw: Tensor) -> Tensor:
        """Return scales `[..., B, *shape]` in the units of F, bounded from below."""
        return self.target.deviation * bounded_scale(raw, self.floor_nats)

    def mixed(self, state: Tensor, mean: Tensor, raw: Tensor, logits: Tensor | None = None) -> Any:
        """Return mixtures of K normals of standardised `mean` and `raw` `[K, ..., B, *shape]`, a batch of `[..., B]`.

        `logits` `[..., B, K]` are the log weights, equal by default.
        """
        size = len(self.shape)
        location, scale = (x.movedim(0, -1 - size).flatten(-size) for x in (self.place(state, mean), self.scale(raw)))
        logits = torch.zeros(location.shape[:-1], device=state.device) if logits is None else logits
        return self.shaped(MixtureOfNormals(location, scale, logits))

    def shaped(self, flat: Any) -> Any:
        """Return a distribution over flat vectors of `size` numbers reshaped to F."""
        if len(self.shape) == 1:
            return flat
        reshape = dist.transforms.ReshapeTransform(torch.Size([self.size]), torch.Size(self.shape))
        return dist.TransformedDistribution(flat, reshape)


def bounded_scale(raw: Tensor, floor_nats: float) -> Tensor:
    """Return exp(raw) softly bounded by e² and `exp(−floor_nats)`, the latter to log(1 + e^(−2−floor)) nats."""
    log_scale = -floor_nats + torch.nn.functional.softplus(raw + floor_nats)
    return (2.0 - torch.nn.functional.softplus(2.0 - log_scale)).exp()
