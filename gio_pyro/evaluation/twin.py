"""Two networks for Q and their slow targets.

The smaller of two independent estimates is not optimistic about its own errors (Fujimoto et al., 2018, arXiv
1802.09477); targets that follow slowly keep the bootstrap from chasing itself (Lillicrap et al., 2016, arXiv
1509.02971).
"""

import copy
from collections.abc import Sequence
from typing import Any

import torch
from gymnasium import Space
from gymnasium.spaces import Discrete
from torch import Tensor, nn

from gio_pyro.networks import Ensemble, encoder, width
from gio_pyro.programs import Choices


class QNetworks(nn.Module):
    """Two estimates of Q from features that they share.

    Discrete actions have an output each; continuous ones enter squashed, beside the features of the state.
    """

    def __init__(self, states: Space[Any], actions: Space[Any], hidden: Sequence[int]) -> None:
        super().__init__()
        self.encoder = encoder(states)
        self.discrete = isinstance(actions, Discrete)
        inputs = self.encoder.size + (0 if self.discrete else width(actions))
        self.nets = Ensemble(2, inputs, hidden, width(actions) if self.discrete else 1)

    def forward(self, state: Tensor, action: Tensor | None = None) -> Tensor:
        """Return both estimates: `[2, B, A]` of every discrete action, `[2, B]` of given continuous ones."""
        features = self.encoder(state)
        if action is not None and not self.discrete:
            features = torch.cat([features, action.tanh()], -1)
        both: Tensor = self.nets(features)
        return both if self.discrete else both.squeeze(-1)


class TwinCritic(nn.Module):
    """Q(s, a), reward units, as the smaller of two networks; `loss` is what moves them towards targets.

    Args:
        states: the state space.
        actions: the action space, Discrete or a Box of numbers before the squash.
        hidden: units of each hidden layer.
        rate: how much of the networks goes into their targets at every step.
    """

    def __init__(self, states: Space[Any], actions: Space[Any], hidden: Sequence[int], *, rate: float) -> None:
        super().__init__()
        self.online = QNetworks(states, actions, hidden)
        self.target = copy.deepcopy(self.online).requires_grad_(False)
        self.rate = rate

    def observe(self, state: Tensor) -> None:
        """Take new states `[B, ...]` into the input statistics."""
        for network in (self.online, self.target):
            network.encoder.observe(state)

    def forward(self, state: Tensor, chosen: Choices) -> Tensor:
        """Return the smaller estimate of K actions each, `[B, K]` reward units."""
        return self._least(self.online, state, chosen)

    def later(self, state: Tensor, chosen: Choices) -> Tensor:
        """Return the smaller of the slow targets' estimates, `[B, K]` reward units."""
        return self._least(self.target, state, chosen)

    def _least(self, network: QNetworks, state: Tensor, chosen: Choices) -> Tensor:
        both: Tensor = network(state) if network.discrete else network(chosen.spread(state), chosen.action)
        return both.amin(0).reshape(len(state), -1)

    def loss(self, state: Tensor, action: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
        """Return half the mean squared error of both networks, summed, and the mean Q; all arguments are `[B, ...]`."""
        both = self.online(state, action)
        q = both.gather(-1, action.expand(2, -1).unsqueeze(-1)).squeeze(-1) if self.online.discrete else both
        return 0.5 * (q - target).square().mean(-1).sum(), q.mean()

    @torch.no_grad()
    def follow(self) -> None:
        """Move the slow targets a little towards the networks."""
        torch._foreach_lerp_(list(self.target.parameters()), list(self.online.parameters()), self.rate)
