"""Steps the world with a behaviour, and hands on whole transitions on the device."""

import warnings
from collections import deque
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Protocol
from weakref import ReferenceType, WeakKeyDictionary, ref

import numpy as np
import torch
from gymnasium.vector import VectorEnv
from torch import Tensor

from gio_pyro.collection.base import CannotRestore, Outcome
from gio_pyro.collection.collected import Collected, Step, together
from gio_pyro.collection.episode_restore import record_of, restore
from gio_pyro.collection.episode_statistics import EpisodeStatistics
from gio_pyro.collection.layers import layers
from gio_pyro.collection.make import Env, Vector
from gio_pyro.collection.masks import Keeping
from gio_pyro.collection.playground import playground
from gio_pyro.collection.statistics import frozen, put, statistics_of
from gio_pyro.collection.traits import is_wrapper, said, since, traits
from gio_pyro.collection.transfer import to_device
from gio_pyro.collection.vector_adapters import world_of
from gio_pyro.errors import GioWarning, TrainingError

LARGEST = float(np.finfo(np.float32).max)
"""A larger reward is infinite where learning keeps it, in float32."""
LEARNABLE = 1e16
"""A larger reward has returns whose squares, which critics learn from, are infinite in float32."""


class Behaviour(Protocol):
    """What collects."""

    def __call__(self, state: Tensor) -> tuple[Tensor, Tensor]:
        """Return values of the site "action" `[N, ...]` for states `[N, ...]`, and log μ(a|s) of each, `[N]` nats."""
        ...


_LAST_USER: "WeakKeyDictionary[Any, ReferenceType[Collector]]" = WeakKeyDictionary()
"""Which collector stepped an environment last, so that agents that share one do not mix their episodes."""


class Collector:
    """Steps one environment or a vector of them, and keeps count of the episodes.

    Args:
        env: what is stepped.
        seed: of the first reset.
        device: where states are handed to the behaviour and transitions are kept.
        keeping: what becomes of action masks; nothing by default.

    Attributes:
        world: the environments behind their encodings.
        observations: from observations to states.
        actions: between the site "action" and the environment's actions.
        returns: undiscounted returns of the last 100 episodes that ended, reward units.
        lengths: their steps.
    """

    def __init__(self, env: Env | Vector, *, seed: int, device: torch.device, keeping: Keeping | None = None) -> None:
        self.env, self.seed, self.device = env, seed, device
        self.world = world_of(env, keeping)
        self.observations, self.actions = self.world.observations, self.world.actions
        self._tally = EpisodeStatistics(self.world.count)
        self.returns: deque[float] = self._tally.returns
        self.lengths: deque[int] = self._tally.lengths
        self._begins = np.ones(self.world.count, dtype=np.bool_)
        self._state: Tensor | None = None
        self._next_seed: int | None = seed
        self._made = traits(env)

    @property
    def episodes(self) -> int:
        """How many episodes have ended."""
        return self._tally.episodes

    def __getstate__(self) -> dict[str, Any]:
        return vars(self) | {"_copied_user": self._is_last_user()}

    def __setstate__(self, state: dict[str, Any]) -> None:
        """A copy goes on with its copy of the running episode."""
        was_user = state.pop("_copied_user")
        vars(self).update(state)
        if was_user:
            _LAST_USER[self.world.stepped] = ref(self)

    def snapshot(self) -> dict[str, Any]:
        """Return what `resume` takes, as tensors and plain values: the counts and the running episodes."""
        running = None
        if self._state is not None and self._is_last_user():
            running = record_of(self.world) | self._tally.running() | {"begins": self._begins.tolist()}
        world = {"statistics": statistics_of(self.env), "traits": since(self._made, self.env, self.episodes)}
        return self._tally.ended() | {"next_seed": self._next_seed, "running": running} | world

    def resume(self, record: Mapping[str, Any]) -> None:
        """Take over what `snapshot` returned.

        The running episodes go on exactly where the environment can be brought back to where it was; where it cannot,
        a `GioWarning` says why, and new ones begin.
        """
        self._tally.resume(record)
        self._state = None
        self._next_seed, running = record["next_seed"], record["running"]
        if not put(self.env, record["statistics"]):
            text = (
                f"Expected the wrappers with running statistics of training, but got {self.env}; they count from anew."
            )
            warnings.warn(text, GioWarning, stacklevel=3)
        elif running is not None:
            with frozen(self.env):
                self._go_on(running)
            put(self.env, record["statistics"])
        if self._state is not None and (lost := self._forgotten(record)):
            text = f"Expected wrappers that remember what they did in training, but {', '.join(lost)[:120]} begins anew"
            warnings.warn(f"{text}; set it if it matters.", GioWarning, stacklevel=3)
        if self._state is None and self._next_seed is None:
            self._next_seed = self._another_seed(running)

    def _go_on(self, running: Mapping[str, Any]) -> None:
        try:
            restore(self.world, running)
        except CannotRestore as why:
            text = f"Expected to go on with the running episode of {self.env}, but {why}; a new episode begins."
            warnings.warn(text, GioWarning, stacklevel=3)
            return
        self._tally.go_on(running)
        self._begins = np.array(running["begins"], dtype=np.bool_)
        self._state = to_device({"state": self.world.seen}, self.device)["state"]
        _LAST_USER[self.world.stepped] = ref(self)

    def unlike(self, record: Mapping[str, Any]) -> tuple[list[str], list[str]]:
        """Return what differs in this environment, made again from its id and resumed, from that of a snapshot.

        First what stood still while it was learned in, and had been changed by hand before; then what changed
        meanwhile, by hand or by itself. What an episode moves is not counted.
        """
        other = {place: one for place, one in record["traits"].items() if one[0] != self._made.get(place)}
        if other and self._state is None:
            self.world.reset(None)
        now = traits(self.env) if other else {}
        found = [
            (place, stood_still)
            for place, (digest, stood_still) in other.items()
            if digest != now.get(place) == self._made.get(place)
        ]
        alone = not isinstance(self.env, VectorEnv)  # what a vector keeps for itself moves with its episodes
        meanwhile = [said(place) for place, still in found if not still and (alone or not place.startswith("0."))]
        return [said(place) for place, still in found if still], meanwhile

    def _forgotten(self, record: Mapping[str, Any]) -> list[str]:
        """Return what wrappers of the caller's own remembered, and these do not although their episode goes on."""
        now = traits(self.env)
        found = [place for place, (digest, _) in record["traits"].items() if now.get(place, digest) != digest]
        return [said(place) for place in found if is_wrapper(place, self.env)]

    def _another_seed(self, running: Mapping[str, Any] | None) -> int:
        """A seed that follows from what is resumed, so that resuming twice is the same, and that repeats no episode."""
        steps = 0 if running is None else sum(running["length"])
        return int(np.random.SeedSequence([self.seed, self.episodes, steps]).generate_state(1)[0])

    def _is_last_user(self) -> bool:
        last = _LAST_USER.get(self.world.stepped)
        return last is not None and last() is self

    @contextmanager
    def playground(self, given: "str | Env | Vector | None" = None) -> Iterator[Env | Vector]:
        """Give an environment to play in beside this one: a copy of it as it stands, or the given one.

        Where the given one is this one, or wraps it, the running episode ends.

        Raises:
            InputError: the environment cannot be copied, or the given one has other spaces.
        """
        with playground(self.env, given) as env:
            if {id(layer) for layer in layers(env)} & {id(layer) for layer in layers(self.env)}:
                _LAST_USER.pop(self.world.stepped, None)
            yield env

    def collect(self, behaviour: Behaviour, steps: int) -> Collected:
        """Take at least `steps` steps, exactly as many with one environment.

        A behaviour with a method `on_step` is called with each `Step` after it was taken.

        Raises:
            TrainingError: the environment raised, or gave a reward or an observation that is NaN or infinite.
            InputError: an observation outside its space.
        """
        if not self._is_last_user():
            self._state = None  # another agent has moved the environment since
            _LAST_USER[self.world.stepped] = ref(self)
        taken: list[Step] = []
        count = 0
        on_step = getattr(behaviour, "on_step", None)
        begins = self._begins if self._state is not None else np.ones(self.world.count, dtype=np.bool_)
        with torch.no_grad():
            while count < steps:
                taken.append(self._step(behaviour, self._ready()))
                count += taken[-1].real.tolist().count(True)
                if on_step is not None:
                    on_step(taken[-1])
        self._begins = taken[-1].follows
        return together(taken, begins)

    def _ready(self) -> Tensor:
        """The states to act upon."""
        if self._state is None:
            first = self.world.reset(self._next_seed)
            self._next_seed = None
            self._tally.begin()
        else:
            renewed = self.world.renew()
            if renewed is None:
                return self._state
            first = renewed
        self._state = to_device({"state": first}, self.device)["state"]
        return self._state

    def _step(self, behaviour: Behaviour, state: Tensor) -> Step:
        action, log_mu = behaviour(state)
        self._state = None  # whatever goes wrong now, the next step begins an episode
        outcome = self.world.step(action.numpy(force=True))
        for reward in outcome.reward.tolist():
            if not abs(reward) <= LARGEST:
                raise TrainingError(f"Expected a finite reward, but the environment gave {reward}; correct it.")
            if not abs(reward) <= LEARNABLE:
                raise TrainingError(
                    f"Expected a reward of at most {LEARNABLE:g} in size, but the environment gave {reward:g}: squares "
                    "of its returns would be infinite; scale it, e.g. by gymnasium.wrappers.TransformReward."
                )
        self._tally.count(outcome)
        arrived = self._sent(outcome)
        self._state = arrived.pop("observation", arrived["next_state"])
        rows = {"state": state, "action": action, "log_behaviour": log_mu} | arrived
        return Step(rows, outcome.terminated | outcome.truncated, outcome.real)

    def _sent(self, outcome: Outcome) -> dict[str, Tensor]:
        """All that the environment gave, on the device, in one transfer."""
        given = {
            "next_state": outcome.after,
            "reward": outcome.reward.astype(np.float32),
            "terminated": outcome.terminated,
            "truncated": outcome.truncated,
        }
        if outcome.after is not outcome.observation:  # the world has begun another episode
            given["observation"] = outcome.observation
        return to_device(given, self.device)
