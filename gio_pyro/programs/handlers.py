"""Effect handlers for latent sites: assign values, push noise through distributions, record what a run samples."""

import math
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import torch
from pyro.distributions import Delta
from pyro.poutine.messenger import Messenger
from torch import Tensor
from torch.distributions import (
    Distribution,
    Independent,
    LowRankMultivariateNormal,
    MultivariateNormal,
    Normal,
    TransformedDistribution,
)

from gio_pyro.errors import ProgramError
from gio_pyro.programs.sites import is_plate, is_recorded

Noise = Callable[[str, Distribution], Tensor]
"""`(site, distribution) -> standard normal numbers` of the shape that `noise_shape` returns, batch dimensions added."""


class Fill(Messenger):
    """Assign values to sample sites by name; observed sites keep their data."""

    def __init__(self, values: Mapping[str, Tensor]) -> None:
        super().__init__()
        self.values = values

    def _pyro_sample(self, msg: Any) -> None:
        value = self.values.get(msg["name"])
        if value is not None and not msg["is_observed"]:
            msg["value"], msg["done"] = value, True


class Push(Messenger):
    """Sample every site that is neither observed nor assigned from given noise instead of the random generator."""

    def __init__(self, noise: Noise) -> None:
        super().__init__()
        self.noise = noise

    def _pyro_sample(self, msg: Any) -> None:
        if msg["done"] or msg["is_observed"] or is_plate(msg) or isinstance(base_of(msg["fn"]), Delta):
            return
        try:
            msg["value"] = pushed(msg["fn"], self.noise(msg["name"], msg["fn"]))
        except (AttributeError, NotImplementedError) as error:
            raise ProgramError(
                f'Expected the latent site "{msg["name"][:40]}" to be a function of normal noise, but got a '
                f"{type(msg['fn']).__name__}; take a Normal, MultivariateNormal, LogNormal, or one with icdf."
            ) from error
        msg["done"] = True


class Record(Messenger):
    """Record the distribution and the value of each sample site, plates and deterministic sites left out."""

    def __init__(self) -> None:
        super().__init__()
        self.sites: dict[str, dict[str, Any]] = {}

    def _pyro_post_sample(self, msg: Any) -> None:
        if not is_plate(msg) and not is_recorded(msg):
            self.sites[msg["name"]] = dict(msg)

    def __getitem__(self, name: str) -> dict[str, Any]:
        return self.sites[name]

    def log_prob(self, names: Iterable[str]) -> Tensor:
        """Return the sum of the log-densities of these sites at their values, broadcast; 0 for none."""
        each = [self.sites[name]["fn"].log_prob(self.sites[name]["value"]) for name in names]
        return sum(each[1:], each[0]) if each else torch.zeros(())


def noise_shape(distribution: Distribution) -> torch.Size:
    """Return the shape of the noise of one draw from a distribution, batch dimensions left out."""
    base = base_of(distribution)
    outer = distribution.event_shape[: len(distribution.event_shape) - len(base.event_shape)]
    if isinstance(base, LowRankMultivariateNormal):
        return torch.Size([*outer, base.event_shape[0] + base.cov_factor.shape[-1]])
    return outer + (noise_shape(base.base_dist) if isinstance(base, TransformedDistribution) else base.event_shape)


def pushed(distribution: Distribution, noise: Tensor) -> Tensor:
    """Return a draw that is a differentiable function of standard normal `noise` `[..., *noise_shape]`.

    Raises:
        NotImplementedError: no such function is known for the distribution.
    """
    base, found = base_of(distribution), noise
    if isinstance(base, TransformedDistribution):
        found = pushed(base.base_dist, noise)
        for transform in base.transforms:
            found = transform(found)
    elif isinstance(base, Normal):
        found = base.loc + base.scale * noise
    elif isinstance(base, LowRankMultivariateNormal):
        wide, narrow = noise.split([base.event_shape[0], base.cov_factor.shape[-1]], -1)
        found = base.loc + (base.cov_factor @ narrow.unsqueeze(-1)).squeeze(-1) + base.cov_diag.sqrt() * wide
    elif isinstance(base, MultivariateNormal):
        found = base.loc + (base.scale_tril @ noise.unsqueeze(-1)).squeeze(-1)
    else:
        found = base.icdf((0.5 * torch.erfc(-noise / math.sqrt(2.0))).clamp(1e-6, 1 - 1e-6))
    return found


def base_of(distribution: Any) -> Any:
    """Return a distribution without its event dimensions and expansions."""
    while isinstance(distribution, Independent) or type(distribution).__name__ == "ExpandedDistribution":
        distribution = distribution.base_dist
    return distribution
