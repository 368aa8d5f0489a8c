"""Adapters for one environment and for vectors of them, in all of Gymnasium's autoreset modes."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import gymnasium as gym
import numpy as np
from gymnasium.vector import AsyncVectorEnv, AutoresetMode, SyncVectorEnv, VectorEnv, VectorObservationWrapper
from gymnasium.vector.utils import concatenate

from gio_pyro.collection.environment_adapter import Array, CannotRestore, EnvironmentAdapter, StepResult
from gio_pyro.collection.episode_recorder import EpisodeRecorder
from gio_pyro.collection.infos import last_mask, last_observation, mask_of, masks_of
from gio_pyro.collection.interface_checks import (
    check_flags,
    check_reset,
    check_rewards,
    check_step_tuple,
    environment_error,
)
from gio_pyro.collection.make import Env, Vector
from gio_pyro.collection.mask_handlers import MaskHandler
from gio_pyro.collection.stable_baselines_vector import StableBaselinesVector, is_vec_env
from gio_pyro.collection.wrappers import wrapper_chain
from gio_pyro.errors import InputError, TrainingError, shown


def adapter_of(env: Env | Vector, mask_handler: MaskHandler | None = None) -> EnvironmentAdapter:
    """Return the adapter of an environment or of a vector of them."""
    return VectorEnvAdapter(env, mask_handler) if isinstance(env, VectorEnv) else SingleEnvAdapter(env, mask_handler)


class SingleEnvAdapter(EnvironmentAdapter):
    """Adapter for one environment."""

    def __init__(self, env: Env, mask_handler: MaskHandler | None = None) -> None:
        super().__init__(env, 1, mask_handler)
        self.recorders = [EpisodeRecorder(env)]
        self._real = np.ones(1, dtype=np.bool_)

    def reset(self, seed: int | None) -> Array:
        """Reset the environment; returns the first state `[1, ...]`."""
        try:
            observation, info = self.recorders[0].reset(seed=seed)
        except Exception as error:
            raise environment_error("reset", error) from error
        self.ended = ~self._real
        self.states = self._with_mask(observation, info)
        return self.states

    def _with_mask(self, observation: Any, info: Any) -> Array:
        """Return the state `[1, ...]` of an observation, with its mask added."""
        return self.masks.update(self.observations.encode_one(observation), [mask_of(observation, info)], self.ended)

    def reset_ended(self) -> Array | None:
        """Reset the environment if its episode is over."""
        return self.reset(None) if self.ended[0] else None

    def step(self, site_actions: Array) -> StepResult:
        """Take the action `[1, ...]`."""
        action = self.actions.decode_one(site_actions)
        try:
            observation, given, terminated, truncated, info = self.recorders[0].step(action)
        except Exception as error:
            raise environment_error("take a step", error) from error
        self.ended = np.array([terminated or truncated])
        self.states = self._with_mask(observation, info)
        reward, ends, cut = np.array([given]), np.array([terminated]), np.array([truncated])
        return StepResult(self.states, reward, ends, cut, self._real, self.states)


class VectorEnvAdapter(EnvironmentAdapter):
    """Adapter for a vector of environments, which resets them itself unless its autoreset mode is DISABLED."""

    env: Vector
    _inner: Any
    """The innermost vector, without its wrappers."""

    def __init__(self, env: Vector, mask_handler: MaskHandler | None = None) -> None:
        super().__init__(env, env.num_envs, mask_handler)
        self.mode = _autoreset_mode(env)
        self._inner: Any = env.unwrapped
        if isinstance(self._inner, StableBaselinesVector):
            self.stepped, self._inner = self._inner.venv, self._inner.venv.unwrapped
        self.recorders = [EpisodeRecorder(inner) for inner in _accessible_envs(self._inner)]

    def reset(self, seed: int | None) -> Array:
        """Reset all environments, each with its own seed, derived from `seed`."""
        return self._reset(seed=None if seed is None else self._environment_seeds(seed))

    def _environment_seeds(self, seed: int) -> Any:
        """Return N independent seeds; Gymnasium's seed + i would repeat episodes in runs with the seeds 0 and 1."""
        seeds = np.random.SeedSequence(seed).generate_state(self.count).tolist()
        return seeds if isinstance(self._inner, SyncVectorEnv | AsyncVectorEnv) else seeds[0]

    def _reset(self, **how: Any) -> Array:
        rows = how["options"]["reset_mask"] if "options" in how else None  # Gymnasium removes it from the options
        try:
            with self._recording():
                observation, info = check_reset(self.env.reset(**how))
        except Exception as error:
            raise environment_error("reset", error) from error
        self.ended = np.zeros(self.count, dtype=np.bool_)
        self.states = self._with_masks(observation, info, rows)
        return self.states

    def _with_masks(self, observation: Any, info: Any, rows: Array | None = None) -> Array:
        """Return the states `[N, ...]` of observations, with masks added; only those of `rows` `[N]` are updated."""
        given = masks_of(observation, info, self.count)
        return self.masks.update(self.observations.encode(observation), given, self.ended, rows)

    def reset_ended(self) -> Array | None:
        """Reset the environments whose episodes are over if the vector does not do so itself."""
        if self.mode != AutoresetMode.DISABLED or not self.ended.any():
            return None
        return self._reset(options={"reset_mask": self.ended.copy()})

    def step(self, site_actions: Array) -> StepResult:
        """Take the actions `[N, ...]`."""
        actions = self.actions.decode(site_actions)
        try:
            with self._recording():
                observation, given, ended, cut, info = check_step_tuple(self.env.step(actions))
            reward = check_rewards(given, self.count)
            terminated, truncated = (
                check_flags("terminated", ended, self.count),
                check_flags("truncated", cut, self.count),
            )
        except Exception as error:
            raise environment_error("take a step", error) from error
        real = ~self.ended if self.mode == AutoresetMode.NEXT_STEP else np.ones(self.count, dtype=np.bool_)
        terminated &= real
        truncated &= real
        reward[~real] = 0.0
        done = terminated | truncated
        same_step = self.mode == AutoresetMode.SAME_STEP
        self.ended = np.zeros_like(done) if same_step else done
        self.states = self._with_masks(observation, info)
        next_state = self._final_states(done, info) if same_step and done.any() else self.states
        return StepResult(next_state, reward, terminated, truncated, real, self.states)

    def _final_states(self, done: Array, info: Any) -> Array:
        """Return the current states `[N, ...]`, replaced by the final states of the episodes that ended."""
        states = self.states.copy()
        for i in np.flatnonzero(done).tolist():
            one = last_observation(info, i)
            if one is None:
                raise TrainingError(
                    "Expected info['final_obs'] to hold the last observation of each episode that ended, but "
                    f"environment {i} has none; make the vector with autoreset_mode NEXT_STEP."
                )
            states[i] = self.masks.add_to_final(self.observations.encode_one(one), last_mask(one, info, i))[0]
        return states

    def require_restorable(self) -> None:
        """Raise `CannotRestore` unless this is a `SyncVectorEnv`, at most with wrappers of Gymnasium."""
        if not self.recorders:
            raise CannotRestore("this kind of vector environment does not let its environments be reached")
        if not isinstance(self._inner, SyncVectorEnv):
            raise CannotRestore("a vector of Stable-Baselines3 is not played again")
        for layer in wrapper_chain(self.env)[:-1]:
            if type(layer).__module__.partition(".")[0] != "gymnasium":
                raise CannotRestore("what wraps its vector may remember more than its environments")
        if not all(hasattr(self._inner, name) for name in ("_env_obs", "_observations", "_autoreset_envs")):
            raise CannotRestore("this version of Gymnasium keeps the state of a vector elsewhere")

    def replayed_states(self) -> Array:
        """Return the states `[N, ...]` that the replay has reached, seen through the wrappers of the vector."""
        base, *around = reversed(wrapper_chain(self.env))
        batch: Any = concatenate(
            base.single_observation_space, [recorder.last for recorder in self.recorders], base._observations
        )
        for layer in around:
            if isinstance(layer, VectorObservationWrapper):
                batch = layer.observations(batch)
        return self.observations.encode(batch)

    def resume_at(self, states: Array, ended: Array) -> None:
        """Continue from the replayed states, with the internal state of a `SyncVectorEnv` set accordingly."""
        inner = self._inner
        inner._env_obs = [recorder.last for recorder in self.recorders]
        inner._observations = concatenate(inner.single_observation_space, inner._env_obs, inner._observations)
        inner._autoreset_envs = ended.copy()
        super().resume_at(states, ended)

    @contextmanager
    def _recording(self) -> Iterator[None]:
        """Put the recorders in the place of the environments, if accessible: a vector resets these internally."""
        inner = self._inner
        if not self.recorders:
            yield
            return
        own, inner.envs = inner.envs, self.recorders
        try:
            yield
        finally:
            inner.envs = own


def _accessible_envs(inner: Any) -> list[Env]:
    """Return the environments that a vector steps one after the other; none if they are not accessible."""
    envs = inner.envs if isinstance(inner, SyncVectorEnv) else getattr(inner, "envs", None) if is_vec_env(inner) else []
    return list(envs) if isinstance(envs, list | tuple) and all(isinstance(env, gym.Env) for env in envs) else []


def _autoreset_mode(env: Vector) -> AutoresetMode:
    given = env.metadata.get("autoreset_mode", AutoresetMode.NEXT_STEP)
    try:
        return AutoresetMode(given)
    except ValueError as error:
        raise InputError(
            f"Expected metadata['autoreset_mode'] to be an AutoresetMode, but got {shown(given)}."
        ) from error
