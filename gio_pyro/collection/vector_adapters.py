"""One environment, or a vector of them under any of Gymnasium's autoreset modes, as a `World`."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium.vector import AsyncVectorEnv, AutoresetMode, SyncVectorEnv, VectorEnv, VectorObservationWrapper
from gymnasium.vector.utils import concatenate

from gio_pyro.collection.base import Array, CannotRestore, Outcome, World
from gio_pyro.collection.contract import first_of, five_of, flags, rewards, trouble
from gio_pyro.collection.episode_recorder import EpisodeRecorder
from gio_pyro.collection.infos import last_observation
from gio_pyro.collection.layers import chain
from gio_pyro.collection.make import Env, Vector
from gio_pyro.collection.masks import Keeping, last_mask, mask_of, masks_of
from gio_pyro.collection.stable import StableVector, is_stable
from gio_pyro.errors import InputError, TrainingError, shown


def world_of(env: Env | Vector, keeping: Keeping | None = None) -> World:
    """Return the world of an environment or of a vector of them; `keeping` says what becomes of action masks."""
    return VectorWorld(env, keeping) if isinstance(env, VectorEnv) else SingleWorld(env, keeping)


class SingleWorld(World):
    """One environment."""

    def __init__(self, env: Env, keeping: Keeping | None = None) -> None:
        super().__init__(env, 1, keeping)
        self.tapes = [EpisodeRecorder(env)]
        self._real = np.ones(1, dtype=np.bool_)

    def reset(self, seed: int | None) -> Array:
        """Begin a new episode; returns its first state `[1, ...]`."""
        try:
            observation, info = self.tapes[0].reset(seed=seed)
        except Exception as error:
            raise trouble("reset", error) from error
        self.ended = ~self._real
        self.seen = self._with_mask(observation, info)
        return self.seen

    def _with_mask(self, observation: Any, info: Any) -> Array:
        """Return the state `[1, ...]` of an observation, with its mask."""
        return self.masks.beside(self.observations.encode_one(observation), [mask_of(observation, info)], self.ended)

    def renew(self) -> Array | None:
        """Begin an episode if the last one is over."""
        return self.reset(None) if self.ended[0] else None

    def step(self, site_actions: Array) -> Outcome:
        """Take the action `[1, ...]`."""
        action = self.actions.decode_one(site_actions)
        try:
            observation, given, terminated, truncated, info = self.tapes[0].step(action)
        except Exception as error:
            raise trouble("take a step", error) from error
        self.ended = np.array([terminated or truncated])
        self.seen = self._with_mask(observation, info)
        reward, ends, cut = np.array([given]), np.array([terminated]), np.array([truncated])
        return Outcome(self.seen, reward, ends, cut, self._real, self.seen)


class VectorWorld(World):
    """A vector of environments, which resets them itself unless its autoreset mode is DISABLED."""

    env: Vector
    _inner: Any
    """What steps the environments, inside everything that wraps it."""

    def __init__(self, env: Vector, keeping: Keeping | None = None) -> None:
        super().__init__(env, env.num_envs, keeping)
        self.mode = _mode(env)
        self._inner: Any = env.unwrapped
        if isinstance(self._inner, StableVector):
            self.stepped, self._inner = self._inner.venv, self._inner.venv.unwrapped
        self.tapes = [EpisodeRecorder(inner) for inner in _within_reach(self._inner)]

    def reset(self, seed: int | None) -> Array:
        """Begin new episodes everywhere, each environment with a seed of its own that no other run shares."""
        return self._reset(seed=None if seed is None else self._spread(seed))

    def _spread(self, seed: int) -> Any:
        """Gymnasium would count up from the seed, so that runs with the seeds 0 and 1 met the same episodes."""
        seeds = np.random.SeedSequence(seed).generate_state(self.count).tolist()
        return seeds if isinstance(self._inner, SyncVectorEnv | AsyncVectorEnv) else seeds[0]

    def _reset(self, **how: Any) -> Array:
        fresh = how["options"]["reset_mask"] if "options" in how else None  # Gymnasium takes it out of the options
        try:
            with self._taped():
                observation, info = first_of(self.env.reset(**how))
        except Exception as error:
            raise trouble("reset", error) from error
        self.ended = np.zeros(self.count, dtype=np.bool_)
        self.seen = self._with_masks(observation, info, fresh)
        return self.seen

    def _with_masks(self, observation: Any, info: Any, fresh: Array | None = None) -> Array:
        """Return the states `[N, ...]` of observations, with their masks; where they are not `fresh`, as they were."""
        given = masks_of(observation, info, self.count)
        return self.masks.beside(self.observations.encode(observation), given, self.ended, fresh)

    def renew(self) -> Array | None:
        """Reset the environments whose episodes are over, where the vector does not do so itself."""
        if self.mode != AutoresetMode.DISABLED or not self.ended.any():
            return None
        return self._reset(options={"reset_mask": self.ended.copy()})

    def step(self, site_actions: Array) -> Outcome:
        """Take the actions `[N, ...]`."""
        actions = self.actions.decode(site_actions)
        try:
            with self._taped():
                observation, given, ended, cut, info = five_of(self.env.step(actions))
            reward = rewards(given, self.count)
            terminated, truncated = flags("terminated", ended, self.count), flags("truncated", cut, self.count)
        except Exception as error:
            raise trouble("take a step", error) from error
        real = ~self.ended if self.mode == AutoresetMode.NEXT_STEP else np.ones(self.count, dtype=np.bool_)
        terminated &= real
        truncated &= real
        reward[~real] = 0.0
        done = terminated | truncated
        same_step = self.mode == AutoresetMode.SAME_STEP
        self.ended = np.zeros_like(done) if same_step else done
        self.seen = self._with_masks(observation, info)
        after = self._with_last(done, info) if same_step and done.any() else self.seen
        return Outcome(after, reward, terminated, truncated, real, self.seen)

    def _with_last(self, done: Array, info: Any) -> Array:
        """The states seen, with the last of its episode for each environment that has begun another."""
        after = self.seen.copy()
        for i in np.flatnonzero(done).tolist():
            one = last_observation(info, i)
            if one is None:
                raise TrainingError(
                    "Expected info['final_obs'] to hold the last observation of each episode that ended, but "
                    f"environment {i} has none; make the vector with autoreset_mode NEXT_STEP."
                )
            after[i] = self.masks.last(self.observations.encode_one(one), last_mask(one, info, i))[0]
        return after

    def must_be_restorable(self) -> None:
        """Refuse all but a `SyncVectorEnv`, and what wraps it but for Gymnasium's own wrappers."""
        if not self.tapes:
            raise CannotRestore("this kind of vector environment does not let its environments be reached")
        if not isinstance(self._inner, SyncVectorEnv):
            raise CannotRestore("a vector of Stable-Baselines3 is not played again")
        for layer in chain(self.env)[:-1]:
            if type(layer).__module__.partition(".")[0] != "gymnasium":
                raise CannotRestore("what wraps its vector may remember more than its environments")
        if not all(hasattr(self._inner, name) for name in ("_env_obs", "_observations", "_autoreset_envs")):
            raise CannotRestore("this version of Gymnasium keeps the state of a vector elsewhere")

    def shown(self) -> Array:
        """Return the states `[N, ...]` that the tapes have been played to, as the wrappers of the vector show them."""
        base, *around = reversed(chain(self.env))
        batch: Any = concatenate(base.single_observation_space, [tape.last for tape in self.tapes], base._observations)
        for layer in around:
            if isinstance(layer, VectorObservationWrapper):
                batch = layer.observations(batch)
        return self.observations.encode(batch)

    def settle(self, seen: Array, ended: Array) -> None:
        """Go on from where the tapes have been played to, as a `SyncVectorEnv` that has stepped them itself."""
        inner = self._inner
        inner._env_obs = [tape.last for tape in self.tapes]
        inner._observations = concatenate(inner.single_observation_space, inner._env_obs, inner._observations)
        inner._autoreset_envs = ended.copy()
        super().settle(seen, ended)

    @contextmanager
    def _taped(self) -> Iterator[None]:
        """Let a vector step through the tapes where it can: it resets its environments where nobody else can see it."""
        inner = self._inner
        if not self.tapes:
            yield
            return
        own, inner.envs = inner.envs, self.tapes
        try:
            yield
        finally:
            inner.envs = own


def _within_reach(inner: Any) -> list[Env]:
    """Return the environments that a vector steps one after the other; none where they are out of reach."""
    envs = inner.envs if isinstance(inner, SyncVectorEnv) else getattr(inner, "envs", None) if is_stable(inner) else []
    return list(envs) if isinstance(envs, list | tuple) and all(isinstance(env, gym.Env) for env in envs) else []


def _mode(env: Vector) -> AutoresetMode:
    given = env.metadata.get("autoreset_mode", AutoresetMode.NEXT_STEP)
    try:
        return AutoresetMode(given)
    except ValueError as error:
        raise InputError(
            f"Expected metadata['autoreset_mode'] to be an AutoresetMode, but got {shown(given)}."
        ) from error
