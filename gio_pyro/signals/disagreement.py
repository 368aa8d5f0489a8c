"""Epistemic uncertainty of the model: disagreement of ensemble members or posterior samples about the future."""

import math

import torch
from gymnasium.spaces import Discrete
from torch import Tensor
from torch.distributions import Categorical, Distribution, Independent, Normal

from gio_pyro.data.merging import can_be_merged
from gio_pyro.errors import InputError, shown
from gio_pyro.programs import example
from gio_pyro.signals.base import Fitted, Signal, as_fitted, device_of
from gio_pyro.types import Transitions

FINITE, REAL = ("jensen_shannon",), ("renyi", "variance")


class Disagreement(Signal):
    """I(W; F|s, a): information of the future about the model W, estimated over its K `beliefs`.

    - "jensen_shannon", for finite futures: H(mean of p_k) − mean of H(p_k), nats, exact for K members; with K
      samples of a posterior the estimate is about 1 − 1/K of the full value.
    - "renyi", for normal ones: the same with Rényi's entropy of order 2, −log ∫ p², which has a closed form for a
      mixture of normals (MAX: Shyam, Jaśkowski and Gomez, 2019, arXiv 1810.12162), nats, at most log K. It may be
      slightly negative if the scales differ.
    - "variance", for normal ones: variance of the means, averaged over the numbers of F, in squared units of F
      (Pathak, Gandhi and Gupta, 2019, arXiv 1906.04161; Plan2Explore: Sekar et al., 2020, arXiv 2005.05960). The
      predicted scales are not used.

    Args:
        fitted: spaces, future and programs of the agent; the model must implement `beliefs`.
        kind: one of these; by default the first one that supports the future space.

    Raises:
        InputError: a model without beliefs, beliefs of another distribution, or a kind for other futures.
    """

    def __init__(self, fitted: Fitted, *, kind: str | None = None) -> None:
        super().__init__(as_fitted(fitted))
        kinds = FINITE if isinstance(fitted.spec.future_space, Discrete) else REAL
        if kind is not None and not (isinstance(kind, str) and kind in kinds):
            raise InputError(
                f"Expected kind to be {' or '.join(kinds)} for futures in {fitted.spec.future_space}, but got "
                f"{shown(kind)}; name one."
            )
        self.kind = kind or kinds[0]
        self.unit = "squared units of F" if self.kind == "variance" else "nats"
        spaces, device = (fitted.spec.state_space, fitted.spec.action_space), device_of(fitted.model)
        with torch.no_grad():
            self._of(*(example(space, device) for space in spaces))

    def read(self, rows: Transitions) -> Tensor:
        """Return the disagreement about the future of each state and action, `[B]`; observed futures are not used."""
        if not can_be_merged(rows):
            return self._of(rows.state, rows.action)
        pair, which = torch.stack([rows.state, rows.action], -1).unique(dim=0, return_inverse=True)
        return self._of(pair[:, 0], pair[:, 1])[which]

    def _of(self, state: Tensor, action: Tensor) -> Tensor:
        each = self.fitted.model.beliefs(state, action)
        if self.kind == "jensen_shannon":
            return jensen_shannon(probabilities(each))
        mean, scale = _numbers(each, self.fitted.model.name)
        return jensen_renyi(mean, scale) if self.kind == "renyi" else variance(mean)


def jensen_shannon(probability: Tensor) -> Tensor:
    """Return H(mean) − mean H over members, `[B]` nats, of `probability` `[K, B, F]`."""
    return (_entropy(probability.mean(0)) - _entropy(probability).mean(0)).clamp_min(0)


def jensen_renyi(mean: Tensor, scale: Tensor) -> Tensor:
    """Return H₂(mixture) − mean H₂ of independent normals, `[B]` nats; `mean` and `scale` are `[K, B, n]`.

    ∫ N_i N_j is the density of N(0, σ_i² + σ_j²) at μ_i − μ_j, so −log ∫ p² of a mixture is a sum over pairs.
    """
    overlap = torch.stack(
        [
            Normal(m, (s.square() + scale.square()).sqrt(), validate_args=False).log_prob(mean).sum(-1)
            for m, s in zip(mean, scale, strict=True)
        ]
    )
    mixture = 2 * math.log(len(mean)) - torch.logsumexp(overlap, (0, 1))
    return mixture + overlap.diagonal().mean(-1)


def variance(mean: Tensor) -> Tensor:
    """Return the variance over members of `mean` `[K, B, n]`, averaged over numbers, `[B]`; 0 for one member."""
    return mean.var(0, correction=min(1, len(mean) - 1)).mean(-1)


def probabilities(each: Distribution) -> Tensor:
    """Return the probability of each value under K times B finite distributions, `[K, B, F]`."""
    if isinstance(each, Categorical):
        table: Tensor = each.probs
        return table
    values = each.enumerate_support(expand=False)
    log_prob: Tensor = each.log_prob(values)
    return log_prob.exp().movedim(0, -1)


def _entropy(probability: Tensor) -> Tensor:
    return -torch.xlogy(probability, probability).sum(-1)


def _numbers(each: Distribution, name: str) -> tuple[Tensor, Tensor]:
    """Return means and scales, `[K, B, n]`, of normal distributions over vectors or images."""
    inner = each
    while isinstance(inner, Independent):
        inner = inner.base_dist
    if not isinstance(inner, Normal):
        raise InputError(
            f"Expected beliefs of {name} to be normal distributions with independent numbers, but got "
            f"{type(inner).__name__}; return dist.Normal(mean, scale).to_event(n)."
        )
    return inner.loc.flatten(2), inner.scale.flatten(2)
