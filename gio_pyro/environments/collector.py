"""Steps the world with a behaviour, and hands on whole transitions on the device."""

from collections import deque
from dataclasses import dataclass
from typing import Any, Protocol
from weakref import ReferenceType, WeakKeyDictionary, ref

import numpy as np
import torch
from torch import Tensor

from gio_pyro.environments.base import Array, Outcome
from gio_pyro.environments.make import Env, Vector
from gio_pyro.environments.transfer import to_device
from gio_pyro.environments.worlds import world_of
from gio_pyro.errors import TrainingError
from gio_pyro.types import Transitions


class Behaviour(Protocol):
    """What collects."""

    def __call__(self, state: Tensor) -> tuple[Tensor, Tensor]:
        """Return values of the site "action" `[N, ...]` for states `[N, ...]`, and μ(a|s) of each, `[N]`."""
        ...


@dataclass(frozen=True)
class Collected:
    """Transitions in the order in which they happened, and how they hang together."""

    rows: Transitions
    """`[B, ...]` on the device."""
    stream: Tensor
    """`[B]` int64: which of the N environments."""
    begins: Tensor
    """`[B]` booleans: True where the row does not continue the previous row of its stream."""


_LAST_USER: "WeakKeyDictionary[Env | Vector, ReferenceType[Collector]]" = WeakKeyDictionary()
"""Which collector stepped an environment last, so that agents that share one do not mix their episodes."""


class Collector:
    """Steps one environment or a vector of them, and keeps count of the episodes.

    Args:
        env: what is stepped.
        seed: of the first reset.
        device: where states are handed to the behaviour and transitions are kept.

    Attributes:
        world: the environments behind their encodings.
        returns: undiscounted returns of the last 100 episodes that ended, reward units.
        lengths: their steps.
        episodes: how many have ended.
    """

    def __init__(self, env: Env | Vector, *, seed: int, device: torch.device) -> None:
        self.env, self.seed, self.device = env, seed, device
        self.world = world_of(env)
        self.observations, self.actions = self.world.observations, self.world.actions
        self.returns: deque[float] = deque(maxlen=100)
        self.lengths: deque[int] = deque(maxlen=100)
        self.episodes = 0
        self._state: Tensor | None = None
        self._seeded = False
        self._begin_counting()

    def counts(self) -> dict[str, Any]:
        """Return what `resume` takes, as plain values."""
        return {
            "episodes": self.episodes,
            "returns": list(self.returns),
            "lengths": list(self.lengths),
            "seeded": self._seeded,
        }

    def resume(self, counts: dict[str, Any]) -> None:
        """Take over the counts of an earlier run; its unfinished episode is dropped and the next step begins one."""
        self.episodes, self._seeded = int(counts["episodes"]), bool(counts["seeded"])
        self.returns.extend(float(r) for r in counts["returns"])
        self.lengths.extend(int(n) for n in counts["lengths"])
        self._state = None

    def collect(self, behaviour: Behaviour, steps: int) -> Collected:
        """Take at least `steps` steps, exactly as many with one environment.

        Raises:
            TrainingError: the environment raised, or gave a reward or an observation that is NaN or infinite.
            InputError: an observation outside its space.
        """
        last = _LAST_USER.get(self.env)
        if last is None or last() is not self:
            self._state = None  # another agent has moved the environment since
            _LAST_USER[self.env] = ref(self)
        steps_taken: list[dict[str, Tensor]] = []
        real: list[Array] = []
        begins: list[Array] = []
        taken = 0
        while taken < steps:
            state = self._ready()
            begins.append(self._begins)
            step, outcome = self._step(behaviour, state)
            steps_taken.append(step)
            real.append(outcome.real)
            taken += int(outcome.real.sum())
        return self._collected(steps_taken, np.concatenate(real), np.concatenate(begins))

    def _ready(self) -> Tensor:
        """The states to act upon."""
        if self._state is None:
            first = self.world.reset(None if self._seeded else self.seed)
            self._seeded = True
            self._begin_counting()
        else:
            renewed = self.world.renew()
            if renewed is None:
                return self._state
            first = renewed
        self._state = to_device({"state": first}, self.device)["state"]
        return self._state

    def _step(self, behaviour: Behaviour, state: Tensor) -> tuple[dict[str, Tensor], Outcome]:
        with torch.no_grad():
            action, mu = behaviour(state)
        self._state = None  # whatever goes wrong now, the next step begins an episode
        outcome = self.world.step(action.detach().cpu().numpy())
        given = {
            "reward": _finite(outcome),
            "terminated": outcome.terminated,
            "truncated": outcome.truncated,
            "observation": outcome.observation,
        }
        if outcome.after is not outcome.observation:
            given["next_state"] = outcome.after
        arrived = to_device(given, self.device)
        self._state = arrived.pop("observation")
        self._count(outcome)
        return {"next_state": self._state, "state": state, "action": action, "behaviour": mu} | arrived, outcome

    def _begin_counting(self) -> None:
        self._return, self._length = np.zeros(self.world.count), np.zeros(self.world.count, dtype=np.int64)
        self._begins = np.ones(self.world.count, dtype=np.bool_)

    def _count(self, outcome: Outcome) -> None:
        self._return += np.where(outcome.real, outcome.reward, 0.0)
        self._length += outcome.real
        ended = outcome.terminated | outcome.truncated
        self._begins = ended | (self._begins & ~outcome.real)
        if not ended.any():
            return
        self.returns.extend(self._return[ended].tolist())
        self.lengths.extend(self._length[ended].tolist())
        self.episodes += int(ended.sum())
        self._return[ended], self._length[ended] = 0.0, 0

    def _collected(self, steps: list[dict[str, Tensor]], real: Array, begins: Array) -> Collected:
        """Put the steps one after the other; those that only reset an environment are left out."""
        streams = np.tile(np.arange(self.world.count), len(steps))
        kept = np.flatnonzero(real)
        how = to_device({"stream": streams[kept], "begins": begins[kept], "kept": kept}, self.device)
        rows = {name: torch.cat([step[name] for step in steps]) for name in steps[0]}
        if len(kept) < len(real):
            rows = {name: row[how["kept"]] for name, row in rows.items()}
        weight = torch.ones(len(kept), device=self.device)
        return Collected(Transitions(**rows, weight=weight), how["stream"], how["begins"])


def _finite(outcome: Outcome) -> Array:
    """The rewards in float32."""
    with np.errstate(over="ignore"):
        reward = np.where(outcome.real, outcome.reward, 0.0).astype(np.float32)
    if not np.isfinite(reward).all():
        bad = outcome.reward[~np.isfinite(reward)][0]
        raise TrainingError(f"Expected a finite reward, but the environment gave {bad}; correct it.")
    return reward
