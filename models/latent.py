"""Gaussian channels from continuous action sequences to futures, linear in the actions, one for each state.

    p_ψ(F|s, a_1, …, a_n) = N( m(s) + G(s) a, diag σ(s)² ),   a = (a_1, …, a_n)

One network computes m from the state, another G and σ: errors of m count as noise, so m has its own network. The
capacity of such a channel has a closed form (water-filling). So a model fitted by maximum likelihood to collected
sequences gives the n-step empowerment of every state, without learning a source or a guide.

Based on Zhao, Lu, Abbeel and Tiomkin, "Efficient empowerment estimation for unsupervised stabilization"
(ICLR 2021, arXiv 2007.07356). In common: a state-dependent channel matrix learned from samples, and the
power of its modes from a convex problem. Different: their channel is between learned codes of actions and
observations; here it is between the actions and the future themselves, with noise fitted by the same likelihood. The
capacity is then that of the environment, as far as it is linear in the actions with independent noise per dimension.
"""

import math
from collections.abc import Sequence
from typing import Any

import pyro.distributions as dist
import torch
from gymnasium.spaces import Box
from torch import Tensor, nn
from torch.distributions import constraints
from torch.nn.functional import pad

from gio_pyro.distributions.gaussian_channel import gaussian_capacity
from gio_pyro.errors import InputError
from gio_pyro.models.real import RealModel, bounded_scale
from gio_pyro.nn import mlp, width
from gio_pyro.types import Spec


class LinearChannelModel(RealModel):
    """p_ψ(F|s, a) = N(m(s) + G(s) a, diag σ(s)²), for one action vector, or n concatenated ones, `[n d]`.

    The action is that at the site, before the squash: with tanh, the model is accurate for small actions, and on
    average for those that it was fitted to.

    Raises:
        InputError: an action space that is not a Box, or a future space that is not.
    """

    def __init__(self, spec: Spec) -> None:
        super().__init__(spec)
        if not isinstance(spec.action_space, Box):
            raise InputError(
                f"Expected a Box of actions for {type(self).__name__}, but got {spec.action_space}; "
                "use a model of the state and action, such as GaussianModel."
            )
        self.dimensions = len(spec.action_space.shape)
        self.count, self.rows = width(spec.action_space), self._rows()
        self.centre = mlp(self.encoder.size, spec.hidden, self.size)
        self.net = mlp(self.encoder.size, spec.hidden, self.size + self.rows * self.count)

    def _rows(self) -> int:
        """Return the number of dimensions that depend on the actions."""
        return self.size

    def outcome(self, state: Tensor, action: Tensor) -> Any:
        """Return p_ψ(F|s, a), a batch of B normal distributions."""
        mean, raw = self._normal(state, action)
        place, scale = self.place(state, self._shaped(mean)), self.scale(self._shaped(raw))
        return dist.Normal(place, scale).to_event(len(self.shape))

    def channel(self, state: Tensor) -> tuple[Tensor, Tensor]:
        """Return G(s), `[B, F, A]`, and σ(s), `[B, F]`: units of the future for each unit of action, and for noise."""
        raw, gain = self._read(state)
        return self.target.deviation.flatten()[:, None] * gain, self.scale(self._shaped(raw)).flatten(1)

    def empowerment(self, state: Tensor, power: float | Tensor) -> Tensor:
        """Return the capacity of the channel of each state, `[B]` nats, float64: its n-step empowerment.

        Gradients reach the parameters and the state, and are finite where singular values are zero or equal.

        Args:
            state: `[B, ...]`.
            power: P ≥ 0: E|a|² ≤ P over the whole sequence, squared units of the site "action"; a number or `[B]`.

        Raises:
            InputError: power that is negative, not finite, or of another batch; a channel that is NaN.
        """
        gain, scale = self.channel(state)
        return gaussian_capacity(gain, scale.double().square(), power)

    def _normal(self, state: Tensor, action: Tensor) -> tuple[Tensor, Tensor]:
        """Return standardised mean and log σ, `[B, F]` each."""
        raw, gain = self._read(state)
        effect = (gain @ action.flatten(-self.dimensions).unsqueeze(-1)).squeeze(-1)
        return self.centre(self.encoder(state)) + pad(effect, (0, self.size - self.rows)), raw

    def _read(self, state: Tensor) -> tuple[Tensor, Tensor]:
        """Return standardised log σ and G, `[B, F]` and `[B, rows, A]`."""
        raw, gain = self.net(self.encoder(state)).split([self.size, self.rows * self.count], -1)
        return raw, gain.unflatten(-1, (self.rows, self.count)) / math.sqrt(self.count)

    def _shaped(self, flat: Tensor) -> Tensor:
        shaped: Tensor = flat.unflatten(-1, self.shape)
        return shaped


class LatentChannelModel(LinearChannelModel):
    """A linear Gaussian channel to `latent` dimensions of a learned code z = φ(F): N( m(s) + G(s) a, diag σ(s)² ).

    The other dimensions of z are normal and depend on the state only. Mutual information is invariant under the
    invertible φ, so empowerment is the capacity of the channel to the `latent` dimensions. By the change of variables,
    log p(F|s, a) = log p(z|s, a) + log |det ∂φ/∂F|: φ is fitted by the likelihood of F, so that it cannot collapse, as
    codes trained for predictability alone can. φ is a composition of affine couplings (Dinh, Sohl-Dickstein and Bengio
    2017, arXiv 1605.08803) and linear maps.

    The floor on scales is in units of z and does not bound the information. Futures on a noise-free manifold have no
    density, so their capacity cannot be learned in this way.

    Raises:
        InputError: as for `LinearChannelModel`, and futures of fewer than 2, or than `latent`, numbers.
    """

    latent = 2
    layers = 6

    def __init__(self, spec: Spec) -> None:
        super().__init__(spec)
        self.baseline = None  # φ is a function of F, not of its difference from the state
        self.code = Code(self.size, self.layers, spec.hidden[:1])

    def _rows(self) -> int:
        if not 1 <= self.latent <= self.size or self.size < 2:
            raise InputError(
                f"Expected a future of 2 numbers or more, and 1 to all of them latent, but got {self.size} "
                f"and latent = {self.latent}; use LinearChannelModel, or a subclass with another latent."
            )
        return self.latent

    def outcome(self, state: Tensor, action: Tensor) -> Any:
        """Return p_ψ(F|s, a), a batch of B distributions."""
        mean, raw = self._normal(state, action)
        normal = dist.Normal(mean, bounded_scale(raw, self.floor_nats)).to_event(1)
        place, scale = self.target.mean.flatten(), self.target.deviation.flatten()
        units = dist.transforms.AffineTransform(place, scale, event_dim=1)
        return self.shaped(dist.TransformedDistribution(normal, [Decoding(self.code), units]))

    def channel(self, state: Tensor) -> tuple[Tensor, Tensor]:
        """Return G(s), `[B, latent, A]`, and σ(s), `[B, latent]`, in units of z."""
        raw, gain = self._read(state)
        return gain, bounded_scale(raw, self.floor_nats)[:, : self.latent]


class Code(nn.Module):
    """An invertible network φ, `[..., F] -> [..., F]`; a rotation at initialisation."""

    def __init__(self, size: int, layers: int, hidden: Sequence[int]) -> None:
        super().__init__()
        self.sizes = [size // 2, size - size // 2]
        self.nets = nn.ModuleList(mlp(self.sizes[0], hidden, 2 * self.sizes[1]) for _ in range(layers))
        for net in self.nets:
            nn.init.zeros_(net[-1].weight)  # type: ignore[index]
            nn.init.zeros_(net[-1].bias)  # type: ignore[index]
        rotations = torch.linalg.qr(torch.randn(layers + 1, size, size)).Q
        self.maps = nn.Parameter(rotations)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """Return φ(x) and log |det ∂φ/∂x|, `[...]`."""
        log_det = torch.linalg.slogdet(self.maps).logabsdet.sum()
        for linear, net in zip(self.maps, self.nets, strict=False):
            fixed, transformed = (x @ linear).split(self.sizes, -1)
            log_scale, shift = self._coupling(net, fixed)
            x, log_det = torch.cat([fixed, transformed * log_scale.exp() + shift], -1), log_det + log_scale.sum(-1)
        return x @ self.maps[-1], log_det

    def inverse(self, z: Tensor) -> Tensor:
        """Return x of z = φ(x)."""
        inverses = torch.linalg.inv(self.maps)
        z = z @ inverses[-1]
        for inverse, net in zip(inverses[:-1].flip(0), reversed(self.nets), strict=True):
            fixed, transformed = z.split(self.sizes, -1)
            log_scale, shift = self._coupling(net, fixed)
            z = torch.cat([fixed, (transformed - shift) * (-log_scale).exp()], -1) @ inverse
        return z

    def _coupling(self, net: nn.Module, fixed: Tensor) -> tuple[Tensor, Tensor]:
        """Return log scale, in (−2, 2), and shift of an affine coupling."""
        raw, shift = net(fixed).chunk(2, -1)
        return 2 * (raw / 2).tanh(), shift


class Decoding(dist.transforms.Transform):
    """φ⁻¹ as a torch transform; caches the last log-determinant, as scoring needs φ twice."""

    domain = codomain = constraints.real_vector
    bijective = True

    def __init__(self, code: Code) -> None:
        super().__init__()
        self.code = code
        self.cached: tuple[Tensor, Tensor] | None = None

    def _call(self, x: Tensor) -> Tensor:
        result: Tensor = self.code.inverse(x)
        return result

    def _inverse(self, y: Tensor) -> Tensor:
        z, log_det = self.code(y)
        self.cached = y, log_det
        result: Tensor = z
        return result

    def log_abs_det_jacobian(self, x: Tensor, y: Tensor) -> Tensor:
        """Return log |det ∂F/∂z|, `[...]`."""
        if self.cached is None or self.cached[0] is not y:
            self._inverse(y)
        assert self.cached is not None
        return -self.cached[1]
