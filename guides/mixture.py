"""A guide over continuous actions with several humps, for futures that several different actions explain."""

import pyro
from gymnasium.spaces import Box
from torch import Tensor, nn

from gio_pyro.errors import InputError
from gio_pyro.guides.gaussian import precision_of, product
from gio_pyro.mixtures import MixtureOfNormals
from gio_pyro.networks import PairEncoder, mlp, width
from gio_pyro.types import Policy, Spec


class MixtureGuide(nn.Module):
    """q_φ(a|s, F) = Σ_k w_k π(a|s) N(a; m_k, 1/λ_k) / Z_k: the policy times each of K normal likelihoods.

    As in `GaussianGuide` it is the policy where the future tells nothing (all λ = 0), and what each number is paid is
    bounded by `floor_nats` likewise. w, m and λ are read off state and future by one network.

    Raises:
        InputError: an action space that is not a Box.
    """

    learning_rate = 1e-3
    floor_nats = 3.0
    components = 4

    def __init__(self, spec: Spec) -> None:
        super().__init__()
        if not isinstance(spec.action_space, Box):
            raise InputError(f"Expected continuous actions for MixtureGuide, but got {spec.action_space}.")
        self.size = width(spec.action_space)
        self.encoder = PairEncoder(spec.state_space, spec.future_space, spec.anchor)
        self.net = mlp(self.encoder.size, spec.hidden, self.components * (1 + 2 * self.size))

    def observe(self, state: Tensor, action: Tensor, future: Tensor) -> None:
        """Take new data into the statistics of the inputs."""
        self.encoder.observe(state, future)

    def forward(self, policy: Policy, state: Tensor, future: Tensor) -> Tensor:
        """Sample "action", `[B, d]`."""
        out = self.net(self.encoder(state, future))
        logits, numbers = out.split([self.components, 2 * self.components * self.size], -1)
        location, raw = numbers.unflatten(-1, (2, self.components, self.size)).unbind(1)
        prior = policy(state).base_dist
        own = prior.loc.unsqueeze(1), prior.scale.unsqueeze(1)
        mean, scale = product(*own, location, precision_of(raw, self.floor_nats))
        with pyro.plate("batch", state.shape[0]):
            return pyro.sample("action", MixtureOfNormals(mean, scale, logits))
