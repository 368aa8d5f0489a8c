"""What models of real futures share: what they see, the units they work in, and how they run."""

import math
from typing import Any

import pyro
import pyro.distributions as dist
import torch
from gymnasium.spaces import Box
from torch import Tensor, nn

from gio_pyro.distributions.mixtures import MixtureOfNormals
from gio_pyro.errors import InputError
from gio_pyro.nn import Standardise, action_features, baseline_of, encoder, is_whole, width
from gio_pyro.types import Policy, Spec


class RealModel(nn.Module):
    """A model of futures that are vectors or images of real numbers; `outcome` says which distribution they have.

    Where F is close to something that the state tells by itself, s for the next state, the difference is predicted
    (`Spec.baseline`). A model works in units of the standard deviation of what it predicts, which the engine tells it
    (`observe`). In these units scales are at least `exp(−floor_nats)`, to 0.003 nats: no number of F can tell more than
    about `floor_nats` nats about the action.

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
        """Take new data into the statistics of inputs and outputs."""
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
        """Return what a network sees of a pair, `[B, inputs]`."""
        return torch.cat([self.encoder(state), action_features(self.actions, action)], -1)

    def place(self, state: Tensor, mean: Tensor) -> Tensor:
        """Return a mean `[..., B, *shape]` in standard deviations in the units of F, with its baseline."""
        mean = self.target.mean + self.target.deviation * mean
        return mean if self.baseline is None else mean + self.baseline(state)

    def standardised(self, state: Tensor, future: Tensor) -> Tensor:
        """Return F `[B, *shape]` in standard deviations, without its baseline: what `place` undoes."""
        change = future if self.baseline is None else future - self.baseline(state)
        return (change - self.target.mean) / self.target.deviation

    def normals(self, state: Tensor, mean: Tensor, raw: Tensor) -> Any:
        """Return a normal for each of K members and B examples, from `mean` and `raw` `[K, B, *shape]`."""
        return dist.Normal(self.place(state, mean), self.scale(raw)).to_event(len(self.shape))

    def scale(self, raw: Tensor) -> Tensor:
        """Return scales `[..., B, *shape]` in the units of F, with their floor."""
        return self.target.deviation * bounded_scale(raw, self.floor_nats)

    def mixed(self, state: Tensor, mean: Tensor, raw: Tensor, logits: Tensor | None = None) -> Any:
        """Return a mixture of K normals of `mean` and `raw` `[K, B, *shape]`, in standard deviations.

        `logits` `[B, K]` are their weights, even ones where there are none.
        """
        logits = torch.zeros(len(state), len(mean), device=state.device) if logits is None else logits
        location, scale = (x.movedim(0, 1).flatten(2) for x in (self.place(state, mean), self.scale(raw)))
        return self.shaped(MixtureOfNormals(location, scale, logits))

    def shaped(self, flat: Any) -> Any:
        """Return a distribution over vectors of `size` numbers as one over F."""
        if len(self.shape) == 1:
            return flat
        reshape = dist.transforms.ReshapeTransform(torch.Size([self.size]), torch.Size(self.shape))
        return dist.TransformedDistribution(flat, reshape)


def bounded_scale(raw: Tensor, floor_nats: float) -> Tensor:
    """Return exp(raw) bent so that it stays below e² and above `exp(−floor_nats)`, to log(1 + e^(−2−floor)) nats."""
    log_scale = -floor_nats + torch.nn.functional.softplus(raw + floor_nats)
    return (2.0 - torch.nn.functional.softplus(2.0 - log_scale)).exp()
