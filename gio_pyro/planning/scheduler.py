"""Act by a planner: keep a plan for each environment, follow it for some steps, and plan again."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from gio_pyro.distributions.masks import restricted
from gio_pyro.errors import ProgramError, raised_by, shown
from gio_pyro.planning.base import NoPlanner, Planner
from gio_pyro.planning.distillation import Distillation, PlanMemory
from gio_pyro.planning.families import UNPLANNED, is_planned
from gio_pyro.planning.names import planner_named
from gio_pyro.types import Transitions

AT_ONCE = 2**17
"""Imagined states at once; more states are planned from one part after another."""
Mixed = Callable[[Any], Any]
"""From a policy to the behaviour that mixes it with exploratory actions."""


class Planning(NoPlanner):
    """Acts by a planner, or by the habit that was distilled from it.

    Args:
        planner: what plans.
        streams: N, the number of environments stepped together.
        memory: where the plans of collected transitions are kept for a habit; None without one.
        graphs: graphs of the planner, to be compared with what they read after each fit.
    """

    rest: Tensor
    """`[N, T, P]`: what is left of the plan in each environment, `UNPLANNED` where there is none."""
    left: Tensor
    """`[N]`: steps that are still acted by it."""
    asked: Tensor
    """`[N]`: whether an environment acted by its plan in this step."""
    planner: Planner
    retired: Tensor
    distilled: Tensor

    def __init__(self, planner: Planner, streams: int, memory: PlanMemory | None, graphs: Sequence[Any] = ()) -> None:
        super().__init__()
        self.planner, self.memory, self.graphs = planner, memory, graphs
        self.problem = planner.problem
        self.register_buffer("rest", torch.full((streams, 1, self.problem.family.width), UNPLANNED))
        self.register_buffer("left", torch.zeros(streams, dtype=torch.long))
        self.register_buffer("asked", torch.zeros(streams, dtype=torch.bool), persistent=False)
        self.register_buffer("retired", torch.zeros((), dtype=torch.bool))
        self.register_buffer("distilled", torch.zeros((), dtype=torch.bool))
        self.acted: list[Tensor] = []
        if memory is not None:
            self.objective = Distillation(memory, self.problem.family, self)

    @property
    def acting(self) -> Planner | None:
        """The planner that is acted by; None once it is retired."""
        return None if bool(self.retired) else self.planner

    def act_by(self, text: str | None) -> None:
        """Act by the planner of a name from now on; for None by the distilled habit or the policy."""
        self.left.zero_()
        self.rest.fill_(UNPLANNED)
        self.retired.fill_(text is None)
        if text is not None:
            self.planner = planner_named(text, self.problem)

    def behaviour(self, own: Any, mixed: Mixed, begun: bool) -> Any:
        """Return what collects until the next update: the planner, a habit, or `own` where nothing was seen yet."""
        self.acted = []
        if not begun:
            return own
        if bool(self.retired):
            return mixed(self.habit) if bool(self.distilled) else own
        return _PlannedBehaviour(self, mixed)

    def policy(self, own: Any) -> Any:
        """Return the planner as a policy, which plans at each call; once it is retired, the habit, or `own`."""
        if not bool(self.retired):
            return _PlannedPolicy(self)
        return self.habit if bool(self.distilled) else own

    @property
    def habit(self) -> Any:
        """The prior over actions, as a policy."""
        return _Habit(self.problem.prior)

    def refresh(self) -> None:
        """Drop what was computed from the model and the critic: they have been fitted since."""
        self.planner.refresh()
        for graph in self.graphs:
            graph.recheck()

    def keep(self, rows: Transitions) -> None:
        """Keep the plans that the latest collected transitions were acted by, for a habit to be distilled from."""
        if self.memory is not None:
            none = rows.weight.new_full((len(rows), self.problem.family.width), UNPLANNED)
            self.memory.keep(rows, torch.cat(self.acted) if self.acted else none)
        self.acted = []

    def renew(self, replay: Any, count: int) -> None:
        """Plan anew from `count` replayed states, for the habit: plans that were kept are of an older model."""
        if count and self.memory is not None and len(replay) and not bool(self.retired):
            rows = replay.sample(count)
            self.memory.renew(rows, self.planned(rows.state)[:, 0].to(self.rest.dtype))

    def planned(self, state: Tensor, start: Tensor | None = None) -> Tensor:
        """Return the plans from states `[N, ...]`, `[N, T, P]`, checked: a planner may be code of the user."""
        at_once = max(1, AT_ONCE // self.planner.draws)
        starts = [None] * len(state) if start is None else start.split(at_once)
        with raised_by(type(self.planner).__name__, "plan"):
            parts = [self.planner.plan(part, first) for part, first in zip(state.split(at_once), starts, strict=False)]
        for part in parts:
            if not isinstance(part, Tensor) or part.ndim != 3 or part.shape[-1] != self.problem.family.width:
                raise ProgramError(
                    f"Expected {type(self.planner).__name__} to return plans [N, T, {self.problem.family.width}], but "
                    f"got {shown(part, 80)}; see gio_pyro.planning.Planner.plan."
                )
        return torch.cat(parts)

    def next_actions(self, state: Tensor, stream: Tensor) -> Tensor:
        """Return what environments `[n]` act by in states `[n, ...]`, `[n, P]`, one step further in their plans."""
        due = self.left[stream] == 0
        if bool(due.any()):
            self._replan(state[due], stream[due])
        now = self.rest[stream, 0]
        self.rest[stream] = torch.cat([self.rest[stream][:, 1:], torch.full_like(now, UNPLANNED)[:, None]], 1)
        self.left[stream] -= 1
        self.asked[stream] = True
        return self._allowed(now, state)

    def _replan(self, state: Tensor, stream: Tensor) -> None:
        start = self.rest[stream]
        plans = self.planned(state, None if not bool(is_planned(start).any()) else start).to(self.rest.dtype)
        if plans.shape[1] != self.rest.shape[1]:
            self.rest = plans.new_full((len(self.rest), *plans.shape[1:]), UNPLANNED)
        self.rest[stream] = plans
        self.left[stream] = min(self.planner.replan, plans.shape[1])

    def _allowed(self, parameters: Tensor, state: Tensor) -> Tensor:
        """Return the parameters `[n, P]`, restricted to the actions that states allow."""
        return restricted(parameters, self.problem.spec.allowed(state))

    def after(self, real: Tensor, over: Tensor, acted: Tensor) -> None:
        """Drop plans of environments whose episode is over, or that something else has moved; `[N]` booleans each."""
        stale = over | ~self.asked
        self.left.masked_fill_(stale, 0)
        self.rest.masked_fill_(stale[:, None, None], UNPLANNED)
        if self.memory is not None:
            self.acted.append(acted[real])
        self.asked.fill_(False)

    def _load_from_state_dict(self, state_dict: dict[str, Tensor], prefix: str, *others: Any) -> None:
        """Take the length of the plans from a checkpoint."""
        saved = state_dict.get(f"{prefix}rest")
        if saved is not None and saved.shape[2:] == self.rest.shape[2:] and len(saved) == len(self.rest):
            self.rest = torch.empty_like(saved, device=self.rest.device)
        nn.Module._load_from_state_dict(self, state_dict, prefix, *others)


class _PlannedBehaviour:
    """The behaviour of a planner; `Collector.collect` calls `on_step` after every step."""

    def __init__(self, planning: Planning, mixed: Mixed) -> None:
        self.planning, self.mixed = planning, mixed
        self.now = torch.full_like(planning.rest[:, 0], UNPLANNED)

    def __call__(self, state: Tensor) -> tuple[Tensor, Tensor]:
        """Return actions and their log-probabilities, `[N, ...]` and `[N]`."""
        return self.at(state, torch.arange(len(state), device=state.device))

    def at(self, state: Tensor, stream: Tensor) -> tuple[Tensor, Tensor]:
        """Return actions in the states `[n, ...]` of some environments `[n]`, and their log-probabilities."""
        parameters = self.planning.next_actions(state, stream)
        self.now[stream] = parameters
        q = self.planning.problem.family.distribution(parameters)
        found: tuple[Tensor, Tensor] = self.mixed(lambda state: q)(state)
        return found

    def on_step(self, step: Any) -> None:
        """Drop the plans of episodes that are over."""
        device = self.now.device
        real, over = (torch.from_numpy(flags.copy()).to(device) for flags in (step.real, step.next_begins))
        self.planning.after(real, over, self.now)
        self.now = torch.full_like(self.now, UNPLANNED)


class _PlannedPolicy:
    """A planner as a policy: it plans from each batch of states anew."""

    def __init__(self, planning: Planning) -> None:
        self.planning = planning

    def __call__(self, state: Tensor) -> Any:
        """Return q(a|s) of states `[N, ...]`."""
        return self.planning.problem.family.distribution(self._now(state))

    def mode(self, state: Tensor) -> Tensor:
        """Return the most probable action of each state, `[N, ...]`."""
        return self.planning.problem.family.mode(self._now(state))

    def _now(self, state: Tensor) -> Tensor:
        return self.planning._allowed(self.planning.planned(state)[:, 0], state)


class _Habit:
    """The prior over actions as a policy."""

    def __init__(self, prior: Callable[[Tensor], Any]) -> None:
        self.prior = prior

    def __call__(self, state: Tensor) -> Any:
        """Return p_a(a|s) of states `[N, ...]`."""
        return self.prior(state)

    def mode(self, state: Tensor) -> Tensor:
        """Return the most probable action, or the mean, in each state `[N, ...]`."""
        found = self.prior(state)
        best: Tensor = found.probs.argmax(-1) if found.has_enumerate_support else found.mean
        return best
