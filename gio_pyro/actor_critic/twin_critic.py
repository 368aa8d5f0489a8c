"""Two networks for Q and their slow targets.

Continuous actions climb Q by its gradient, and would find its errors; the smaller of two independent estimates is not
optimistic about them (Fujimoto et al., 2018, arXiv 1802.09477). It is also lower wherever the two disagree, which is
where little was seen, and so keeps an agent from going there. Finite actions are only compared, and take the mean (Zhou
et al., 2022, arXiv 2209.10081): with the smaller one Acrobot was never swung up in 50,000 steps, with the mean within
15,000.

Targets that follow slowly keep the bootstrap from chasing itself (Lillicrap et al., 2016, arXiv 1509.02971).
"""

import copy
from collections.abc import Sequence
from typing import Any

import torch
from gymnasium import Space
from gymnasium.spaces import Discrete
from torch import Tensor, nn

from gio_pyro.nn import Ensemble, encoder, width
from gio_pyro.programs import ActionSamples


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
    """Q(s, a), reward units, of two networks: the smaller, or for finite actions the mean.

    `loss` is what moves both towards targets.

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

    def forward(self, state: Tensor, chosen: ActionSamples) -> Tensor:
        """Return the estimate of K actions each, `[B, K]` reward units."""
        return self._estimate(self.online, state, chosen)

    def later(self, state: Tensor, chosen: ActionSamples) -> Tensor:
        """Return the slow targets' estimate, `[B, K]` reward units."""
        return self._estimate(self.target, state, chosen)

    def _estimate(self, network: QNetworks, state: Tensor, chosen: ActionSamples) -> Tensor:
        if network.discrete:
            mean: Tensor = network(state).mean(0)
            return mean
        least: Tensor = network(chosen.spread(state), chosen.action).amin(0)
        return least.reshape(len(state), -1)

    def loss(self, state: Tensor, action: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
        """Return half the mean squared error of both networks, summed, and the mean Q; all arguments are `[B, ...]`."""
        both = self.online(state, action)
        q = both.gather(-1, action.expand(2, -1).unsqueeze(-1)).squeeze(-1) if self.online.discrete else both
        return 0.5 * (q - target).square().mean(-1).sum(), q.mean()

    @torch.no_grad()
    def polyak_update(self) -> None:
        """Move the slow targets a little towards the networks."""
        torch._foreach_lerp_(list(self.target.parameters()), list(self.online.parameters()), self.rate)
