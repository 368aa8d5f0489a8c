"""Who collects: the agent's own policy or the explorer, taking turns in each environment."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager

import torch
from torch import Tensor, nn

from gio_pyro.collection import Behaviour
from gio_pyro.collection.collected import Step
from gio_pyro.data.replay_buffer import Replay
from gio_pyro.errors import InputError, raised_by, shown
from gio_pyro.explorers.base import Explorer
from gio_pyro.nn.gradient_step import Figures
from gio_pyro.types import Spec, Transitions, in_space

LONGEST = 200
"""Steps after which a turn ends although its episode does not."""

Rows = Callable[[Tensor], tuple[Tensor, Tensor]]
"""From row numbers to values of the site "action" and their log-probabilities."""


class ExplorerScheduler(nn.Module):
    """Gives each turn to whoever is behind its share of the steps; a turn is an episode, or `LONGEST` steps of it.

    An explorer has to act for several steps in a row to get anywhere, and a round of the loop may be a single one; so
    it is turns that are shared out. The rule is one of counts and draws nothing: the explorer acts if it has taken
    fewer steps than its share of all of them, this one included, in that environment.

    Args:
        explorer: the other policy; None for an agent that collects alone.
        share: of the steps, in [0, 1], that the explorer takes.
        streams: N, how many environments are stepped together.
    """

    explored: Tensor
    taken: Tensor
    left: Tensor
    exploring: Tensor

    def __init__(self, explorer: Explorer | None, share: float, streams: int) -> None:
        super().__init__()
        self.explorer, self.share = explorer, share
        if explorer is not None:
            for name in ("explored", "taken", "left"):
                self.register_buffer(name, torch.zeros(streams, dtype=torch.long))
            self.register_buffer("exploring", torch.zeros(streams, dtype=torch.bool))

    def asked(self, method: str) -> AbstractContextManager[None]:
        """Name the explorer, which may be somebody's own, in what it raises when it is asked for this."""
        return raised_by(type(self.explorer).__name__, method)

    def behaviour(self, own: Behaviour, replay: Replay) -> Behaviour:
        """Return what collects until the next update; `own` is the agent's."""
        return own if self.explorer is None else _Both(self, self.explorer, own, replay)

    def observe(self, rows: Transitions) -> None:
        """Tell the explorer of new transitions, each once."""
        if self.explorer is not None:
            with self.asked("observe"):
                self.explorer.observe(rows)

    def improve(self, replay: Replay, step: int) -> Figures:
        """Let the explorer learn; returns its figures, and its share of the steps so far."""
        if self.explorer is None:
            return {}
        share = self.explored.sum() / self.taken.sum().clamp_min(1)
        with self.asked("improve"):
            found = {**(self.explorer.improve(replay, step) or {}), "share": share}
        return {f"explorer_{name}": torch.as_tensor(figure, device=share.device) for name, figure in found.items()}

    def optimisers(self) -> dict[str, torch.optim.Optimizer]:
        """Return those of the explorer, by name."""
        if self.explorer is None:
            return {}
        with self.asked("optimisers"):
            found = self.explorer.optimisers()
        return {f"explorer_{name}": optimiser for name, optimiser in found.items()}

    def shared_out(self, saved: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """Return the counts of another number of environments, shared out among these."""
        if self.explorer is None:
            return {}
        count = len(self.taken)
        return {
            name: torch.div(saved[name].sum() + torch.arange(count), count, rounding_mode="floor")
            for name in ("explored", "taken")
        }

    def begin(self) -> Tensor:
        """Begin the turns that are due; returns the environments in which the explorer's begins."""
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


class _Both:
    """One behaviour out of two. It is told of every step (see `Collector.collect`)."""

    def __init__(self, turns: ExplorerScheduler, explorer: Explorer, own: Behaviour, replay: Replay) -> None:
        self.turns, self.explorer, self.own = turns, explorer, own
        self.name = type(explorer).__name__
        with turns.asked("behaviour"):
            self.act = explorer.behaviour(replay)
        self.spec = explorer.source.fitted.spec
        if not callable(self.act):
            raise InputError(
                f"Expected {self.name}.behaviour to return a function of states and streams, but got "
                f"{shown(self.act)}; return one."
            )

    def __call__(self, state: Tensor) -> tuple[Tensor, Tensor]:
        """Return actions and their log-probabilities, `[N, ...]` and `[N]`."""
        begun = self.turns.begin()
        if len(begun):
            with self.turns.asked("begin"):
                self.explorer.begin(begun)
        return either(self.turns.exploring, lambda row: self._acted(state[row], row), lambda row: self.own(state[row]))

    def _acted(self, state: Tensor, stream: Tensor) -> tuple[Tensor, Tensor]:
        """Return what the explorer does, which may be somebody's own; a wrong action would go into replay unseen."""
        with self.turns.asked("behaviour"):
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
        """Count a step, and tell the explorer where its own actions led."""
        device = self.turns.left.device
        real, over = (torch.from_numpy(flags.copy()).to(device) for flags in (step.real, step.follows))
        mine = (self.turns.exploring & real).nonzero().flatten()
        if len(mine):
            with self.turns.asked("on_step"):
                self.explorer.on_step(step.rows["next_state"][mine], mine)
        self.turns.count(real, over)


def fits(found: object, count: int, spec: Spec) -> bool:
    """Whether something is `count` values of the site "action" and finite log μ of each."""
    if not isinstance(found, tuple) or len(found) != 2 or not all(isinstance(one, Tensor) for one in found):
        return False
    action, log_mu = found
    if action.ndim == 0 or len(action) != count or log_mu.shape != (count,):
        return False
    kind = action.dtype if action.is_floating_point() else None
    return in_space(action, spec.action_space, kind) and bool(log_mu.isfinite().all())


def _seen(found: object) -> str:
    """Return what an explorer returned, in short."""
    parts = found if isinstance(found, tuple) else (found,)
    return " and ".join(
        " ".join(str(part.tolist() if isinstance(part, Tensor) else part).split())[:60] for part in parts
    )


def either(which: Tensor, yes: Rows, no: Rows) -> tuple[Tensor, Tensor]:
    """Return what `yes` gives for the rows where `which` `[n]` is True, `no` for the others, in order."""
    flags = which.tolist()
    if all(flags) or not any(flags):
        return (yes if all(flags) else no)(torch.arange(len(flags), device=which.device))
    rows = which.nonzero().flatten(), (~which).nonzero().flatten()
    back = torch.cat(rows).argsort()
    action, log_mu = (torch.cat(parts)[back] for parts in zip(yes(rows[0]), no(rows[1]), strict=True))
    return action, log_mu
