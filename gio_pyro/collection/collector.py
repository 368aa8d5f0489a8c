"""Step environments with a behaviour policy and return complete transitions on the device."""

import warnings
from collections import deque
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any
from weakref import ReferenceType, WeakKeyDictionary, ref

import numpy as np
import torch
from gymnasium.vector import VectorEnv
from torch import Tensor

from gio_pyro.collection.attribute_digests import attribute_digests, attribute_name, belongs_to_wrapper, digests_since
from gio_pyro.collection.collected import Collected, Step, concatenate_steps
from gio_pyro.collection.device_transfer import to_device
from gio_pyro.collection.environment_adapter import CannotRestore, StepResult
from gio_pyro.collection.episode_restore import record_episodes, restore_episodes
from gio_pyro.collection.episode_statistics import EpisodeStatistics
from gio_pyro.collection.evaluation_environment import evaluation_environment
from gio_pyro.collection.finite_steps import FiniteSteps, has_finite_steps
from gio_pyro.collection.make import Env, Vector
from gio_pyro.collection.mask_handlers import MaskHandler
from gio_pyro.collection.reward_checks import check_size
from gio_pyro.collection.vector_adapters import adapter_of
from gio_pyro.collection.wrapper_statistics import freeze_statistics, load_statistics, read_statistics
from gio_pyro.collection.wrappers import all_layers
from gio_pyro.errors import GioWarning
from gio_pyro.types import Behaviour as Behaviour

_LAST_USER: "WeakKeyDictionary[Any, ReferenceType[Collector]]" = WeakKeyDictionary()
"""The collector that stepped each environment last, so that agents sharing one do not mix their episodes."""


class Collector:
    """Steps one environment or a vector of them and counts their episodes.

    Args:
        env: the environment or vector to step.
        seed: of the first reset.
        device: of the states passed to the behaviour and of the transitions.
        mask_handler: where action masks are kept; left out of the states by default.

    Attributes:
        environments: the environments with encoded observations and actions.
        observations: the encoding of observations as states.
        actions: the encoding of actions as values of the site "action".
        returns: undiscounted returns of the last 100 episodes that ended, reward units.
        lengths: lengths of these episodes, steps.
    """

    def __init__(
        self, env: Env | Vector, *, seed: int, device: torch.device, mask_handler: MaskHandler | None = None
    ) -> None:
        self.env, self.seed, self.device = env, seed, device
        self.environments = adapter_of(env, mask_handler)
        self.observations, self.actions = self.environments.observations, self.environments.actions
        self._statistics = EpisodeStatistics(self.environments.count)
        self.returns: deque[float] = self._statistics.returns
        self.lengths: deque[int] = self._statistics.lengths
        self._begins = np.ones(self.environments.count, dtype=np.bool_)
        self._state: Tensor | None = None
        self._next_seed: int | None = seed
        self._initial_digests = attribute_digests(env)

    def metrics(self) -> dict[str, float]:
        """Return the mean return and length of the last 100 episodes, NaN before the first has ended."""
        return {
            "rollout/ep_rew_mean": float(np.mean(self.returns)) if self.returns else float("nan"),
            "rollout/ep_len_mean": float(np.mean(self.lengths)) if self.lengths else float("nan"),
        }

    @property
    def episodes(self) -> int:
        """Number of episodes that have ended."""
        return self._statistics.episodes

    def __getstate__(self) -> dict[str, Any]:
        return vars(self) | {"_copied_user": self._is_last_user()}

    def __setstate__(self, state: dict[str, Any]) -> None:
        """Restore a copy, which continues its own copy of the running episode."""
        was_user = state.pop("_copied_user")
        vars(self).update(state)
        if was_user:
            _LAST_USER[self.environments.stepped] = ref(self)

    def snapshot(self) -> dict[str, Any]:
        """Return the state for `resume`, tensors and plain values: statistics and the running episodes."""
        running = None
        if self._state is not None and self._is_last_user():
            running = record_episodes(self.environments) | self._statistics.running()
            running["begins"] = self._begins.tolist()
        state = {
            "statistics": read_statistics(self.env),
            "traits": digests_since(self._initial_digests, self.env, self.episodes),
        }
        return self._statistics.finished() | {"next_seed": self._next_seed, "running": running} | state

    def resume(self, record: Mapping[str, Any]) -> None:
        """Load what `snapshot` returned.

        The running episodes continue exactly if the state of the environment can be restored; otherwise a `GioWarning`
        gives the reason, and new episodes begin.
        """
        self._statistics.load_finished(record)
        self._state = None
        self._next_seed, running = record["next_seed"], record["running"]
        if not load_statistics(self.env, record["statistics"]):
            text = (
                f"Expected the wrappers with running statistics of training, but got {self.env}; its statistics start "
                "empty."
            )
            warnings.warn(text, GioWarning, stacklevel=3)
        elif running is not None:
            with freeze_statistics(self.env):
                self._restore_running(running)
            load_statistics(self.env, record["statistics"])
        if self._state is not None and (lost := self._unrestored_attributes(record)):
            text = f"Expected wrappers that remember what they did in training, but {', '.join(lost)[:120]} begins anew"
            warnings.warn(f"{text}; set it if it matters.", GioWarning, stacklevel=3)
        if self._state is None and self._next_seed is None:
            self._next_seed = self._another_seed(running)

    def _restore_running(self, running: Mapping[str, Any]) -> None:
        try:
            restore_episodes(self.environments, running)
        except CannotRestore as why:
            text = f"Expected to go on with the running episode of {self.env}, but {why}; a new episode begins."
            warnings.warn(text, GioWarning, stacklevel=3)
            return
        self._statistics.load_running(running)
        self._begins = np.array(running["begins"], dtype=np.bool_)
        self._state = to_device({"state": self.environments.states}, self.device)["state"]
        _LAST_USER[self.environments.stepped] = ref(self)

    def changed_attributes(self, record: Mapping[str, Any]) -> tuple[list[str], list[str]]:
        """Return the attributes in which this environment, remade and resumed, differs from that of a snapshot.

        First those that had been changed before training and stayed the same during it; then those that changed during
        training. Attributes that change within an episode are left out.
        """
        other = {place: one for place, one in record["traits"].items() if one[0] != self._initial_digests.get(place)}
        if other and self._state is None:
            self.environments.reset(None)
        now = attribute_digests(self.env) if other else {}
        found = [
            (place, constant)
            for place, (digest, constant) in other.items()
            if digest != now.get(place) == self._initial_digests.get(place)
        ]
        single = not isinstance(self.env, VectorEnv)  # attributes of a vector change with its episodes
        before = [attribute_name(place) for place, constant in found if constant]
        during = [place for place, constant in found if not constant and (single or not place.startswith("0."))]
        return before, [attribute_name(place) for place in during]

    def _unrestored_attributes(self, record: Mapping[str, Any]) -> list[str]:
        """Return the attributes of custom wrappers that were not restored although their episode continues."""
        now = attribute_digests(self.env)
        found = [place for place, (digest, _) in record["traits"].items() if now.get(place, digest) != digest]
        return [attribute_name(place) for place in found if belongs_to_wrapper(place, self.env)]

    def _another_seed(self, running: Mapping[str, Any] | None) -> int:
        """Return a seed derived from the resumed state: reproducible, and different from those used before."""
        steps = 0 if running is None else sum(running["length"])
        return int(np.random.SeedSequence([self.seed, self.episodes, steps]).generate_state(1)[0])

    def _is_last_user(self) -> bool:
        last = _LAST_USER.get(self.environments.stepped)
        return last is not None and last() is self

    @contextmanager
    def evaluation_environment(self, given: "str | Env | Vector | None" = None) -> Iterator[Env | Vector]:
        """Yield an environment to evaluate in: a copy of this one in its current state, or the given one.

        If the given one is this one, or wraps it, the running episode ends.

        Raises:
            InputError: the environment cannot be copied, or the given one has other spaces.
        """
        with evaluation_environment(self.env, given) as env:
            if {id(layer) for layer in all_layers(env)} & {id(layer) for layer in all_layers(self.env)}:
                _LAST_USER.pop(self.environments.stepped, None)
            yield env

    def collect(self, behaviour: Behaviour, steps: int) -> Collected:
        """Take at least `steps` steps, exactly as many with one environment.

        If the behaviour has a method `on_step`, it is called with each `Step`; if it has one called `on_begin`, that is
        called first, with which environments begin an episode, `[N]` booleans.

        Raises:
            TrainingError: the environment raised, or gave a reward or an observation that is NaN or infinite.
            InputError: an observation outside its space.
        """
        if not self._is_last_user():
            self._state = None  # another agent has moved the environment since
            _LAST_USER[self.environments.stepped] = ref(self)
        begins = self._begins if self._state is not None else np.ones(self.environments.count, dtype=np.bool_)
        if steps > 0 and has_finite_steps(self.environments, behaviour):
            return self._collect_finite(behaviour, steps, bool(begins[0]))
        taken: list[Step] = []
        count = 0
        on_begin, on_step = (getattr(behaviour, name, None) for name in ("on_begin", "on_step"))
        if on_begin is not None:
            on_begin(begins)
        with torch.no_grad():
            while count < steps:
                taken.append(self._step(behaviour, self._states_to_act_upon()))
                count += taken[-1].real.tolist().count(True)
                if on_step is not None:
                    on_step(taken[-1])
        self._begins = taken[-1].next_begins
        return concatenate_steps(taken, begins)

    @torch.no_grad()
    def _collect_finite(self, behaviour: Any, steps: int, begins: bool) -> Collected:
        state = int(self._states_to_act_upon()[0])
        self._state = None  # after an error the next step resets the environment
        taken = FiniteSteps(self.environments, self._statistics, self.device).collect(behaviour, steps, state, begins)
        self._begins = taken.ends[-1:].numpy().copy()
        self._state = to_device({"state": self.environments.states}, self.device)["state"]
        return taken

    def _states_to_act_upon(self) -> Tensor:
        """Return the states `[N, ...]` to act upon, after resets that are due."""
        if self._state is None:
            first = self.environments.reset(self._next_seed)
            self._next_seed = None
            self._statistics.reset_running()
        else:
            renewed = self.environments.reset_ended()
            if renewed is None:
                return self._state
            first = renewed
        self._state = to_device({"state": first}, self.device)["state"]
        return self._state

    def _step(self, behaviour: Behaviour, state: Tensor) -> Step:
        action, log_mu = behaviour(state)
        self._state = None  # after an error the next step resets the environment
        result = self.environments.step(action.numpy(force=True))
        for reward in result.reward.tolist():
            check_size(reward)
        self._statistics.add(result)
        arrived = self._to_device(result)
        self._state = arrived.pop("observation", arrived["next_state"])
        rows = {"state": state, "action": action, "log_behaviour": log_mu} | arrived
        return Step(rows, result.terminated | result.truncated, result.real)

    def _to_device(self, result: StepResult) -> dict[str, Tensor]:
        """Return the results of a step as tensors, moved to the device in one transfer."""
        given = {
            "next_state": result.next_state,
            "reward": result.reward.astype(np.float32),
            "terminated": result.terminated,
            "truncated": result.truncated,
        }
        if result.next_state is not result.current_state:  # another episode has begun
            given["observation"] = result.current_state
        return to_device(given, self.device)
