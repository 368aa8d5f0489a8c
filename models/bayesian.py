"""A model that knows what it does not know: a posterior over the weights of its network."""

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
"""Gradients of single examples that are held at a time; each is as large as the network, once for every draw."""


class BayesianModel(RealModel):
    """p_ψ(F|s, a) = E_{w~q} N(mean_w(s, a), scale²): a Bayesian neural network (Blundell et al., 2015).

    The network's weights w are latent sites with normal priors, and an autoguide q(w) is fitted to their posterior by
    the evidence lower bound: E_q log p(F|s, a, w) − KL(q(w) ‖ p(w)) / N, with N the transitions seen. What is read is
    the mixture over `components` fixed draws of w, so that a reading changes nothing and repeats itself; how far they
    disagree is the uncertainty that more data would remove. The scale of each number of F is one parameter: the
    uncertainty that more data would not.
    """

    seen: Tensor
    components = 8
    prior_scale = math.sqrt(2.0)
    """Of a weight, before division by the root of the units that it adds up (He et al., 2015); of a bias, 1."""
    first_scale = 0.02
    """Standard deviation of q(w) before anything was seen."""
    gain_step = 1.0
    """λ of `information_gain`, a share of the whole step to the new posterior."""

    def __init__(self, spec: Spec) -> None:
        super().__init__(spec)
        sizes = [self.inputs, *spec.hidden, self.size]
        self.net = _Network(sizes, self.prior_scale)
        self.raw = nn.Parameter(torch.zeros(self.shape))
        self.posterior = AutoNormal(self.net, init_loc_fn=init_to_sample, init_scale=self.first_scale)
        self.posterior(torch.zeros(1, self.inputs))
        self.register_buffer("seen", torch.ones(()))
        for name, location in self._locations().items():
            self.register_buffer(f"draw_{name}", torch.randn(self.components, *location.shape))

    def observe(self, state: Tensor, action: Tensor, future: Tensor) -> None:
        """Take new data into the statistics and into their number."""
        super().observe(state, action, future)
        self.seen += len(state)

    def outcome(self, state: Tensor, action: Tensor) -> Any:
        """Return p_ψ(F|s, a), a batch of B mixtures, one normal for each draw of the weights."""
        mean = self.members(state, action)
        return self.mixed(state, mean, self.raw.expand_as(mean))

    def members(self, state: Tensor, action: Tensor) -> Tensor:
        """Return the mean under each fixed draw of the weights, `[draws, B, *shape]`, in standard deviations."""
        weights = {
            name: location + self._scale(name) * getattr(self, f"draw_{name}")
            for name, location in self._locations().items()
        }
        mean: Tensor = self.net.batched(self.features(state, action), weights)
        shaped: Tensor = mean.unflatten(-1, self.shape)
        return shaped

    def evidence(self, state: Tensor, action: Tensor, future: Tensor) -> Tensor:
        """Return the evidence lower bound of each example at one draw of the weights, `[B]` nats."""
        x = self.features(state, action)
        with poutine.block():
            drawn: Any = poutine.trace(self.posterior).get_trace(x)
            run: Any = poutine.trace(poutine.replay(self.net, drawn)).get_trace(x)
        mean = run.nodes["_RETURN"]["value"].unflatten(-1, self.shape)
        likelihood = dist.Normal(self.place(state, mean), self.scale(self.raw)).to_event(len(self.shape))
        surprise = torch.zeros_like(self.seen)
        for name in self.net.sites:
            surprise = surprise + kl_divergence(drawn.nodes[f"{name}_unconstrained"]["fn"], run.nodes[name]["fn"])
        log_prob: Tensor = likelihood.log_prob(future)
        return log_prob - surprise / self.seen

    def beliefs(self, state: Tensor, action: Tensor) -> Any:
        """Return what each fixed draw of the weights predicts, normals of batch shape `[draws, B]`."""
        mean = self.members(state, action)
        return self.normals(state, mean, self.raw.expand_as(mean))

    def information_gain(self, state: Tensor, action: Tensor, future: Tensor) -> Tensor:
        """Return KL(q_new(w) ‖ q(w)) to second order, `[B]` nats: ½ λ² gᵀ H⁻¹ g (Houthooft et al., 2016, VIME).

        g is the gradient of E_q log p(F|s, a, w) in the means and scales of q, of one example; H is the Fisher metric
        of q, 1/σ² for a mean and 2/σ² for a scale, so a step `λ H⁻¹ g` is one of natural gradient. The expectation is
        over the fixed draws and their mirror images. It is right where one example says little; of an example that says
        as much as all before it, it is several times too large.
        """
        location, scale = ({k: v.detach() for k, v in x.items()} for x in (self._locations(), self._scales()))
        x, target = self.features(state, action).detach(), self.standardised(state, future).flatten(1)
        slope = torch.func.vmap(
            torch.func.grad(self._fit, argnums=(0, 1)), in_dims=(None, None, 0, 0), chunk_size=EXAMPLES_AT_ONCE
        )
        by_location, by_scale = slope(location, scale, x, target)
        squares = [scale[k].square() * (by_location[k].square() + 0.5 * by_scale[k].square()) for k in scale]
        gain: Tensor = torch.stack([square.flatten(1).sum(-1) for square in squares]).sum(0)
        return 0.5 * self.gain_step**2 * gain

    def _fit(self, location: dict[str, Tensor], scale: dict[str, Tensor], x: Tensor, target: Tensor) -> Tensor:
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


class _Network(PyroModule):
    """A perceptron whose weights are sample sites with normal priors."""

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
        """Return `[B, outputs]` at one draw of the weights."""
        weights = {name: getattr(self, name).unsqueeze(0) for name in self.sites}
        return self.batched(x, weights).squeeze(0)

    def batched(self, x: Tensor, weights: dict[str, Tensor]) -> Tensor:
        """Return `[draws, B, outputs]` at given weights, `[draws, ...]` each."""
        layers = range(self.depth)
        return batched(x, [weights[f"weight{i}"] for i in layers], [weights[f"bias{i}"].unsqueeze(1) for i in layers])
