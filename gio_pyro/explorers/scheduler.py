"""Alternate between the agent's own policy and an explorer while collecting, in each environment."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager

import torch
from torch import Tensor, nn

from gio_pyro.data.replay_buffer import Replay
from gio_pyro.errors import InputError, raised_by, shown
from gio_pyro.explorers.base import Explorer
from gio_pyro.nn.gradient_step import Figures
from gio_pyro.types import Behaviour, Spec, Step, Transitions, in_space

LONGEST = 200
"""Most steps of a turn: it ends there even if its episode does not."""

Rows = Callable[[Tensor], tuple[Tensor, Tensor]]
"""From row numbers to values of the site "action" and their log-probabilities."""


class NoExplorer(nn.Module):
    """The agent's own policy collects every step. Every method that the loop calls is here, and does nothing."""

    def behaviour(self, own: Behaviour, replay: Replay) -> Behaviour:
        """Return what collects until the next update; `own` is the agent's behaviour."""
        return own

    def observe(self, rows: Transitions) -> None:
        """Take new transitions, each once, into the explorer's statistics."""

    def improve(self, replay: Replay, step: int) -> Figures:
        """Let the explorer learn; return its metrics."""
        return {}

    def optimisers(self) -> dict[str, torch.optim.Optimizer]:
        """Return the explorer's optimisers, by name."""
        return {}

    def shared_out(self, saved: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Return the step counts of another number of environments, divided among these."""
        return {}


class ExplorerScheduler(NoExplorer):
    """Alternates agent and explorer by turns to meet `share`; a turn is an episode, or `LONGEST` steps of it.

    An explorer has to act for several steps in a row to get anywhere, while a round of the loop may be a single step;
    so whole turns alternate. The rule is deterministic: in each environment the explorer acts if it has taken fewer
    steps than its share of all of them, the next one included.

    Args:
        explorer: the other policy.
        share: share of the steps, in [0, 1], that the explorer takes.
        streams: N, the number of environments stepped together.
    """

    explored: Tensor
    taken: Tensor
    left: Tensor
    exploring: Tensor

    def __init__(self, explorer: Explorer, share: float, streams: int) -> None:
        super().__init__()
        self.explorer, self.share = explorer, share
        for name in ("explored", "taken", "left"):
            self.register_buffer(name, torch.zeros(streams, dtype=torch.long))
        self.register_buffer("exploring", torch.zeros(streams, dtype=torch.bool))

    def calling(self, method: str) -> AbstractContextManager[None]:
        """Name the explorer's class and method in the errors that calling it raises: it may be user code."""
        return raised_by(type(self.explorer).__name__, method)

    def behaviour(self, own: Behaviour, replay: Replay) -> Behaviour:
        """Return what collects until the next update; `own` is the agent's behaviour."""
        return _Alternating(self, own, replay)

    def observe(self, rows: Transitions) -> None:
        """Pass new transitions to the explorer, each once."""
        with self.calling("observe"):
            self.explorer.observe(rows)

    def improve(self, replay: Replay, step: int) -> Figures:
        """Let the explorer learn; return its metrics, and its share of the steps so far."""
        share = self.explored.sum() / self.taken.sum().clamp_min(1)
        with self.calling("improve"):
            found = {**(self.explorer.improve(replay, step) or {}), "share": share}
        return {f"explorer_{name}": torch.as_tensor(figure, device=share.device) for name, figure in found.items()}

    def optimisers(self) -> dict[str, torch.optim.Optimizer]:
        """Return the explorer's optimisers, by name."""
        with self.calling("optimisers"):
            found = self.explorer.optimisers()
        return {f"explorer_{name}": optimiser for name, optimiser in found.items()}

    def shared_out(self, saved: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Return the step counts of another number of environments, divided among these."""
        count = len(self.taken)
        return {
            name: torch.div(saved[name].sum() + torch.arange(count), count, rounding_mode="floor")
            for name in ("explored", "taken")
        }

    def begin(self) -> Tensor:
        """Begin the turns that are due; return the environments in which the explorer's turn begins."""
        due = self.left == 0
        behind = self.explored < self.share * (self.taken + 1)
        self.exploring.copy_(torch.where(due, behind, self.exploring))
        self.left.masked_fill_(due, LONGEST)
        return (due & self.exploring).nonzero().flatten()

    def count(self, real: Tensor, over: Tensor) -> None:
        """Count a step where it was `real`, and end turns where the episode is `over`; `[N]` booleans each."""
        self.taken += real
        self.explored += real & self.exploring
        self.left.copy_(torch.where(over, 0, self.left - 1))


class _Alternating:
    """The behaviour that alternates; `Collector.collect` calls `on_step` after every step."""

    def __init__(self, scheduler: ExplorerScheduler, own: Behaviour, replay: Replay) -> None:
        self.scheduler, self.explorer, self.own = scheduler, scheduler.explorer, own
        self.name = type(self.explorer).__name__
        self.own_on_step: Callable[[Step], None] | None = getattr(own, "on_step", None)
        with scheduler.calling("behaviour"):
            self.act = self.explorer.behaviour(replay)
        self.spec = self.explorer.source.fitted.spec
        if not callable(self.act):
            raise InputError(
                f"Expected {self.name}.behaviour to return a function of states and streams, but got "
                f"{shown(self.act)}; return one."
            )

    def __call__(self, state: Tensor) -> tuple[Tensor, Tensor]:
        """Return actions and their log-probabilities, `[N, ...]` and `[N]`."""
        begun = self.scheduler.begin()
        if len(begun):
            with self.scheduler.calling("begin"):
                self.explorer.begin(begun)
        exploring = self.scheduler.exploring
        return either(exploring, lambda row: self._explore(state[row], row), lambda row: self._own(state[row], row))

    def _own(self, state: Tensor, stream: Tensor) -> tuple[Tensor, Tensor]:
        """Return the agent's own actions in some environments `[n]`, which a planner keeps its plans by."""
        at = getattr(self.own, "at", None)
        found: tuple[Tensor, Tensor] = self.own(state) if at is None else at(state, stream)
        return found

    def _explore(self, state: Tensor, stream: Tensor) -> tuple[Tensor, Tensor]:
        """Return the explorer's actions, checked: it may be user code, and wrong actions would enter replay."""
        with self.scheduler.calling("behaviour"):
            found = self.act(state, stream)
        if not fits(found, len(state), self.spec):
            raise InputError(
                f"Expected {self.name} to return actions of {self.spec.action_space} and finite log-probabilities, one "
                f"of each for {len(state)} states, but got {_seen(found)}; see gio_pyro.explorers.Explorer.behaviour."
            )
        allowed = self.spec.allowed(state)
        if allowed is not None and not bool(allowed.gather(-1, found[0][:, None]).all()):
            raise InputError(
                f"Expected {self.name} to take allowed actions, but got another; ask fitted.spec.allowed(state)."
            )
        return found

    def on_step(self, step: Step) -> None:
        """Count a step, and pass the states that the explorer's own actions led to on to it."""
        device = self.scheduler.left.device
        real, over = (torch.from_numpy(flags.copy()).to(device) for flags in (step.real, step.next_begins))
        explored = (self.scheduler.exploring & real).nonzero().flatten()
        if len(explored):
            with self.scheduler.calling("on_step"):
                self.explorer.on_step(step.rows["next_state"][explored], explored)
        self.scheduler.count(real, over)
        if self.own_on_step is not None:
            self.own_on_step(step)


def fits(found: object, count: int, spec: Spec) -> bool:
    """Return whether `found` is `count` values of the site "action" and a finite log μ of each."""
    if not isinstance(found, tuple) or len(found) != 2 or not all(isinstance(one, Tensor) for one in found):
        return False
    action, log_mu = found
    if action.ndim == 0 or len(action) != count or log_mu.shape != (count,):
        return False
    kind = action.dtype if action.is_floating_point() else None
    return in_space(action, spec.action_space, kind) and bool(log_mu.isfinite().all())


def _seen(found: object) -> str:
    """Return a short description of what an explorer returned."""
    parts = found if isinstance(found, tuple) else (found,)
    return " and ".join(
        " ".join(str(part.tolist() if isinstance(part, Tensor) else part).split())[:60] for part in parts
    )


def either(which: Tensor, yes: Rows, no: Rows) -> tuple[Tensor, Tensor]:
    """Return the results of `yes` for the rows where `which` `[n]` is True, of `no` for the others, in row order."""
    flags = which.tolist()
    if all(flags) or not any(flags):
        return (yes if all(flags) else no)(torch.arange(len(flags), device=which.device))
    rows = which.nonzero().flatten(), (~which).nonzero().flatten()
    back = torch.cat(rows).argsort()
    action, log_mu = (torch.cat(parts)[back] for parts in zip(yes(rows[0]), no(rows[1]), strict=True))
    return action, log_mu
