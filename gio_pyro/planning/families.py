"""The kinds of distributions that plans are made of, as rows of numbers that are kept, shifted and learned from."""

from typing import Any, Protocol

import pyro.distributions as dist
import torch
from gymnasium import Space
from gymnasium.spaces import Discrete
from torch import Tensor
from torch.distributions import Distribution, Independent, Normal

from gio_pyro.distributions.masks import ILLEGAL
from gio_pyro.programs import log_probs

UNPLANNED = 1e30
"""Stands for a parameter of a plan where there is none."""
MEAN = 3.0
"""Bound of the mean of a planned action before the squash, where tanh is 0.995."""
LOG_SCALE = (-3.0, 1.0)
"""Bounds of the log scale of a planned action before the squash: the least one is what policies and guides resolve."""


class Family(Protocol):
    """Distributions over the site "action", each a row of P parameters."""

    width: int
    """P."""

    def distribution(self, parameters: Tensor) -> Any:
        """Return the distributions of parameters `[..., P]`, of batch shape `[...]`."""
        ...

    def mode(self, parameters: Tensor) -> Tensor:
        """Return the most probable action of each, `[..., *action]`."""
        ...

    def start(self, rest: Tensor) -> Tensor:
        """Return what to search from: the rest of an earlier plan `[N, H, P]`, `UNPLANNED` where there is none."""
        ...

    def refit(self, action: Tensor, weight: Tensor) -> Tensor:
        """Return the parameters `[N, H, P]` fitted to K weighted sequences of actions `[N, K, H, *action]`.

        Args:
            action: the actions.
            weight: `[N, K]`, which sum to 1.
        """
        ...

    def cross_entropy(self, parameters: Tensor, found: Distribution) -> Tensor:
        """Return E_q −log p(a) of the distributions q of parameters `[B, P]` under those `found`, `[B]` nats."""
        ...


class Categoricals:
    """Distributions over A actions, as log-probabilities `[..., A]`."""

    def __init__(self, actions: int) -> None:
        self.width = actions

    def distribution(self, parameters: Tensor) -> Any:
        """Return categorical distributions."""
        return dist.Categorical(logits=parameters)

    def mode(self, parameters: Tensor) -> Tensor:
        """Return the most probable action, `[...]`."""
        return parameters.argmax(-1)

    def start(self, rest: Tensor) -> Tensor:
        """Return the rest, uniform where there is none."""
        return torch.where(is_planned(rest)[..., None], rest, 0.0)

    def refit(self, action: Tensor, weight: Tensor) -> Tensor:
        """Return log shares of the weight, `[N, H, A]`; `ILLEGAL` where an action has none."""
        taken = torch.nn.functional.one_hot(action, self.width).to(weight)
        share = torch.einsum("nk,nkha->nha", weight, taken)
        return share.log().clamp_min(ILLEGAL)

    def cross_entropy(self, parameters: Tensor, found: Distribution) -> Tensor:
        """Return −Σ_a q(a) log p(a), `[B]` nats."""
        q = parameters.softmax(-1)
        return -(q * log_probs(found, "the habit").clamp_min(ILLEGAL)).sum(-1)


class Gaussians:
    """Independent normals over d numbers before the squash, as means and log scales `[..., 2 d]`."""

    def __init__(self, size: int) -> None:
        self.size, self.width = size, 2 * size

    def distribution(self, parameters: Tensor) -> Any:
        """Return normal distributions."""
        mean, log_scale = parameters.chunk(2, -1)
        return dist.Normal(mean, log_scale.exp()).to_event(1)

    def mode(self, parameters: Tensor) -> Tensor:
        """Return the means, `[..., d]`."""
        return parameters.chunk(2, -1)[0]

    def start(self, rest: Tensor) -> Tensor:
        """Return the means of the rest, 0 where there is none, with scales of 1 to search around them."""
        mean = torch.where(is_planned(rest)[..., None], rest, 0.0).chunk(2, -1)[0]
        return torch.cat([mean, torch.zeros_like(mean)], -1)

    def refit(self, action: Tensor, weight: Tensor) -> Tensor:
        """Return the moments of the weighted actions, bounded by `MEAN` and `LOG_SCALE`."""
        share = weight[..., None, None]
        mean = (share * action).sum(1)
        variance = (share * (action - mean[:, None]).square()).sum(1)
        log_scale = 0.5 * variance.clamp_min(1e-12).log()
        return torch.cat([mean.clamp(-MEAN, MEAN), log_scale.clamp(*LOG_SCALE)], -1)

    def cross_entropy(self, parameters: Tensor, found: Distribution) -> Tensor:
        """Return E_q −log p(a) in closed form where p is an independent normal, else of 8 draws, `[B]` nats."""
        if isinstance(found, Independent) and isinstance(found.base_dist, Normal):
            own, other = self.distribution(parameters).base_dist, found.base_dist
            squares = own.variance + (own.mean - other.mean).square()
            each: Tensor = -other.log_prob(other.mean) + 0.5 * squares / other.variance
            return each.sum(-1)
        draws = self.distribution(parameters).sample((8,))
        estimate: Tensor = -found.log_prob(draws).mean(0)
        return estimate


def family_of(actions: Space[Any]) -> Family:
    """Return the family of plans over an action space."""
    if isinstance(actions, Discrete):
        return Categoricals(int(actions.n))
    assert actions.shape is not None
    return Gaussians(actions.shape[0])


def is_planned(parameters: Tensor) -> Tensor:
    """Return where parameters `[..., P]` are those of a plan, `[...]` booleans."""
    return parameters[..., 0] != UNPLANNED
