"""Base class of planners, what they are built from, and the null object of an agent without one."""

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from torch import Tensor, nn

from gio_pyro.errors import InputError, shown
from gio_pyro.nn.gradient_step import Figures
from gio_pyro.planning.families import Family
from gio_pyro.planning.imagination import Imagination
from gio_pyro.types import Policy, Spec, Transitions


@dataclass(frozen=True)
class Problem:
    """What a planner is built from: the agent's model, prior, policy and critic."""

    spec: Spec
    family: Family
    """Of the plans: distributions over the site "action"."""
    imagination: Imagination
    prior: Policy
    """p_a(a|s)."""
    policy: Policy
    """π(a|s), where rollouts may begin to search."""
    value: Callable[[Tensor, Tensor | float], Tensor]
    """V(s) of states `[M, ...]` at α, reward units: the soft value of the critic, `[M]`."""
    temperature: Callable[[], Tensor | float]
    """α, reward units per nat."""
    discount: float
    captured: Callable[[Callable[..., Figures]], Callable[..., Figures]] | None = None
    """What makes a captured graph of a function of tensors that reads this problem; None where that cannot be."""

    @property
    def world_model(self) -> Any:
        """The program of the world model that is rolled out; None without one."""
        world = getattr(self.imagination, "world", None)
        return None if world is None else world.model.program


class Planner(nn.Module, ABC):
    """Plans from a state; a subclass implements `plan`.

    Args:
        problem: what it is built from.
    """

    replan: int = 1
    """Steps that are acted by a plan before the next is made."""
    draws: int = 1
    """Imagined states for each state that is planned from, which decides how many are planned from at once."""

    def __init__(self, problem: Problem) -> None:
        super().__init__()
        self.problem = problem

    @abstractmethod
    def plan(self, state: Tensor, start: Tensor | None = None) -> Tensor:
        """Return q(a_t|s) of the next T ≥ `replan` actions from each state `[N, ...]`, `[N, T, P]`.

        Args:
            state: the states.
            start: the rest of an earlier plan, `[N, T, P]`, `families.UNPLANNED` where there is none; None for all.
        """

    def refresh(self) -> None:
        """Drop what was computed from the model and the critic: they have been fitted since."""
        self.problem.imagination.refresh()


class SolvedPlanner(Planner):
    """Solves the whole model, once after each fit; a subclass implements `solve`, and `plan` by what is `solved`.

    Args:
        problem: what it is built from.
    """

    def __init__(self, problem: Problem) -> None:
        super().__init__(problem)
        self._solved: Any = None

    @abstractmethod
    def solve(self) -> Any:
        """Return the solution of the model as it is."""

    @property
    def solved(self) -> Any:
        """The solution of the model as it was fitted last."""
        if self._solved is None:
            self._solved = self.solve()
        return self._solved

    def refresh(self) -> None:
        """Drop the solution: model and critic have been fitted since."""
        super().refresh()
        self._solved = None


class NoPlanner(nn.Module):
    """No planner. Its methods are the interface of `Planning`, and do nothing."""

    planner: Any
    objective: Any = None
    """Objective of a guide that is distilled from plans; None for the guide's own."""

    def __init__(self) -> None:
        super().__init__()
        self.planner = None

    @property
    def acting(self) -> Planner | None:
        """The planner that is acted by; None without one."""
        return None

    def act_by(self, text: str | None) -> None:
        """Act by the planner of a name, or without one for None; raises `InputError` for a name here."""
        if text is not None:
            raise InputError(
                f"Expected an agent that was built with a planner, but got {shown(text, 80)} for one without; build it "
                "with planner=."
            )

    def behaviour(self, own: Any, mixed: Callable[[Any], Any], begun: bool) -> Any:
        """Return what collects until the next update; here `own`, the agent's behaviour."""
        return own

    def policy(self, own: Any) -> Any:
        """Return the policy that `predict` acts by, with a method `mode`; here `own`, the agent's."""
        return own

    def refresh(self) -> None:
        """Drop what was computed from the model and the critic: they have been fitted since."""

    def keep(self, rows: Transitions) -> None:
        """Keep the plans that the latest collected transitions were acted by."""

    def renew(self, replay: Any, count: int) -> None:
        """Plan anew from `count` replayed states, for the habit; here nothing."""

    def _load_from_state_dict(self, state_dict: Any, prefix: str, *others: Any) -> None:
        """Load nothing, as there is nothing to load."""
