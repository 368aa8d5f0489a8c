"""Build the planner that the settings name, and what it plans with."""

from collections.abc import Callable
from typing import Any

import torch
from gymnasium.spaces import Discrete
from torch import Tensor

from gio_pyro.distributions.masks import restricted
from gio_pyro.distributions.squash import uniform_in_box
from gio_pyro.dreaming import NetworkOutcomes, NoRollouts
from gio_pyro.nn import width
from gio_pyro.planning.base import NoPlanner, Problem
from gio_pyro.planning.distillation import PlanMemory
from gio_pyro.planning.families import family_of
from gio_pyro.planning.imagination import FittedImagination, Imagination, Pay
from gio_pyro.planning.names import planner_named
from gio_pyro.planning.scheduler import Planning
from gio_pyro.planning.tables import TableImagination
from gio_pyro.programs import Guide, example
from gio_pyro.settings import Settings
from gio_pyro.signals import Fitted
from gio_pyro.types import Policy, Spec, finite


def planner_of(
    settings: Settings,
    fitted: Fitted,
    dreaming: NoRollouts,
    *,
    pay: Pay,
    critic: Callable[[Tensor], Tensor],
    value: Callable[[Tensor], Tensor],
    temperature: Callable[[], Tensor | float],
    streams: int,
) -> NoPlanner:
    """Return what acts by the planner that the settings name, or the null object without one.

    Args:
        settings: `planner`, `discount` and `buffer_size`.
        fitted: the spaces, the programs, the policy and replay.
        dreaming: of networks, the fit of reward and termination.
        pay: the reward that the agent maximises.
        critic: Q(s, ·) of finite states, `[B, A]` reward units.
        value: V(s), `[B]` reward units.
        temperature: α.
        streams: N, the number of environments stepped together.

    Raises:
        InputError: no such planner, or one that does not fit the spaces.
    """
    if settings.planner is None:
        return NoPlanner()
    imagination: Imagination = (
        FittedImagination(fitted, dreaming, pay, captured=settings.compile is not False)
        if isinstance(dreaming, NetworkOutcomes)
        else TableImagination(fitted, pay, critic)
    )
    spec, family = fitted.spec, family_of(fitted.spec.action_space)
    prior = prior_of(fitted)
    problem = Problem(
        spec, family, imagination, prior, fitted.policy, value, temperature, settings.discount
    )
    memory = None
    if fitted.guide.distils and settings.objective is None:
        by_state = isinstance(imagination, TableImagination)
        size = finite(spec.state_space, "state") if by_state else settings.buffer_size
        memory = PlanMemory(family.width, size, by_state=by_state)
    return Planning(planner_named(settings.planner, problem), streams, memory)


def prior_of(fitted: Fitted) -> Policy:
    """Return p_a(a|s): the guide where it ignores the future, else uniform over the allowed actions."""
    guide, spec, policy = fitted.guide, fitted.spec, fitted.policy
    return _guide_prior(guide, policy, spec.future_space) if guide.ignores_future else _uniform(spec)


def _guide_prior(guide: Guide, policy: Policy, futures: Any) -> Policy:
    def prior(state: Tensor) -> Any:
        one = example(futures, state.device)
        return guide.posterior(policy, state, one.expand(len(state), *one.shape[1:]))

    return prior


def _uniform(spec: Spec) -> Policy:
    size = width(spec.action_space)

    def prior(state: Tensor) -> Any:
        zeros = torch.zeros(len(state), size, device=state.device)
        if not isinstance(spec.action_space, Discrete):
            return uniform_in_box(zeros)
        return torch.distributions.Categorical(logits=restricted(zeros, spec.allowed(state)))

    return prior
