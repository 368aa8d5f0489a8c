"""Policy networks, and their losses, whose minimum is the KL projection of theory, equation 6.

The improved policy is p*(a|s) ∝ exp(Q(s, a)/α + bonus(s, a)).

Discrete actions have p* in closed form, and the network is fitted to it: the cross-entropy E_{a~p*} −log π(a|s) has
the same minimiser as KL(π ‖ p*), and a gradient (π − p*) that does not vanish where π is nearly certain and wrong.
Continuous ones minimise KL(π ‖ p*) itself, E_{a~π} [ log π(a|s) − Q(s, a)/α − bonus(s, a) ], with its gradient carried
through the drawn action, the imagined future and the guide.
"""

from collections.abc import Sequence
from typing import Any

import pyro.distributions as dist
import torch
from gymnasium import Space
from gymnasium.spaces import Discrete
from torch import Tensor, nn

from gio_pyro.distributions.masks import ILLEGAL, legal, restricted
from gio_pyro.distributions.squash import tanh_log_det
from gio_pyro.nn import encoder, mlp, width
from gio_pyro.programs import ActionSamples
from gio_pyro.types import Allowed

LOG_SCALE = (-5.0, 2.0)
"""Bounds of the log standard deviation of a continuous policy, before the squash."""
MEAN, LEAST_LOG_SCALE = 3.0, -3.0
"""Bounds of a bounded policy: means within ±3, where tanh is 0.995, and the scale that the guides resolve."""


class CategoricalPolicy(nn.Module):
    """π(a|s) over finitely many actions, uniform at first.

    Args:
        states: the state space.
        actions: the action space.
        hidden: units of each hidden layer.
        allowed: which actions states allow; None for all.
    """

    pathwise = False
    """Whether the loss's gradient passes through the drawn actions."""

    def __init__(
        self, states: Space[Any], actions: Discrete, hidden: Sequence[int], allowed: Allowed | None = None
    ) -> None:
        super().__init__()
        self.allowed = allowed
        self.encoder = encoder(states)
        self.net = last_layer_zero(mlp(self.encoder.size, hidden, int(actions.n)))

    def forward(self, state: Tensor) -> dist.Categorical:
        """Return π(·|s), a batch of B categorical distributions."""
        allowed = None if self.allowed is None else self.allowed(state)
        return dist.Categorical(logits=restricted(self.net(self.encoder(state)), allowed))

    def loss(self, chosen: ActionSamples, q: Tensor, bonus: Tensor, temperature: float | Tensor) -> Tensor:
        """Return the mean cross-entropy to p*; `chosen` holds every action, all arguments are `[B, A]`."""
        aim = (q / temperature + bonus).detach().masked_fill(~legal(chosen.log_prob), ILLEGAL)
        best = torch.softmax(aim, -1)
        return -(best * chosen.log_prob).sum(-1).mean()

    def entropy(self, chosen: ActionSamples) -> Tensor:
        """Return the mean entropy, nats."""
        return -chosen.mean(chosen.log_prob).mean()

    def mode(self, state: Tensor) -> Tensor:
        """Return the most probable action in each state, `[B]`."""
        best: Tensor = self(state).logits.argmax(-1)
        return best


class GaussianPolicy(nn.Module):
    """π(a|s) over numbers before the squash to the action box: an independent normal for each, standard at first.

    Far from 0 the squash is flat, and below the floor of the guides' scales the information is, so that a policy that
    has gone there has no gradient to come back by; `bounded` keeps it where both still change.

    Args:
        states: the state space.
        actions: the action space.
        hidden: units of each hidden layer.
        bounded: whether means are softly bounded by `MEAN` and log scales are at least `LEAST_LOG_SCALE`.
    """

    pathwise = True

    def __init__(
        self, states: Space[Any], actions: Space[Any], hidden: Sequence[int], *, bounded: bool = False
    ) -> None:
        super().__init__()
        self.bounded = bounded
        self.encoder = encoder(states)
        self.net = last_layer_zero(mlp(self.encoder.size, hidden, 2 * width(actions)))

    def forward(self, state: Tensor) -> dist.Independent:
        """Return π(·|s), a batch of B normal distributions over d numbers."""
        mean, log_scale = self.net(self.encoder(state)).chunk(2, -1)
        if self.bounded:
            mean, log_scale = MEAN * (mean / MEAN).tanh(), log_scale.clamp_min(LEAST_LOG_SCALE)
        pi: dist.Independent = dist.Normal(mean, log_scale.clamp(*LOG_SCALE).exp()).to_event(1)
        return pi

    def loss(self, chosen: ActionSamples, q: Tensor, bonus: Tensor, temperature: float | Tensor) -> Tensor:
        """Return the mean of log π − Q/α − bonus over the drawn actions, times α; all arguments are `[B, K]`."""
        return (temperature * (chosen.log_prob - bonus) - q).mean()

    def entropy(self, chosen: ActionSamples) -> Tensor:
        """Return the mean entropy of the squashed action, nats of density over the box [−1, 1]^d."""
        flat = chosen.action.reshape(*chosen.log_prob.shape, -1)
        return -(chosen.log_prob - tanh_log_det(flat).sum(-1)).mean()

    def mode(self, state: Tensor) -> Tensor:
        """Return the mean action before the squash, `[B, d]`."""
        mean: Tensor = self(state).mean
        return mean


def last_layer_zero(net: nn.Sequential) -> nn.Sequential:
    """Return the network with its last layer set to 0, so that all its initial outputs are 0."""
    last = net[-1]
    assert isinstance(last, nn.Linear)
    nn.init.zeros_(last.weight)
    nn.init.zeros_(last.bias)
    return net


def network_policy(
    states: Space[Any],
    actions: Space[Any],
    hidden: Sequence[int],
    allowed: Allowed | None = None,
    *,
    bounded: bool = False,
) -> CategoricalPolicy | GaussianPolicy:
    """Return a policy over this kind of action; `bounded` is of continuous ones."""
    if isinstance(actions, Discrete):
        return CategoricalPolicy(states, actions, hidden, allowed)
    return GaussianPolicy(states, actions, hidden, bounded=bounded)
