"""Base class of guides over continuous actions: features, and the product of policy and likelihood."""

import torch
from gymnasium.spaces import Box
from torch import Tensor, nn

from gio_pyro.errors import InputError
from gio_pyro.nn import PairEncoder, width
from gio_pyro.types import Spec


class RealGuide(nn.Module):
    """A guide q_φ(a|s, F) over actions of `size` dimensions before the squash, with one encoder of state and future.

    Raises:
        InputError: an action space that is not a Box.
    """

    learning_rate = 1e-3
    floor_nats = 3.0

    def __init__(self, spec: Spec) -> None:
        super().__init__()
        if not isinstance(spec.action_space, Box):
            raise InputError(f"Expected continuous actions for {type(self).__name__}, but got {spec.action_space}.")
        self.size = width(spec.action_space)
        self.encoder = PairEncoder(spec.state_space, spec.future_space, spec.baseline)

    def observe(self, state: Tensor, action: Tensor, future: Tensor) -> None:
        """Update the input statistics with new data."""
        self.encoder.observe(state, future)

    def moments(self, loc: Tensor, scale: Tensor, location: Tensor, raw: Tensor) -> tuple[Tensor, Tensor]:
        """Return mean and scale of the normalised product of the policy N(loc, scale²) and N(location, 1/λ).

        λ is exp(raw) softly bounded by `exp(2 floor_nats)`, so that its scale is at least `exp(−floor_nats)`.
        """
        bound = 2 * self.floor_nats
        precision = torch.exp(bound - torch.nn.functional.softplus(bound - raw))
        prior_precision = scale.pow(-2)
        total = prior_precision + precision
        return (prior_precision * loc + precision * location) / total, total.rsqrt()
