"""A normalising-flow guide over continuous actions."""

import pyro
import pyro.distributions as dist
import torch
from pyro.distributions.transforms import ConditionalSplineAutoregressive, conditional_spline
from torch import Tensor

from gio_pyro.guides.autoregressive import masked_network
from gio_pyro.guides.real import RealGuide
from gio_pyro.nn import joined, mlp
from gio_pyro.types import Policy, Spec


class FlowGuide(RealGuide):
    """q_φ(a|s, F): `GaussianGuide` transformed by a spline flow (Durkan et al., 2019; Dolatabadi et al., 2020).

    a = m + σ T(z), z ~ N(0, 1), where m and σ are those of the policy times a normal likelihood and T is a monotone
    rational-linear spline per dimension, conditioned on state, future, the policy's location and scale, and the
    previous dimensions. Outside ±`bound` standard deviations T is the identity.
    """

    bins = 8
    bound = 4.0

    def __init__(self, spec: Spec) -> None:
        super().__init__(spec)
        size = self.size
        self.net = mlp(self.encoder.size, spec.hidden, 2 * size)
        context = self.encoder.size + 2 * size
        if size == 1:
            self.spline = conditional_spline(1, context, list(spec.hidden), self.bins, self.bound)
        else:
            network = masked_network(size, context, spec.hidden, [self.bins, self.bins, self.bins - 1, self.bins])
            self.spline = ConditionalSplineAutoregressive(size, network, count_bins=self.bins, bound=self.bound)

    def forward(self, policy: Policy, state: Tensor, future: Tensor) -> Tensor:
        """Sample "action", `[B, d]`."""
        prior, features = policy(state).base_dist, self.encoder(state, future)
        location, raw = self.net(features).chunk(2, -1)
        mean, scale = self.moments(prior.loc, prior.scale, location, raw)
        spline = self.spline.condition(joined(features, prior.loc, prior.scale.log()))
        affine = dist.transforms.AffineTransform(mean, scale, event_dim=1)
        normal = dist.Normal(torch.zeros_like(mean), torch.ones_like(scale)).to_event(1)
        with pyro.plate("batch", state.shape[0]):
            return pyro.sample("action", dist.TransformedDistribution(normal, [spline, affine]))
