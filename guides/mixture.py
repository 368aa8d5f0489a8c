"""A multimodal guide over continuous actions, for futures that several different actions explain."""

import pyro
from torch import Tensor

from gio_pyro.distributions.mixtures import MixtureOfNormals
from gio_pyro.guides.real import RealGuide
from gio_pyro.nn import mlp
from gio_pyro.types import Policy, Spec


class MixtureGuide(RealGuide):
    """q_φ(a|s, F) = Σ_k w_k π(a|s) N(a; m_k, 1/λ_k) / Z_k: the policy times each of K normal likelihoods.

    As in `GaussianGuide`, q = π where the future is not informative (all λ = 0), and `floor_nats` bounds the intrinsic
    reward per dimension. One network computes w, m and λ from state and future.
    """

    components = 4

    def __init__(self, spec: Spec) -> None:
        super().__init__(spec)
        self.net = mlp(self.encoder.size, spec.hidden, self.components * (1 + 2 * self.size))

    def forward(self, policy: Policy, state: Tensor, future: Tensor) -> Tensor:
        """Sample "action", `[B, d]`."""
        out = self.net(self.encoder(state, future))
        logits, numbers = out.split([self.components, 2 * self.components * self.size], -1)
        location, raw = numbers.unflatten(-1, (2, self.components, self.size)).unbind(-3)
        prior = policy(state).base_dist
        mean, scale = self.moments(prior.loc.unsqueeze(-2), prior.scale.unsqueeze(-2), location, raw)
        with pyro.plate("batch", state.shape[0]):
            return pyro.sample("action", MixtureOfNormals(mean, scale, logits))
