"""A model of where a sequence of continuous actions leads, linear in the actions: a Gaussian channel in each state.

    p_ψ(F|s, a_1, …, a_n) = N( m(s) + G(s) a, diag σ(s)² ),   a = (a_1, …, a_n)

One network reads m off the state, another G and σ: what m misses counts as noise, so m has a network of its own. The
capacity of such a channel is known exactly (water-filling). So a model that is fitted by likelihood to sequences that
were taken tells the n-step empowerment of every state at once, with no source and no guide to learn.

The idea is that of Zhao, Lu, Abbeel and Tiomkin, "Efficient empowerment estimation for unsupervised stabilization"
(ICLR 2021, arXiv 2007.07356). The same: a channel matrix that depends on the state, learned from samples, and the
power of its modes from a convex problem. What differs: their channel lies between learned codes of actions and
observations; here it lies between the actions and the future themselves, and its noise is fitted with it by one
likelihood. A nat is then one of the world, as far as the world is linear in the actions and its noise independent from
number to number.
"""

import math

import pyro.distributions as dist
from gymnasium.spaces import Box
from torch import Tensor

from gio_pyro.errors import InputError
from gio_pyro.models.real import RealModel
from gio_pyro.networks import mlp, width
from gio_pyro.types import Spec
from gio_pyro.waterfilling import gaussian_capacity


class LinearChannelModel(RealModel):
    """p_ψ(F|s, a) = N(m(s) + G(s) a, diag σ(s)²), for actions that are one vector, or n of them in a row, `[n d]`.

    The action enters as it is at the site, before the squash: with tanh, the model is right for small actions, and on
    average for those that it was fitted to.

    Raises:
        InputError: an action space that is not a Box, or a future space that is not.
    """

    def __init__(self, spec: Spec) -> None:
        super().__init__(spec)
        if not isinstance(spec.action_space, Box):
            raise InputError(
                f"Expected a Box of actions for LinearChannelModel, but got {spec.action_space}; use a GaussianModel."
            )
        self.count = width(spec.action_space)
        self.centre = mlp(self.encoder.size, spec.hidden, self.size)
        self.net = mlp(self.encoder.size, spec.hidden, self.size * (1 + self.count))

    def outcome(self, state: Tensor, action: Tensor) -> dist.Independent:
        """Return p_ψ(F|s, a), a batch of B normal distributions."""
        raw, gain = self._read(state)
        moved = self.centre(self.encoder(state)) + (gain @ action.flatten(1).unsqueeze(-1)).squeeze(-1)
        place, scale = self.place(state, self._shaped(moved)), self.scale(self._shaped(raw))
        outcome: dist.Independent = dist.Normal(place, scale).to_event(len(self.shape))
        return outcome

    def channel(self, state: Tensor) -> tuple[Tensor, Tensor]:
        """Return G(s), `[B, F, A]` units of the future for each unit of action, and σ(s), `[B, F]` units of the future."""
        raw, gain = self._read(state)
        return self.target.deviation.flatten()[:, None] * gain, self.scale(self._shaped(raw)).flatten(1)

    def empowerment(self, state: Tensor, power: float | Tensor) -> Tensor:
        """Return the capacity of the channel of each state, `[B]` nats, float64: its n-step empowerment.

        Gradients reach the parameters and the state, and are finite where singular values are zero or equal.

        Args:
            state: `[B, ...]`.
            power: P ≥ 0: E|a|² ≤ P over the whole sequence, squared units of the site "action"; a number or `[B]`.

        Raises:
            InputError: power that is negative, not finite, or of another batch; a network that says NaN.
        """
        gain, scale = self.channel(state)
        return gaussian_capacity(gain, scale.double().square(), power)

    def _read(self, state: Tensor) -> tuple[Tensor, Tensor]:
        """Return log σ and G in standard deviations of the future, `[B, F]` and `[B, F, A]`."""
        raw, gain = self.net(self.encoder(state)).split([self.size, self.size * self.count], -1)
        return raw, gain.unflatten(-1, (self.size, self.count)) / math.sqrt(self.count)

    def _shaped(self, flat: Tensor) -> Tensor:
        shaped: Tensor = flat.unflatten(-1, self.shape)
        return shaped
