"""Build the planner that the settings name, and what it plans with."""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

from torch import Tensor, nn

from gio_pyro.dreaming import NetworkOutcomes, NoRollouts
from gio_pyro.nn.gradient_step import Figures
from gio_pyro.nn.graphs import GraphedFunction, Progress, Sources
from gio_pyro.planning.base import NoPlanner, Problem
from gio_pyro.planning.distillation import PlanMemory
from gio_pyro.planning.families import family_of
from gio_pyro.planning.imagination import FittedImagination, Imagination, Pay
from gio_pyro.planning.names import planner_named
from gio_pyro.planning.scheduler import Planning
from gio_pyro.planning.tables import TableImagination
from gio_pyro.programs import Guide, example, uniform_actions
from gio_pyro.signals import Fitted
from gio_pyro.types import Policy, finite


def planner_of(
    text: str | None,
    fitted: Fitted,
    dreaming: NoRollouts,
    *,
    pay: Pay,
    critic: Callable[[Tensor], Tensor],
    value: Callable[[Tensor, Tensor | float], Tensor],
    temperature: Callable[[], Tensor | float],
    discount: float,
    streams: int,
    capacity: int,
    captured: bool,
    reads: Sequence[nn.Module],
) -> NoPlanner:
    """Return what acts by the planner that `text` names, or the null object for None.

    Args:
        text: the planner.
        fitted: the spaces, the programs, the policy and replay.
        dreaming: of networks, the fit of reward and termination.
        pay: the reward that the agent maximises.
        critic: Q(s, ·) of finite states, `[B, A]` reward units.
        value: V(s), `[B]` reward units.
        temperature: α.
        discount: γ.
        streams: N, the number of environments stepped together.
        capacity: transitions that replay keeps; 0 keeps no plans to distil.
        captured: whether imagined steps run as captured graphs.
        reads: the modules that plans are computed from, where whole rounds can be captured; empty where they cannot.

    Raises:
        InputError: no such planner, or one that does not fit the spaces.
    """
    if text is None:
        return NoPlanner()
    imagination: Imagination = (
        FittedImagination(fitted, dreaming, pay, captured=captured)
        if isinstance(dreaming, NetworkOutcomes)
        else TableImagination(fitted, pay, critic)
    )
    spec, family = fitted.spec, family_of(fitted.spec.action_space)
    prior = prior_of(fitted)
    graphs = _Graphs(reads) if captured and reads and isinstance(imagination, FittedImagination) else None
    problem = Problem(spec, family, imagination, prior, fitted.policy, value, temperature, discount, captured=graphs)
    memory = None
    if fitted.guide.distils and capacity:
        by_state = isinstance(imagination, TableImagination)
        size = finite(spec.state_space, "state") if by_state else capacity
        memory = PlanMemory(family.width, size, by_state=by_state)
    return Planning(planner_named(text, problem), streams, memory, [] if graphs is None else graphs.made)


def prior_of(fitted: Fitted) -> Policy:
    """Return p_a(a|s): the guide where it ignores the future, else uniform over the allowed actions."""
    guide, spec, policy = fitted.guide, fitted.spec, fitted.policy
    return _GuidePrior(guide, policy, spec.future_space) if guide.ignores_future else partial(uniform_actions, spec)


class _GuidePrior:
    """A guide that ignores the future as a policy."""

    def __init__(self, guide: Guide, policy: Policy, futures: Any) -> None:
        self.guide, self.policy, self.futures = guide, policy, futures

    def __call__(self, state: Tensor) -> Any:
        """Return ρ(·|s) of states `[M, ...]`; any future will do."""
        one = example(self.futures, state.device)
        return self.guide.posterior(self.policy, state, one.expand(len(state), *one.shape[1:]))


class _Graphs:
    """Makes captured graphs of functions that read some modules; they must be compared after a fit (`recheck`)."""

    def __init__(self, reads: Sequence[nn.Module]) -> None:
        self.sources, self.made = Sources(reads), list[GraphedFunction]()

    def __call__(self, function: Callable[..., Figures]) -> GraphedFunction:
        """Return the function as a graph."""
        self.made.append(GraphedFunction(function, self.sources, Progress("auto", captured_only=True)))
        return self.made[-1]
