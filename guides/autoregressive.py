"""Autoregressive guides: over the dimensions of an action vector, or the parts of an action.

    q_φ(a|s, F) = Π_i q_φ(a_i | a_1, …, a_{i−1}, s, F)

Unlike a guide with independent dimensions, it can represent posterior correlations, as of a future that depends on
their sum.
"""

import warnings
from typing import Any

import pyro
import pyro.distributions as dist
import torch
from pyro.nn import ConditionalAutoRegressiveNN
from torch import Tensor, nn

from gio_pyro.distributions.autoregressive import Autoregressive
from gio_pyro.guides.categorical import tilted
from gio_pyro.guides.real import RealGuide
from gio_pyro.nn import PairEncoder, mlp, one_hot
from gio_pyro.types import Policy, Spec, finite


class AutoregressiveGuide(RealGuide):
    """q_φ(a|s, F) over continuous actions, a normal for each dimension conditional on the previous ones.

    Each conditional is the policy's normal times a normal likelihood, as in `GaussianGuide`, whose bound in nats holds
    per dimension. One masked network (MADE, Germain et al., 2015) computes all conditionals at once; sampling takes one
    pass per dimension.
    """

    def __init__(self, spec: Spec) -> None:
        super().__init__(spec)
        self.net = masked_network(self.size, self.encoder.size, spec.hidden, [1, 1])

    def forward(self, policy: Policy, state: Tensor, future: Tensor) -> Tensor:
        """Sample "action", `[B, d]`."""
        prior, features = policy(state).base_dist, self.encoder(state, future)

        def conditionals(action: Tensor) -> tuple[Tensor, Tensor]:
            location, raw = self.net(action, features.expand(*action.shape[:-1], features.shape[-1]))
            return self.moments(prior.loc, prior.scale, location, raw)

        with pyro.plate("batch", state.shape[0]):
            like = prior.loc.expand(*features.shape[:-1], self.size)
            return pyro.sample("action", _AutoregressiveNormal(conditionals, like))


def masked_network(size: int, context: int, hidden: tuple[int, ...], outputs: list[int]) -> ConditionalAutoRegressiveNN:
    """Return a masked autoregressive network over `size` dimensions, in order, conditional on a context."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="ConditionalAutoRegressiveNN input_dim = 1")  # size 1 is intended
        units, order = [max(one, size) for one in hidden], torch.LongTensor(range(size))
        return ConditionalAutoRegressiveNN(size, context, units, outputs, permutation=order)


class _AutoregressiveNormal(Autoregressive):
    """A batch of autoregressive normals over vectors; `conditionals` maps values to means and scales."""

    def log_prob(self, value: Tensor) -> Tensor:
        """Return the log-density of each `value` `[..., B, d]`, `[..., B]` nats."""
        mean, scale = self.conditionals(value)
        log_prob: Tensor = dist.Normal(mean, scale).to_event(1).log_prob(value)
        return log_prob

    def rsample(self, sample_shape: Any = torch.Size()) -> Tensor:  # noqa: B008 - torch's own signature
        """Return reparameterised draws `[*sample_shape, B, d]`, dimension by dimension."""
        shape = self._extended_shape(sample_shape)
        noise = torch.randn(shape, dtype=self.like.dtype, device=self.like.device)
        return self.by_dimension(noise, lambda mean, scale: mean + scale * noise)


class AutoregressiveSequenceGuide(nn.Module):
    """q_φ(a_1, …, a_n|s, F) ∝ π(a|s) Π_i exp h_i(a_i; a_1, …, a_{i−1}, s, F), for actions of several parts.

    A MultiDiscrete action, such as an open-loop sequence of n actions, is one site over all combinations
    (`Spec.action_parts`). A network scores each part given the previous ones, so that combinations with a common prefix
    generalise. All combinations are enumerated; an action of one part is scored by one network.

    Raises:
        InputError: an action space that is not Discrete.
    """

    learning_rate = 1e-3

    def __init__(self, spec: Spec) -> None:
        super().__init__()
        self.parts = spec.action_parts or (finite(spec.action_space, "action"),)
        self.encoder = PairEncoder(spec.state_space, spec.future_space, spec.baseline)
        offsets = [sum(self.parts[:number]) for number in range(len(self.parts))]
        sizes = zip(offsets, self.parts, strict=True)
        self.nets = nn.ModuleList(mlp(self.encoder.size + previous, spec.hidden, part) for previous, part in sizes)

    def observe(self, state: Tensor, action: Tensor, future: Tensor) -> None:
        """Update the input statistics with new data."""
        self.encoder.observe(state, future)

    def forward(self, policy: Policy, state: Tensor, future: Tensor) -> Tensor:
        """Sample "action", `[B]` integers."""
        with pyro.plate("batch", state.shape[0]):
            return pyro.sample("action", tilted(policy, state, self.scores(self.encoder(state, future))))

    def scores(self, features: Tensor) -> Tensor:
        """Return the sum of the parts' log-probabilities of all combinations, `[..., B, A]` nats, the last fastest."""
        batch, features = features.shape[:-1], features.flatten(0, -2)
        total, prefix = features.new_zeros(len(features), 1), features.new_zeros(1, 0)
        for net, part in zip(self.nets, self.parts, strict=True):
            count = len(prefix)
            inputs = torch.cat([features[:, None].expand(-1, count, -1), prefix.expand(len(features), -1, -1)], -1)
            total = (total[..., None] + torch.log_softmax(net(inputs), -1)).flatten(1)
            own = one_hot(torch.arange(part, device=features.device), part)
            prefix = torch.cat([prefix.repeat_interleave(part, 0), own.repeat(count, 1)], -1)
        scores: Tensor = total.unflatten(0, batch)
        return scores
