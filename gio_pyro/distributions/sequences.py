"""Autoregressive distributions over sequences of n actions.

    p(a_1, …, a_n|c) = Π_i p(a_i|a_1, …, a_{i−1}, c)

The actions before the i-th are represented by the sum of their embeddings, so that scoring and sampling a sequence both
take time linear in n.
"""

from collections.abc import Sequence
from itertools import accumulate
from typing import Any

import pyro.distributions as dist
import torch
from torch import Tensor, nn
from torch.distributions import constraints
from torch.nn.functional import embedding


class SequenceNetwork(nn.Module):
    """Logits of each action of a sequence, given a context and the previous actions; uniform at initialisation.

    Args:
        context: size of the context vector.
        length: n, actions per sequence.
        count: A, the number of values of an action.
        hidden: number of hidden layers is its length, at least 1; all have as many units as the first.
    """

    def __init__(self, context: int, length: int, count: int, hidden: Sequence[int]) -> None:
        super().__init__()
        self.length, self.count = length, count
        units = hidden[0]
        self.given = nn.Linear(context, units)
        self.place = nn.Parameter(torch.zeros(length, units))
        self.taken = nn.Parameter(torch.randn(length, count, units) / units**0.5)
        between = [nn.Linear(units, units) for _ in hidden]
        self.between = nn.ModuleList(between)
        self.out = nn.Linear(units, count)
        with torch.no_grad():
            for layer in between:
                layer.weight += torch.eye(units)  # a residual layer as one matrix
        nn.init.zeros_(self.out.weight)
        nn.init.zeros_(self.out.bias)

    def forward(self, context: Tensor) -> "ActionSequences":
        """Return a batch of distributions, given contexts `[B, context]`."""
        return ActionSequences(self, self.given(context))

    def logits(self, memory: Tensor) -> Tensor:
        """Return logits `[..., A]` from the representation of context and previous actions, `[..., hidden]`."""
        x = memory.relu()
        for layer in self.between:
            x = layer(x).relu()
        logits: Tensor = self.out(x)
        return logits


class ActionSequences(dist.TorchDistribution):
    """A batch of B distributions over sequences of n actions; values are integers `[..., B, n]`."""

    arg_constraints = {}  # noqa: RUF012 - torch's own name for it
    support = constraints.independent(constraints.nonnegative_integer, 1)
    has_enumerate_support = False

    def __init__(self, network: SequenceNetwork, context: Tensor) -> None:
        self.network, self.context = network, context
        super().__init__(context.shape[:-1], torch.Size([network.length]), validate_args=False)

    def expand(self, batch_shape: Any, _instance: Any = None) -> "ActionSequences":
        """Return the distributions expanded to a larger batch."""
        return ActionSequences(self.network, self.context.expand(*batch_shape, self.context.shape[-1]))

    def log_probs(self, value: Tensor) -> Tensor:
        """Return log p of each action of sequences `[..., B, n]` given the previous ones, `[..., B, n]` nats."""
        net = self.network
        which = value + net.count * torch.arange(net.length, device=value.device)
        added = embedding(which, net.taken.flatten(0, 1))  # unlike indexing, its gradient is deterministic
        before = accumulate(added.unbind(-2)[:-1], initial=self.context.expand(added[..., 0, :].shape))
        logits = net.logits(torch.stack(list(before), -2) + net.place)
        return torch.log_softmax(logits, -1).gather(-1, value.unsqueeze(-1)).squeeze(-1)

    def log_prob(self, value: Tensor) -> Tensor:
        """Return log p of sequences `[..., B, n]`, `[..., B]` nats."""
        return self.log_probs(value).sum(-1)

    @torch.no_grad()
    def sample(self, sample_shape: Any = torch.Size()) -> Tensor:  # noqa: B008 - torch's own signature
        """Return draws `[*sample_shape, B, n]`."""
        net = self.network
        memory = self.context.expand(self._extended_shape(sample_shape)[:-1] + self.context.shape[-1:])
        actions = []
        for place in range(net.length):
            logits = net.logits(memory + net.place[place])
            actions.append(dist.Categorical(logits=logits).sample())
            memory = memory + net.taken[place, actions[-1]]
        return torch.stack(actions, -1)
