"""A Gaussian guide over continuous actions, parameterised relative to the policy.

    q_φ(a|s, F) ∝ π(a|s) · N(a; m_φ(s, F), 1/λ_φ(s, F))        for each dimension of the action

The exact posterior (theory, equation 2) is π(a|s) times the likelihood p(F|s, a) as a function of a, which does not
depend on the policy. So the guide adapts immediately when the policy changes, and only has to learn the dynamics; where
the future is not informative about the action, λ = 0, q = π and the intrinsic reward is exactly 0.
"""

import pyro
import pyro.distributions as dist
from torch import Tensor

from gio_pyro.guides.real import RealGuide
from gio_pyro.nn import mlp
from gio_pyro.types import Policy, Spec


class GaussianGuide(RealGuide):
    """q_φ(a|s, F), a normal over actions before the squash to the action box.

    The scale of the likelihood, 1/√λ, is at least `exp(−floor_nats)`, so the intrinsic reward of each dimension is at
    most ½ log(1 + σ² exp(2 floor_nats)) + ½ nats, with σ the scale of the policy: about `floor_nats` nats for σ = 1.
    The last ½ is reached only if the error of the mean is smaller than the bounded scale.
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
        normal = prior.base_dist
        posterior: dist.Independent = dist.Normal(*self.moments(normal.loc, normal.scale, location, raw)).to_event(1)
        return posterior
