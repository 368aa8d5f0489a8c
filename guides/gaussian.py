"""Learned guides over continuous actions, written relative to the policy.

    q_φ(a|s, F) ∝ π(a|s) · N(a; m_φ(s, F), 1/λ_φ(s, F))        for each number of the action

The exact posterior (theory, equation 2) is π(a|s) times the likelihood p(F|s, a) as a function of a, and that does not
move when the policy does. So the guide follows a changing policy at once, and only has to learn the world; where the
future says nothing about the action, λ = 0 and q = π, and the reward is exactly 0.
"""

import pyro
import pyro.distributions as dist
import torch
from gymnasium.spaces import Box
from torch import Tensor, nn

from gio_pyro.errors import InputError
from gio_pyro.networks import PairEncoder, mlp, width
from gio_pyro.types import Policy, Spec


class GaussianGuide(nn.Module):
    """q_φ(a|s, F) over numbers before the squash to the action box.

    The scale of the likelihood, 1/√λ, is at least `exp(−floor_nats)`, so each number of an action is paid at most
    ½ log(1 + σ² exp(2 floor_nats)) + ½ nats, σ being the policy's own scale: about `floor_nats` nats where σ is 1, and
    the last ½ only where the mean is better than the scale may say.

    Raises:
        InputError: an action space that is not a Box.
    """

    learning_rate = 1e-3
    floor_nats = 3.0

    def __init__(self, spec: Spec) -> None:
        super().__init__()
        if not isinstance(spec.action_space, Box):
            raise InputError(f"Expected continuous actions for GaussianGuide, but got {spec.action_space}.")
        self.encoder = PairEncoder(spec.state_space, spec.future_space, spec.anchor)
        self.net = mlp(self.encoder.size, spec.hidden, 2 * width(spec.action_space))

    def observe(self, state: Tensor, action: Tensor, future: Tensor) -> None:
        """Take new data into the statistics of the inputs."""
        self.encoder.observe(state, future)

    def forward(self, policy: Policy, state: Tensor, future: Tensor) -> Tensor:
        """Sample "action", `[B, d]`."""
        with pyro.plate("batch", state.shape[0]):
            return pyro.sample("action", self.posterior(policy(state), state, future))

    def posterior(self, prior: dist.Independent, state: Tensor, future: Tensor) -> dist.Independent:
        """Return q(·|s, F) for a policy of independent normals, a batch of B."""
        location, raw = self.net(self.encoder(state, future)).chunk(2, -1)
        own, precision = prior.base_dist, precision_of(raw, self.floor_nats)
        posterior: dist.Independent = dist.Normal(*product(own.loc, own.scale, location, precision)).to_event(1)
        return posterior


def precision_of(raw: Tensor, floor_nats: float) -> Tensor:
    """Return exp(raw) bent so that it stays below `exp(2 floor_nats)`: a scale of at least `exp(−floor_nats)`."""
    return torch.exp(2 * floor_nats - torch.nn.functional.softplus(2 * floor_nats - raw))


def product(loc: Tensor, scale: Tensor, location: Tensor, precision: Tensor) -> tuple[Tensor, Tensor]:
    """Return mean and scale of N(loc, scale²) times N(location, 1/precision), normalised."""
    own = scale.pow(-2)
    total = own + precision
    return (own * loc + precision * location) / total, total.rsqrt()
