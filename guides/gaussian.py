"""Learned guides over continuous actions, written relative to the policy.

    q_φ(a|s, F) ∝ π(a|s) · N(a; m_φ(s, F), 1/λ_φ(s, F))        for each number of the action

The exact posterior (theory, equation 2) is π(a|s) times the likelihood p(F|s, a) as a function of a, and that does not
move when the policy does. So the guide follows a changing policy at once, and only has to learn the world; where the
future says nothing about the action, λ = 0 and q = π, and the reward is exactly 0.
"""

import pyro
import pyro.distributions as dist
from torch import Tensor

from gio_pyro.guides.real import RealGuide
from gio_pyro.nn import mlp
from gio_pyro.types import Policy, Spec


class GaussianGuide(RealGuide):
    """q_φ(a|s, F) over numbers before the squash to the action box.

    The scale of the likelihood, 1/√λ, is at least `exp(−floor_nats)`, so each number of an action is paid at most
    ½ log(1 + σ² exp(2 floor_nats)) + ½ nats, σ being the policy's own scale: about `floor_nats` nats where σ is 1, and
    the last ½ only where the mean is better than the scale may say.
    """

    def __init__(self, spec: Spec) -> None:
        super().__init__(spec)
        self.net = mlp(self.encoder.size, spec.hidden, 2 * self.size)

    def forward(self, policy: Policy, state: Tensor, future: Tensor) -> Tensor:
        """Sample "action", `[B, d]`."""
        with pyro.plate("batch", state.shape[0]):
            return pyro.sample("action", self.posterior(policy(state), state, future))

    def posterior(self, prior: dist.Independent, state: Tensor, future: Tensor) -> dist.Independent:
        """Return q(·|s, F) for a policy of independent normals, a batch of B."""
        location, raw = self.net(self.encoder(state, future)).chunk(2, -1)
        own = prior.base_dist
        posterior: dist.Independent = dist.Normal(*self.moments(own.loc, own.scale, location, raw)).to_event(1)
        return posterior
