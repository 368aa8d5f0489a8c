"""Features of an inverse dynamics model, and a forward model in feature space (Pathak et al., 2017)."""

import torch
from gymnasium.spaces import Discrete
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

from gio_pyro.nn import action_features, encoder, mlp, width
from gio_pyro.types import Spec, Transitions

FORWARD_SHARE = 0.2
"""β of the paper: weight of the forward loss; the inverse loss has weight 1 − β."""


class InverseFeatures(nn.Module):
    """Features φ(s), an inverse model of the action given φ(s) and φ(s'), and a forward model of φ(s').

    Args:
        spec: the spaces, and the hidden layers of all three networks.
        size: number of features.
    """

    def __init__(self, spec: Spec, size: int = 32) -> None:
        super().__init__()
        self.actions, numbers = spec.action_space, width(spec.action_space)
        self.encoder = encoder(spec.state_space)
        self.features = mlp(self.encoder.size, spec.hidden, size)
        self.inverse = mlp(2 * size, spec.hidden, numbers)
        self.ahead = mlp(size + numbers, spec.hidden, size)

    def forward(self, rows: Transitions) -> tuple[Tensor, Tensor]:
        """Return the forward and the inverse error of each transition, `[B]` each.

        The first is ½ ‖φ̂ − φ(s')‖²; the second −log p(a|φ(s), φ(s')) nats for finite actions, or the mean squared
        error of continuous ones after the squash.
        """
        before, after = (self.features(self.encoder(state)) for state in (rows.state, rows.next_state))
        action = action_features(self.actions, rows.action)
        guess = self.ahead(torch.cat([before, action], -1))
        found = self.inverse(torch.cat([before, after], -1))
        if isinstance(self.actions, Discrete):
            wrong = cross_entropy(found, rows.action, reduction="none")
        else:
            wrong = (found - action).square().mean(-1)
        return 0.5 * (guess - after).square().sum(-1), wrong

    def blend(self, forward: Tensor, inverse: Tensor) -> Tensor:
        """Return the loss of the paper without the policy's term."""
        return FORWARD_SHARE * forward + (1 - FORWARD_SHARE) * inverse
