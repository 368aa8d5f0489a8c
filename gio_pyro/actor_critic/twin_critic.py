"""Twin Q networks and their target networks.

With continuous actions the policy follows the gradient of Q and would exploit its errors; the minimum of two estimates
reduces this overestimation (Fujimoto et al., 2018, arXiv 1802.09477). The minimum is also low where the two disagree,
typically where data are scarce, which discourages exploration. With finite actions, which are only compared, the mean
is used (Zhou et al., 2022, arXiv 2209.10081): with the minimum, Acrobot was never solved in 50,000 steps, with the mean
within 15,000.

Target networks that follow slowly stabilise the bootstrap (Lillicrap et al., 2016, arXiv 1509.02971), and delay it: at
rate τ a value travels one step back in about 1/τ updates, so that after n updates the critic sees n τ steps ahead. With
continuous actions a plain critic needs a small τ, and is blind to most of an episode for thousands of updates; with
layer norm, which bounds its errors away from the data (`gio_pyro.nn.layer_norm`), τ can be larger.
"""

import copy
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

import torch
from gymnasium import Space
from gymnasium.spaces import Discrete
from torch import Tensor, nn

from gio_pyro.nn import Ensemble, LayerNormEnsemble, encoder, width
from gio_pyro.programs import ActionSamples

CRITICS: Mapping[str, type[Ensemble]] = MappingProxyType({"plain": Ensemble, "layer_norm": LayerNormEnsemble})
"""The kinds of hidden layers of a critic, by the names of `Settings.critic`."""


class QNetworks(nn.Module):
    """Two Q networks with a shared encoder.

    Discrete actions have one output each; continuous actions are squashed and concatenated to the state's features.

    Args:
        states: the state space.
        actions: the action space, Discrete or a Box of numbers before the squash.
        hidden: units of each hidden layer.
        kind: one of `CRITICS`.
    """

    def __init__(self, states: Space[Any], actions: Space[Any], hidden: Sequence[int], kind: str = "plain") -> None:
        super().__init__()
        self.encoder = encoder(states)
        self.discrete = isinstance(actions, Discrete)
        inputs = self.encoder.size + (0 if self.discrete else width(actions))
        self.nets = CRITICS[kind](2, inputs, hidden, width(actions) if self.discrete else 1)

    def forward(self, state: Tensor, action: Tensor | None = None) -> Tensor:
        """Return both estimates: `[2, B, A]` of every discrete action, `[2, B]` of given continuous ones."""
        features = self.encoder(state)
        if action is not None and not self.discrete:
            features = torch.cat([features, action.tanh()], -1)
        both: Tensor = self.nets(features)
        return both if self.discrete else both.squeeze(-1)


class TwinCritic(nn.Module):
    """Q(s, a), reward units, from two networks: the minimum, or for finite actions the mean.

    Args:
        states: the state space.
        actions: the action space, Discrete or a Box of numbers before the squash.
        hidden: units of each hidden layer.
        rate: Polyak coefficient τ of the target networks.
        kind: one of `CRITICS`.
    """

    def __init__(
        self, states: Space[Any], actions: Space[Any], hidden: Sequence[int], *, rate: float, kind: str = "plain"
    ) -> None:
        super().__init__()
        self.online = QNetworks(states, actions, hidden, kind)
        self.target = copy.deepcopy(self.online).requires_grad_(False)
        self.rate = rate

    def observe(self, state: Tensor) -> None:
        """Update input normalisers with new states `[B, ...]`."""
        for network in (self.online, self.target):
            network.encoder.observe(state)

    def forward(self, state: Tensor, chosen: ActionSamples) -> Tensor:
        """Return Q of K actions in each state, `[B, K]` reward units."""
        return self._estimate(self.online, state, chosen)

    def later(self, state: Tensor, chosen: ActionSamples) -> Tensor:
        """Return Q of the target networks, `[B, K]` reward units."""
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
        """Update the target networks by Polyak averaging."""
        torch._foreach_lerp_(list(self.target.parameters()), list(self.online.parameters()), self.rate)
