"""A conditional variational autoencoder over futures: vectors and images."""

import math
from typing import Any

import pyro
import pyro.distributions as dist
from torch import Tensor

from gio_pyro.models.image import Layout
from gio_pyro.models.real import RealModel, bounded_scale
from gio_pyro.nn import encoder, is_image, joined, mlp
from gio_pyro.types import Policy, Spec


class VariationalModel(RealModel):
    """p_ψ(F|s, a) = ∫ p(F|s, a, z) p(z|s, a) dz with a latent vector z: a conditional VAE (Sohn, Lee and Yan, 2015).

    z is a local latent site. The prior p(z|s, a) and the encoder q(z|s, a, F), the model's `latent_guide`, are normal
    with independent dimensions; so is p(F|s, a, z). The model is fitted by the importance-weighted bound with
    `fitting_draws` fresh draws of z, and log p(F|s, a) is the same bound with `particles` kept draws (Burda et al.,
    2016, arXiv 1509.00519). With few fitting draws the encoder may ignore z where outcomes are of several kinds
    (posterior collapse); `RegimeModel` and `MixtureModel` fit few kinds more closely.

    Images are drawn from z by transposed convolutions, as in `ImageModel`, and encoded by convolutions.
    """

    latent = 8
    """Size of z."""
    particles = 16
    fitting_draws: int | None = None
    """Draws of z for each example of a gradient step; None for 16, or 4 with images, whose decoder costs more."""

    def __init__(self, spec: Spec) -> None:
        super().__init__(spec)
        self.layout = Layout(spec.future_space) if is_image(spec.future_space) else None  # type: ignore[arg-type]
        self.seen = encoder(spec.future_space) if self.layout else None
        seen = self.size if self.seen is None else self.seen.size
        self.prior = mlp(self.inputs, spec.hidden, 2 * self.latent)
        self.posterior = mlp(self.inputs + seen, spec.hidden, 2 * self.latent)
        if self.layout:
            self.net, self.draw = self.layout.networks(self.inputs + self.latent, spec.hidden)
        else:
            self.net = mlp(self.inputs + self.latent, spec.hidden, 2 * self.size)

    def observe(self, state: Tensor, action: Tensor, future: Tensor) -> None:
        """Update the statistics of inputs and targets with new data."""
        super().observe(state, action, future)
        if self.seen is not None:
            self.seen.observe(future)

    def forward(self, policy: Policy, state: Tensor, future: Tensor | None = None) -> Tensor:
        """Sample "action", "z" and "future" `[B, ...]`."""
        with pyro.plate("batch", state.shape[0]):
            action = pyro.sample("action", policy(state))
            x = self.features(state, action)
            z = pyro.sample("z", _normal(self.prior(x)))
            return pyro.sample("future", self.given(state, x, z), obs=future)

    def latent_guide(self, state: Tensor, action: Tensor, future: Tensor) -> None:
        """Sample "z" from the encoder q(z|s, a, F)."""
        q = self._encoded(state, self.features(state, action), future)
        with pyro.plate("batch", state.shape[0]):
            pyro.sample("z", q)

    def evidence(self, state: Tensor, action: Tensor, future: Tensor) -> Tensor:
        """Return the importance-weighted bound on log p(F|s, a) by fresh draws of z, `[B]` nats.

        The encoder's gradient is the doubly reparameterised one, whose signal does not vanish with more draws (Tucker,
        Lawson, Gu and Maddison, 2019, arXiv 1810.04152): it passes through z alone, with squared weights.
        """
        draws = self.fitting_draws or (4 if self.layout else 16)
        x = self.features(state, action)
        q = self._encoded(state, x, future)
        z = q.rsample((draws,))
        fixed = dist.Normal(q.base_dist.loc.detach(), q.base_dist.scale.detach()).to_event(1)
        log_p = self.given(state, x, z).log_prob(future) + _normal(self.prior(x)).log_prob(z)
        log_weight = log_p - fixed.log_prob(z)
        if z.requires_grad:
            share = log_weight.detach().softmax(0).unsqueeze(-1)
            z.register_hook(lambda gradient: share * gradient)
        bound: Tensor = log_weight.logsumexp(0) - math.log(draws)
        return bound

    def _encoded(self, state: Tensor, x: Tensor, future: Tensor) -> Any:
        """Return q(z|s, a, F) from features `[B, inputs]` and futures."""
        return _normal(self.posterior(joined(x, self._seen(state, future))))

    def _seen(self, state: Tensor, future: Tensor) -> Tensor:
        """Return the features of F that z is inferred from, `[..., B, n]`."""
        if self.seen is None:
            return self.standardised(state, future).flatten(-len(self.shape))
        features: Tensor = self.seen(future)
        return features

    def given(self, state: Tensor, x: Tensor, z: Tensor) -> Any:
        """Return p(F|s, a, z) from features `[B, inputs]` and `z` `[..., B, latent]`."""
        inputs = joined(x, z)
        if self.layout:
            mean, raw = self.layout.numbers(self.net, self.draw, inputs)
        else:
            mean, raw = self.net(inputs).unflatten(-1, (2, *self.shape)).unbind(-1 - len(self.shape))
        return dist.Normal(self.place(state, mean), self.scale(raw)).to_event(len(self.shape))


def _normal(numbers: Tensor) -> Any:
    """Return normal distributions from mean and raw scale, `[..., 2 · n]`, independent over n."""
    mean, raw = numbers.chunk(2, -1)
    return dist.Normal(mean, bounded_scale(raw, 4.0)).to_event(1)
