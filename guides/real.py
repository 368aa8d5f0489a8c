"""What guides over continuous actions share: what they see, and how a likelihood meets the policy."""

import torch
from gymnasium.spaces import Box
from torch import Tensor, nn

from gio_pyro.errors import InputError
from gio_pyro.nn import PairEncoder, width
from gio_pyro.types import Spec


class RealGuide(nn.Module):
    """A guide q_φ(a|s, F) over `size` numbers before the squash, which reads state and future through one encoder.

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
        """Take new data into the statistics of the inputs."""
        self.encoder.observe(state, future)

    def moments(self, loc: Tensor, scale: Tensor, location: Tensor, raw: Tensor) -> tuple[Tensor, Tensor]:
        """Return mean and scale of the policy's N(loc, scale²) times N(location, 1/λ), normalised.

        λ is exp(raw) bent so that it stays below `exp(2 floor_nats)`: a scale of at least `exp(−floor_nats)`.
        """
        most = 2 * self.floor_nats
        precision = torch.exp(most - torch.nn.functional.softplus(most - raw))
        own = scale.pow(-2)
        total = own + precision
        return (own * loc + precision * location) / total, total.rsqrt()
