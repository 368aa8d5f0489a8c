"""A model with a finite latent regime, summed out by the engine."""

from typing import Any

import pyro
import pyro.distributions as dist
import torch
from torch import Tensor

from gio_pyro.models.real import RealModel
from gio_pyro.nn import mlp
from gio_pyro.types import Policy, Spec


class RegimeModel(RealModel):
    """p_ψ(F|s, a) = Σ_c p(c|s, a) p(F|s, a, c) with a finite latent regime c and a normal distribution in each.

    The same family as `MixtureModel`, written with c as a sample site, which the engine sums out exactly. The gradient
    of imagined futures with respect to an action is exact as well: every regime is imagined, weighted by p(c|s, a).
    """

    components = 5
    """Number of regimes."""

    def __init__(self, spec: Spec) -> None:
        super().__init__(spec)
        self.net = mlp(self.inputs, spec.hidden, self.components * (1 + 2 * self.size))

    def forward(self, policy: Policy, state: Tensor, future: Tensor | None = None) -> Tensor:
        """Sample "action", "regime" and "future" `[B, ...]`."""
        with pyro.plate("batch", state.shape[0]):
            action = pyro.sample("action", policy(state))
            logits, mean, raw = self.regimes(state, action)
            regime = pyro.sample("regime", dist.Categorical(logits=logits))
            return pyro.sample("future", self.given(state, regime, mean, raw), obs=future)

    def regimes(self, state: Tensor, action: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return logits `[..., B, C]`, and standardised mean and raw scale in each regime, `[..., B, C, *shape]`."""
        out = self.net(self.features(state, action))
        logits, numbers = out.split([self.components, 2 * self.components * self.size], -1)
        mean, raw = numbers.unflatten(-1, (2, self.components, *self.shape)).unbind(-2 - len(self.shape))
        return logits, mean, raw

    def given(self, state: Tensor, regime: Tensor, mean: Tensor, raw: Tensor) -> Any:
        """Return p(F|s, a, c) of regimes c `[..., B]`, with `mean` and `raw` of `regimes`."""
        batch, size = torch.broadcast_shapes(regime.shape, mean.shape[: mean.ndim - 1 - len(self.shape)]), self.shape
        which = regime.reshape(*regime.shape, 1, *[1] * len(size)).expand(*batch, 1, *size)
        own_mean, own_raw = (
            x.expand(*batch, *x.shape[-1 - len(size) :]).gather(len(batch), which).squeeze(len(batch))
            for x in (mean, raw)
        )
        return dist.Normal(self.place(state, own_mean), self.scale(own_raw)).to_event(len(size))
