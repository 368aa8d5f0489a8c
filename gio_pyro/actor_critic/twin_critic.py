"""Twin Q networks and their target networks.

With continuous actions the policy follows the gradient of Q and would exploit its errors; the minimum of two estimates
reduces this overestimation (Fujimoto et al., 2018, arXiv 1802.09477). The minimum is also low where the two disagree,
typically where data are scarce, which discourages exploration. With finite actions, which are only compared, the mean
is used (Zhou et al., 2022, arXiv 2209.10081): with the minimum, Acrobot was never solved in 50,000 steps, with the mean
within 15,000.

Target networks that follow slowly stabilise the bootstrap (Lillicrap et al., 2016, arXiv 1509.02971), and delay it: at
rate τ a value travels one step back in about 1/τ updates, so that after n updates the critic sees n τ steps ahead. With
continuous actions a plain critic needs a small τ, and is blind to most of an episode for thousands of updates; with
layer norm, which bounds its errors away from the data (`gio_pyro.nn.layer_norm`), τ can be larger. Where each unit is
normalised over replayed and next actions together, no targets are needed (CrossQ, Bhatt et al., 2024, arXiv
1902.05605).
"""

import copy
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

import torch
from gymnasium import Space
from gymnasium.spaces import Discrete
from torch import Tensor, nn

from gio_pyro.nn import BatchRenormEnsemble, Ensemble, LayerNormEnsemble, ResidualEnsemble, encoder, width
from gio_pyro.programs import ActionSamples

CRITICS: Mapping[str, type[Ensemble]] = MappingProxyType(
    {
        "plain": Ensemble,
        "layer_norm": LayerNormEnsemble,
        "batch_renorm": BatchRenormEnsemble,
        "residual": ResidualEnsemble,
    }
)
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
        return self._shaped(self.nets(self._features(state, action)))

    def learn(self, state: Tensor, action: Tensor | None = None) -> Tensor:
        """Return the same for a batch that is learned from, which may update statistics of hidden layers."""
        return self._shaped(self.nets.learn(self._features(state, action)))

    def _features(self, state: Tensor, action: Tensor | None) -> Tensor:
        features: Tensor = self.encoder(state)
        return features if action is None or self.discrete else torch.cat([features, action.tanh()], -1)

    def _shaped(self, both: Tensor) -> Tensor:
        return both if self.discrete else both.squeeze(-1)


class OnlineCritic(nn.Module):
    """Q(s, a), reward units, from two networks: the minimum, or for finite actions the mean.

    Args:
        states: the state space.
        actions: the action space, Discrete or a Box of numbers before the squash.
        hidden: units of each hidden layer.
        kind: one of `CRITICS`.
    """

    def __init__(self, states: Space[Any], actions: Space[Any], hidden: Sequence[int], kind: str) -> None:
        super().__init__()
        self.online = QNetworks(states, actions, hidden, kind)

    def observe(self, state: Tensor) -> None:
        """Update input normalisers with new states `[B, ...]`."""
        self.online.encoder.observe(state)

    def forward(self, state: Tensor, chosen: ActionSamples) -> Tensor:
        """Return Q of K actions in each state, `[B, K]` reward units."""
        return self._estimate(self.online, state, chosen)

    def _estimate(self, network: QNetworks, state: Tensor, chosen: ActionSamples) -> Tensor:
        if network.discrete:
            return self._reduced(network(state), len(state))
        return self._reduced(network(chosen.spread(state), chosen.action), len(state))

    def taken(self, state: Tensor, action: Tensor) -> Tensor:
        """Return both estimates of taken actions, `[2, B]`, in a pass that is learned from."""
        return self._of_taken(self.online.learn(state, action), action)

    def _reduced(self, both: Tensor, states: int) -> Tensor:
        """Return one estimate `[B, K]` from two."""
        return both.mean(0) if self.online.discrete else both.amin(0).reshape(states, -1)

    def _of_taken(self, both: Tensor, action: Tensor) -> Tensor:
        """Return both estimates of the taken actions, `[2, B]`."""
        return both.gather(-1, action.expand(2, -1).unsqueeze(-1)).squeeze(-1) if self.online.discrete else both


class TwinCritic(OnlineCritic):
    """A critic that learns from target networks.

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
        super().__init__(states, actions, hidden, kind)
        self.target = copy.deepcopy(self.online).requires_grad_(False)
        self.rate = rate

    def observe(self, state: Tensor) -> None:
        """Update input normalisers with new states `[B, ...]`."""
        super().observe(state)
        self.target.encoder.observe(state)

    def later(self, state: Tensor, chosen: ActionSamples) -> Tensor:
        """Return Q of the target networks, `[B, K]` reward units."""
        return self._estimate(self.target, state, chosen)

    def here_and_later(
        self, state: Tensor, action: Tensor, next_state: Tensor, after: ActionSamples
    ) -> tuple[Tensor, Tensor]:
        """Return both estimates of taken actions, `[2, B]`, and Q of K next actions without gradient, `[B, K]`."""
        return self.taken(state, action), self.later(next_state, after)

    @torch.no_grad()
    def polyak_update(self) -> None:
        """Update the target networks by Polyak averaging."""
        torch._foreach_lerp_(list(self.target.parameters()), list(self.online.parameters()), self.rate)


class CriticWithoutTargets(OnlineCritic):
    """A critic that learns from its own estimates of the next actions, in one pass with those taken."""

    @torch.no_grad()
    def later(self, state: Tensor, chosen: ActionSamples) -> Tensor:
        """Return Q without gradient, `[B, K]` reward units."""
        return self._estimate(self.online, state, chosen)

    def here_and_later(
        self, state: Tensor, action: Tensor, next_state: Tensor, after: ActionSamples
    ) -> tuple[Tensor, Tensor]:
        """Return both estimates of taken actions, `[2, B]`, and Q of K next actions without gradient, `[B, K]`.

        Both come from one pass: the statistics of hidden layers are those of taken and next actions together.
        """
        count = len(state)
        if self.online.discrete:
            both = self.online.learn(torch.cat([state, next_state]))
        else:
            states, actions = torch.cat([state, after.spread(next_state)]), torch.cat([action, after.action])
            both = self.online.learn(states, actions)
        return self._of_taken(both[:, :count], action), self._reduced(both[:, count:].detach(), count)

    def polyak_update(self) -> None:
        """Do nothing: there are no targets."""


def twin_critic(
    states: Space[Any], actions: Space[Any], hidden: Sequence[int], *, rate: float, kind: str = "plain"
) -> TwinCritic | CriticWithoutTargets:
    """Return a critic of a kind of `CRITICS`, with targets that follow at `rate` where the kind has targets."""
    if CRITICS[kind].targets:
        return TwinCritic(states, actions, hidden, rate=rate, kind=kind)
    return CriticWithoutTargets(states, actions, hidden, kind)


def squared_error(both: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
    """Return half the mean squared error of both networks, summed, and the mean Q.

    Args:
        both: estimates of taken actions, `[2, B]`.
        target: `[B]`.
    """
    return 0.5 * (both - target).square().mean(-1).sum(), both.mean()
