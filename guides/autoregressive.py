"""Guides that say one part of an action after the other: over the numbers of a vector, or the actions of a sequence.

    q_φ(a|s, F) = Π_i q_φ(a_i | a_1, …, a_{i−1}, s, F)

A guide whose numbers are independent given the future cannot hold what the future says about their sum; this one can.
"""

import warnings
from typing import Any

import pyro
import pyro.distributions as dist
import torch
from pyro.nn import ConditionalAutoRegressiveNN
from torch import Tensor, nn
from torch.distributions import constraints

from gio_pyro.guides.categorical import tilted
from gio_pyro.guides.real import RealGuide
from gio_pyro.nn import PairEncoder, indicators, mlp
from gio_pyro.types import Policy, Spec, finite


class AutoregressiveGuide(RealGuide):
    """q_φ(a|s, F) over continuous actions, each number a normal that knows those before it.

    Each conditional is the policy's own normal times a normal likelihood, as in `GaussianGuide`, whose bound in nats
    holds for each number. One masked network (Germain et al., 2015) reads all conditionals at once; drawing takes one
    pass for each number.
    """

    def __init__(self, spec: Spec) -> None:
        super().__init__(spec)
        self.net = masked(self.size, self.encoder.size, spec.hidden, [1, 1])

    def forward(self, policy: Policy, state: Tensor, future: Tensor) -> Tensor:
        """Sample "action", `[B, d]`."""
        prior, seen = policy(state).base_dist, self.encoder(state, future)

        def conditionals(action: Tensor) -> tuple[Tensor, Tensor]:
            location, raw = self.net(action, seen.expand(*action.shape[:-1], seen.shape[-1]))
            return self.moments(prior.loc, prior.scale, location, raw)

        with pyro.plate("batch", state.shape[0]):
            return pyro.sample("action", _OneByOne(conditionals, prior.loc))


def masked(size: int, context: int, hidden: tuple[int, ...], outputs: list[int]) -> ConditionalAutoRegressiveNN:
    """Return a masked network over `size` numbers, in their own order, that also sees a context."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="ConditionalAutoRegressiveNN input_dim = 1")  # a vector of one, then
        units, order = [max(one, size) for one in hidden], torch.LongTensor(range(size))
        return ConditionalAutoRegressiveNN(size, context, units, outputs, permutation=order)


class _OneByOne(dist.TorchDistribution):
    """A batch of normals over vectors whose numbers know those before them; `conditionals` gives mean and scale."""

    arg_constraints = {}  # noqa: RUF012 - torch's own name for it
    support = constraints.real_vector
    has_rsample = True

    def __init__(self, conditionals: Any, like: Tensor) -> None:
        self.conditionals, self.like = conditionals, like
        super().__init__(like.shape[:-1], like.shape[-1:], validate_args=False)

    def expand(self, batch_shape: Any, _instance: Any = None) -> "_OneByOne":
        """Return itself: it is made for its batch."""
        if torch.Size(batch_shape) != self.batch_shape:
            raise ValueError(f"a batch of {tuple(self.batch_shape)} cannot be one of {tuple(batch_shape)}")
        return self

    def log_prob(self, value: Tensor) -> Tensor:
        """Return the log-density of each `value` `[..., B, d]`, `[..., B]` nats."""
        log_prob: Tensor = dist.Normal(*self.conditionals(value)).to_event(1).log_prob(value)
        return log_prob

    def rsample(self, sample_shape: Any = torch.Size()) -> Tensor:  # noqa: B008 - torch's own signature
        """Return draws `[*sample_shape, B, d]`, number by number."""
        shape = self._extended_shape(sample_shape)
        noise = torch.randn(shape, dtype=self.like.dtype, device=self.like.device)
        action = torch.zeros_like(noise)
        for number in range(shape[-1]):
            mean, scale = self.conditionals(action)
            now = torch.arange(shape[-1], device=noise.device) == number
            action = torch.where(now, mean + scale * noise, action)
        return action


class AutoregressiveSequenceGuide(nn.Module):
    """q_φ(a_1, …, a_n|s, F) ∝ π(a|s) Π_i exp h_i(a_i; a_1, …, a_{i−1}, s, F), for actions of several parts.

    A MultiDiscrete action, such as a sequence of n actions taken without looking, is one site over all combinations
    (`Spec.action_parts`). Here a network scores each part given those before it, so combinations that begin alike share
    what is learned. All are enumerated; an action of one part is scored by one network.

    Raises:
        InputError: an action space that is not Discrete.
    """

    learning_rate = 1e-3

    def __init__(self, spec: Spec) -> None:
        super().__init__()
        self.parts = spec.action_parts or (finite(spec.action_space, "action"),)
        self.encoder = PairEncoder(spec.state_space, spec.future_space, spec.baseline)
        before = [sum(self.parts[:number]) for number in range(len(self.parts))]
        sizes = zip(before, self.parts, strict=True)
        self.nets = nn.ModuleList(mlp(self.encoder.size + seen, spec.hidden, part) for seen, part in sizes)

    def observe(self, state: Tensor, action: Tensor, future: Tensor) -> None:
        """Take new data into the statistics of the inputs."""
        self.encoder.observe(state, future)

    def forward(self, policy: Policy, state: Tensor, future: Tensor) -> Tensor:
        """Sample "action", `[B]` integers."""
        with pyro.plate("batch", state.shape[0]):
            return pyro.sample("action", tilted(policy, state, self.scores(self.encoder(state, future))))

    def scores(self, seen: Tensor) -> Tensor:
        """Return the sum of the parts' log-probabilities of every combination, `[B, A]` nats, the last part fastest."""
        total, prefix = seen.new_zeros(len(seen), 1), seen.new_zeros(1, 0)
        for net, part in zip(self.nets, self.parts, strict=True):
            count = len(prefix)
            inputs = torch.cat([seen[:, None].expand(-1, count, -1), prefix.expand(len(seen), -1, -1)], -1)
            total = (total[..., None] + torch.log_softmax(net(inputs), -1)).flatten(1)
            own = indicators(torch.arange(part, device=seen.device), part)
            prefix = torch.cat([prefix.repeat_interleave(part, 0), own.repeat(count, 1)], -1)
        return total
