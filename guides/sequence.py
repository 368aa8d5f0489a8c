"""The guide of n-step empowerment: a posterior over action sequences."""

import pyro
from gymnasium.spaces import Box, MultiDiscrete
from torch import Tensor, nn

from gio_pyro.distributions.sequences import SequenceNetwork
from gio_pyro.errors import InputError
from gio_pyro.nn import ImagePair, PairEncoder, is_image
from gio_pyro.types import Policy, Spec


class SequenceGuide(nn.Module):
    """q_φ(a_1, …, a_n|s, s_n), autoregressive; values are integers `[B, n]`.

    It is not parameterised relative to the source: the source is trained on the guide, and the two would diverge
    together.

    Raises:
        InputError: an action space that is not a MultiDiscrete of equal parts.
    """

    def __init__(self, spec: Spec) -> None:
        super().__init__()
        parts = spec.action_space.nvec.tolist() if isinstance(spec.action_space, MultiDiscrete) else []
        if len(set(parts)) != 1:
            raise InputError(f"Expected sequences of one kind of action, a MultiDiscrete, but got {spec.action_space}.")
        self.encoder = _encoder(spec)
        self.net = SequenceNetwork(self.encoder.size, len(parts), parts[0], spec.hidden)

    def observe(self, state: Tensor, action: Tensor, future: Tensor) -> None:
        """Update the input statistics with new data."""
        self.encoder.observe(state, future)

    def forward(self, policy: Policy, state: Tensor, future: Tensor) -> Tensor:
        """Sample "action", `[B, n]` integers."""
        with pyro.plate("batch", state.shape[0]):
            return pyro.sample("action", self.net(self.encoder(state, future)))


def _encoder(spec: Spec) -> ImagePair | PairEncoder:
    space = spec.state_space
    if isinstance(space, Box) and is_image(space) and space == spec.future_space:
        return ImagePair(space, spec.hidden[0])
    return PairEncoder(space, spec.future_space, spec.baseline)
