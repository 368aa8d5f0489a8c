"""A Bayesian neural network: a posterior over the weights of the model."""

import math
from typing import Any

import pyro.distributions as dist
import torch
from pyro import poutine
from pyro.infer.autoguide import AutoNormal, init_to_sample
from pyro.nn import PyroModule, PyroSample
from torch import Tensor, nn
from torch.distributions import kl_divergence

from gio_pyro.models.real import RealModel, bounded_scale
from gio_pyro.nn import batched
from gio_pyro.types import Spec

EXAMPLES_AT_ONCE = 32
"""Per-example gradients computed at a time; each has the size of the network, once per draw."""


class BayesianModel(RealModel):
    """p_ψ(F|s, a) = E_{w~q} N(mean_w(s, a), scale²): a Bayesian neural network (Blundell et al., 2015).

    The weights w are latent sites with normal priors, and an autoguide q(w) is fitted to their posterior by maximising
    the evidence lower bound E_q log p(F|s, a, w) − KL(q(w) ‖ p(w)) / N, with N the number of observed transitions. The
    model is scored as a mixture over `components` fixed draws of w, so that scores are deterministic; the disagreement
    of the draws is the epistemic uncertainty, and the scale of each dimension of F, one parameter, is the aleatoric
    one.
    """

    seen: Tensor
    components = 8
    prior_scale = math.sqrt(2.0)
    """Prior scale of a weight before division by the root of its fan-in (He et al., 2015); that of a bias is 1."""
    first_scale = 0.02
    """Initial standard deviation of q(w)."""
    gain_step = 1.0
    """λ of `information_gain`, the fraction of a full natural-gradient step."""

    def __init__(self, spec: Spec) -> None:
        super().__init__(spec)
        sizes = [self.inputs, *spec.hidden, self.size]
        self.net = _WeightSites(sizes, self.prior_scale)
        self.raw = nn.Parameter(torch.zeros(self.shape))
        self.posterior = AutoNormal(self.net, init_loc_fn=init_to_sample, init_scale=self.first_scale)
        self.posterior(torch.zeros(1, self.inputs))
        self.register_buffer("seen", torch.ones(()))
        for name, location in self._locations().items():
            self.register_buffer(f"draw_{name}", torch.randn(self.components, *location.shape))

    def observe(self, state: Tensor, action: Tensor, future: Tensor) -> None:
        """Update input and output statistics, and the number N of observed transitions."""
        super().observe(state, action, future)
        self.seen += len(state)

    def outcome(self, state: Tensor, action: Tensor) -> Any:
        """Return p_ψ(F|s, a), a batch of B mixtures with one normal per draw of the weights."""
        mean = self.members(state, action)
        return self.mixed(state, mean, self.raw.expand_as(mean))

    def members(self, state: Tensor, action: Tensor) -> Tensor:
        """Return the standardised mean under each fixed draw of the weights, `[draws, ..., B, *shape]`."""
        weights = {
            name: location + self._scale(name) * getattr(self, f"draw_{name}")
            for name, location in self._locations().items()
        }
        x = self.features(state, action)
        rows: Tensor = self.net.batched(x.flatten(0, -2), weights)
        mean: Tensor = rows.unflatten(-1, self.shape).unflatten(1, x.shape[:-1])
        return mean

    def evidence(self, state: Tensor, action: Tensor, future: Tensor) -> Tensor:
        """Return a one-sample estimate of the evidence lower bound of each example, `[B]` nats."""
        x = self.features(state, action)
        with poutine.block():  # one draw w ~ q(w), and the network run with it
            draw: Any = poutine.trace(self.posterior).get_trace(x)
            run: Any = poutine.trace(poutine.replay(self.net, draw)).get_trace(x)
        mean = run.nodes["_RETURN"]["value"].unflatten(-1, self.shape)
        likelihood = dist.Normal(self.place(state, mean), self.scale(self.raw)).to_event(len(self.shape))
        kl = torch.zeros_like(self.seen)  # KL(q(w) ‖ p(w))
        for name in self.net.sites:
            kl = kl + kl_divergence(draw.nodes[f"{name}_unconstrained"]["fn"], run.nodes[name]["fn"])
        log_prob: Tensor = likelihood.log_prob(future)
        return log_prob - kl / self.seen

    def beliefs(self, state: Tensor, action: Tensor) -> Any:
        """Return the prediction under each fixed draw of the weights, normals of batch shape `[draws, B]`."""
        mean = self.members(state, action)
        return self.normals(state, mean, self.raw.expand_as(mean))

    def sample_beliefs(self, state: Tensor, action: Tensor, draws: int) -> Any:
        """Return the prediction under each of `draws` fresh draws of the weights, batch shape `[draws, B]`."""
        weights = {
            name: location + self._scale(name) * torch.randn(draws, *location.shape, device=location.device)
            for name, location in self._locations().items()
        }
        mean = self.net.batched(self.features(state, action), weights).unflatten(-1, self.shape)
        return self.normals(state, mean, self.raw.expand_as(mean))

    def information_gain(self, state: Tensor, action: Tensor, future: Tensor) -> Tensor:
        """Return KL(q_new(w) ‖ q(w)) to second order, `[B]` nats: ½ λ² gᵀ H⁻¹ g (Houthooft et al., 2016, VIME).

        g is the gradient of E_q log p(F|s, a, w) of one example with respect to the means and scales of q, and H the
        Fisher information of q, 1/σ² for a mean and 2/σ² for a scale, so that λ H⁻¹ g is a natural-gradient step. The
        expectation is over the fixed draws and their mirror images. The approximation is accurate for small gains; for
        an example as informative as all previous ones it is several times too large.
        """
        location, scale = ({k: v.detach() for k, v in x.items()} for x in (self._locations(), self._scales()))
        x, target = self.features(state, action).detach(), self.standardised(state, future).flatten(1)
        gradient = torch.func.vmap(
            torch.func.grad(self._expected_log_prob, argnums=(0, 1)),
            in_dims=(None, None, 0, 0),
            chunk_size=EXAMPLES_AT_ONCE,
        )
        by_location, by_scale = gradient(location, scale, x, target)
        # gᵀ H⁻¹ g, summed over the parameters of q
        squares = [scale[k].square() * (by_location[k].square() + 0.5 * by_scale[k].square()) for k in scale]
        gain: Tensor = torch.stack([square.flatten(1).sum(-1) for square in squares]).sum(0)
        return 0.5 * self.gain_step**2 * gain

    def _expected_log_prob(
        self, location: dict[str, Tensor], scale: dict[str, Tensor], x: Tensor, target: Tensor
    ) -> Tensor:
        """Return E_q log p(F|s, a, w) up to a constant, of one example: features `[inputs]` and `target` `[size]`."""
        draws = {}
        for name in location:
            half = scale[name] * getattr(self, f"draw_{name}")
            draws[name] = location[name] + torch.cat([half, -half])
        noise = bounded_scale(self.raw.detach().flatten(), self.floor_nats)
        error = (target - self.net.batched(x.unsqueeze(0), draws)) / noise
        return -0.5 * error.square().sum((-2, -1)).mean()

    def _scales(self) -> dict[str, Tensor]:
        return {name: self._scale(name) for name in self.net.sites}

    def _locations(self) -> dict[str, Tensor]:
        return {name: getattr(self.posterior.locs, name) for name in self.net.sites}

    def _scale(self, name: str) -> Tensor:
        scale: Tensor = getattr(self.posterior.scales, name)
        return scale


class _WeightSites(PyroModule):
    """A multilayer perceptron whose weights are sample sites with normal priors."""

    def __init__(self, sizes: list[int], prior_scale: float) -> None:
        super().__init__()
        self.depth = len(sizes) - 1
        for layer in range(self.depth):
            units, outputs = sizes[layer], sizes[layer + 1]
            scale = prior_scale / math.sqrt(units)
            setattr(self, f"weight{layer}", PyroSample(dist.Normal(0.0, scale).expand([units, outputs]).to_event(2)))
            setattr(self, f"bias{layer}", PyroSample(dist.Normal(0.0, 1.0).expand([outputs]).to_event(1)))

    @property
    def sites(self) -> list[str]:
        """The names of the sites."""
        return [f"{kind}{layer}" for layer in range(self.depth) for kind in ("weight", "bias")]

    def forward(self, x: Tensor) -> Tensor:
        """Return the outputs `[B, outputs]` for one draw of the weights."""
        weights = {name: getattr(self, name).unsqueeze(0) for name in self.sites}
        return self.batched(x, weights).squeeze(0)

    def batched(self, x: Tensor, weights: dict[str, Tensor]) -> Tensor:
        """Return the outputs `[draws, B, outputs]` for given weights, `[draws, ...]` each."""
        layers = range(self.depth)
        return batched(x, [weights[f"weight{i}"] for i in layers], [weights[f"bias{i}"].unsqueeze(1) for i in layers])
