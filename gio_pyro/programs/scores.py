"""Log-probabilities of a batch: one number for each example, checked against silent broadcasting."""

from typing import Any

import pyro.distributions as dist
import torch
from gymnasium.spaces import Discrete
from pyro.distributions.torch_distribution import TorchDistributionMixin
from torch import Tensor
from torch.distributions import Distribution

from gio_pyro.distributions.masks import restricted
from gio_pyro.distributions.squash import uniform_in_box
from gio_pyro.errors import ProgramError, describe_error
from gio_pyro.types import Policy, Spec


def per_example(distribution: Distribution, value: Tensor, batch: int, name: str) -> Tensor:
    """Return log-probabilities `[B]`; raises `ProgramError` if a shape would silently broadcast."""
    try:
        log_prob = distribution.log_prob(value)
    except (RuntimeError, ValueError, TypeError, IndexError) as error:
        raise ProgramError(
            f"Expected {name} to score values of shape {tuple(value.shape)}, but it raised "
            f"{describe_error(error, 120)}; "
            "look for a value outside the space, or another shape."
        ) from error
    if log_prob.shape != (batch,):
        raise ProgramError(
            f"Expected one log-probability for each of {batch} examples from {name}, but got shape "
            f"{tuple(log_prob.shape)}; give the site batch shape [B] (see pyro's to_event)."
        )
    if value.shape[1:] != distribution.event_shape:
        raise ProgramError(
            f"Expected values of shape {(batch, *distribution.event_shape)} for {name} to score, but got "
            f"{tuple(value.shape)}, which would be broadcast; reshape them."
        )
    return log_prob


def all_actions(distribution: Distribution, name: str) -> Tensor:
    """Return the support of a distribution over finitely many actions, `[A]`."""
    if not distribution.has_enumerate_support:
        raise ProgramError(f"Expected {name} to give actions that can be enumerated, but got {distribution}.")
    return distribution.enumerate_support(expand=False).flatten()


def log_probs(distribution: Distribution, name: str = "the policy") -> Tensor:
    """Return the log-probabilities of all actions, `[..., B, A]` nats."""
    values = all_actions(distribution, name)
    return distribution.log_prob(values.reshape(-1, *(1 for _ in distribution.batch_shape))).movedim(0, -1)


def uniform_actions(spec: Spec, state: Tensor) -> Any:
    """Return uniform distributions over what states `[B, ...]` allow, or over the box, before the squash."""
    space = spec.action_space
    if isinstance(space, Discrete):
        zeros = torch.zeros(len(state), int(space.n), device=state.device)
        return dist.Categorical(logits=restricted(zeros, spec.allowed(state)))
    return uniform_in_box(torch.zeros(len(state), *(space.shape or ()), device=state.device))


def detached(policy: Policy) -> Policy:
    """Return the policy without gradients to its parameters, caching its distribution for the last batch."""
    last: list[tuple[Tensor, TorchDistributionMixin]] = []

    def cached(state: Tensor) -> TorchDistributionMixin:
        if not last or last[0][0] is not state:
            with torch.no_grad():
                last[:] = [(state, policy(state))]
        return last[0][1]

    return cached
