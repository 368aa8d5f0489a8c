"""The distribution over futures of a model with latent sites, p_ψ(F|s, a)."""

from typing import Any, TypeGuard

import torch
from pyro.distributions import TorchDistribution
from torch import Tensor
from torch.distributions import Distribution

from gio_pyro.programs.branches import Branches
from gio_pyro.programs.latents import Latents
from gio_pyro.types import Policy


class Marginal(TorchDistribution):
    """p_ψ(F|s, a) with every latent site integrated out, a batch of B distributions.

    Samples draw the latent sites first: finite and local ones from their prior, shared ones among the K kept draws of
    their posterior, one for each example. `log_prob` is that of `Latents`.

    Args:
        latents: the latent sites.
        policy: π.
        state: `[B, ...]`.
        action: `[B, ...]`.
    """

    arg_constraints: dict[str, Any] = {}  # noqa: RUF012 (as torch names it)

    def __init__(self, latents: Latents, policy: Policy, state: Tensor, action: Tensor) -> None:
        self.latents, self.given = latents, (policy, state, action)
        self.first: Branches | None = self._run()
        self.conditional = self.first.futures[0]
        super().__init__(torch.Size([len(state)]), self.conditional.event_shape, validate_args=False)

    def _run(self, *, finite: bool = False) -> Branches:
        """Run the model with kept draws of shared sites, and fresh ones of the others."""
        policy, state, action = self.given
        shared = self.latents.shared_draws(policy)
        draws = self.latents.particles if shared else 1
        return self.latents.run(policy, state, action, shared, draws, finite=finite)

    @property
    def has_rsample(self) -> bool:  # type: ignore[override]
        """Whether samples pass on gradients: not where a finite site is sampled, see `branches`."""
        return bool(self.conditional.has_rsample) and not self.latents.sites.finite

    @property
    def has_enumerate_support(self) -> bool:  # type: ignore[override]
        """Whether futures are finite."""
        return bool(self.conditional.has_enumerate_support)

    @property
    def support(self) -> Any:
        """The support of the future."""
        return self.conditional.support

    def enumerate_support(self, expand: bool = True) -> Tensor:
        """Return all futures, `[F, 1]`, or `[F, B]` expanded."""
        values = self.conditional.enumerate_support(expand=False).flatten().unsqueeze(-1)
        return values.expand(-1, *self.batch_shape) if expand else values

    def expand(self, batch_shape: Any, _instance: Any = None) -> "Marginal":
        """Return the same distributions; raises `NotImplementedError` for another batch shape."""
        if torch.Size(batch_shape) != self.batch_shape:
            raise NotImplementedError
        return self

    def log_prob(self, value: Tensor) -> Tensor:
        """Return log p(F|s, a) of futures `[..., B, *event_shape]`, `[..., B]` nats."""
        outer = value.shape[: value.ndim - len(self.event_shape)]
        shape = torch.broadcast_shapes(outer, self.batch_shape)
        wide = value.expand(*shape, *self.event_shape)
        policy, state, action = self._repeated(shape[:-1].numel())
        found = self.latents.log_prob(policy, state, action, wide.reshape(-1, *self.event_shape))
        return found.reshape(shape)

    def sample(self, sample_shape: Any = ()) -> Tensor:
        """Return samples `[*sample_shape, B, *event_shape]`."""
        with torch.no_grad():
            return self._sample(sample_shape, lambda fn: fn.sample())

    def rsample(self, sample_shape: Any = ()) -> Tensor:
        """Return samples with gradients, `[*sample_shape, B, *event_shape]`."""
        return self._sample(sample_shape, lambda fn: fn.rsample())

    def _sample(self, sample_shape: torch.Size, draw: Any) -> Tensor:
        count = torch.Size(sample_shape).numel()
        if count != 1:
            wide = Marginal(self.latents, *self._repeated(count))
            return wide._sample(torch.Size(), draw).reshape(*sample_shape, *self.batch_shape, *self.event_shape)
        run, self.first = self.first or self._run(), None
        future = _one_of_each(run.sample(draw))
        return future.reshape(*sample_shape, *self.batch_shape, *self.event_shape)

    def branches(self, samples: int = 1) -> tuple[Tensor, Tensor]:
        """Return futures of each combination c of the finite sites, `[C, samples · B, ...]`, and their p(c|s, a).

        Gradients pass through both. Shared sites have one of their kept draws, local ones a sample of their prior.
        """
        if samples > 1:
            return Marginal(self.latents, *self._repeated(samples)).branches()
        run = self._run(finite=True)
        size = (-1, self.latents.sites.branches)
        future = run.sample(lambda fn: fn.rsample() if fn.has_rsample else fn.sample()).unflatten(0, size)
        weight = run.log_prior(self.latents.sites.finite).exp().unflatten(0, size)
        which = torch.randint(len(weight), self.batch_shape, device=weight.device)
        rows = torch.arange(len(which), device=which.device)
        return future[which, :, rows].transpose(0, 1), weight[which, :, rows].T

    def _repeated(self, count: int) -> tuple[Policy, Tensor, Tensor]:
        policy, state, action = self.given
        if count == 1:
            return self.given
        state, action = (x.expand(count, *x.shape).flatten(0, 1) for x in (state, action))
        return policy, state, action


def _one_of_each(values: Tensor) -> Tensor:
    """Return one of K values at random for each example, `[K, B, ...]` to `[B, ...]`."""
    if len(values) == 1:
        return values[0]
    rows = torch.arange(values.shape[1], device=values.device)
    return values[torch.randint(len(values), rows.shape, device=values.device), rows]


def is_branching(distribution: Distribution) -> TypeGuard[Marginal]:
    """Return whether a distribution over futures has finite latent sites that `branches` enumerates."""
    return isinstance(distribution, Marginal) and bool(distribution.latents.sites.finite)
