"""The state of an agent as tensors and plain types, and an agent from it.

The state holds everything that learning depends on, so that a restored agent continues bit for bit.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict
from types import MappingProxyType
from typing import Any

from gymnasium import Space
from gymnasium.spaces import Discrete
from gymnasium.vector import VectorEnv
from torch import Tensor

from gio_pyro.checkpointing import specs
from gio_pyro.checkpointing.replay_checks import check_replay
from gio_pyro.checkpointing.trained_agent import Agent, TrainedAgent
from gio_pyro.checkpointing.validation import (
    check_count,
    check_kind,
    non_finite_places,
    require_matching_kinds,
    require_storable,
)
from gio_pyro.collection import Actions, Env, Observations, make_env
from gio_pyro.collection.make import Vector, single_spaces
from gio_pyro.errors import CheckpointError, GioError, GioWarning, InputError, describe_error, out_of_memory
from gio_pyro.futures import FutureLike, unwrapped_future, written
from gio_pyro.futures.wrapped import WithoutMasks
from gio_pyro.types import PyroProgram

DAMAGE = (TypeError, ValueError, RuntimeError, AttributeError, AssertionError, ArithmeticError, LookupError)
"""What restoring from fields of the wrong type raises."""
MODULES = MappingProxyType(
    {
        "masks": "masks",
        "model": "model",
        "guide": "guide",
        "control": "actor_critic",
        "temperature": "temperature",
        "payment": "reward_mix",
        "dreaming": "dreaming",
        "explorer": "explorer",
        "planning": "planning",
    }
)
"""The modules of an agent that have a state: their keys in a checkpoint, and the attributes that hold them."""
LATER = ("planning",)
"""Modules that checkpoints of earlier versions lack; they had no state then."""
BEFORE: Mapping[str, Any] = MappingProxyType({"critic": "plain", "bounded_policy": False})
"""What settings that a checkpoint lacks had been when it was saved."""
NO_WORLD: Mapping[str, str | PyroProgram | None] = MappingProxyType({"world_model": None, "filter": None})
NOTHING: Mapping[str, Any] = MappingProxyType({})
COUNTS = ("steps", "unobserved")
UPDATE = MappingProxyType({"calls": (int, "updates"), "compiled": (bool, "compiled")})
"""What is saved of how the update runs, with its kind and name."""
LARGEST = ("largest_reward", "largest_paid")
STREAMS = ("random", "playing")


def state_of(agent: TrainedAgent) -> dict[str, Any]:
    """Return everything that learning depends on, as nested tensors and plain values."""
    return {
        "settings": asdict(agent.settings),
        "environment": specs.environment_record(agent.env),
        "programs": {kind: specs.program_record(program, kind) for kind, program in agent.programs.items()},
        "future": specs.future_record(agent.future),
        "trained_with": _environment_words(agent.env) | _program_words(agent),
        **{name: getattr(agent, name) for name in COUNTS},
        "sound": bool(agent.sound),
        "update": {} if agent.update is None else agent.update.state_dict(),
        **{name: getattr(agent, name) for name in LARGEST},
        "collector": agent.collector.snapshot(),
        **module_states(agent),
        **({"world_update": agent.beliefs.progress_state()} if agent.beliefs.learns else {}),
        "optimisers": {name: optimiser.state_dict() for name, optimiser in agent.optimisers().items()},
        "replay": agent.replay.state_dict(),
        **{name: getattr(agent, name).state for name in STREAMS},
    }


def storable(agent: TrainedAgent) -> dict[str, Any]:
    """Return `state_of` an agent; raises `CheckpointError` for values that could not be loaded again."""
    state = state_of(agent)
    require_storable(state, agent.unbounded)
    return state


def module_states(agent: TrainedAgent) -> dict[str, dict[str, Any]]:
    """Return the `state_dict` of each module that has a state, by its key in a checkpoint."""
    return {key: getattr(agent, attribute).state_dict() for key, attribute in modules_of(agent).items()}


def modules_of(agent: TrainedAgent) -> Mapping[str, str]:
    """Return `MODULES`, and the beliefs where there are any."""
    return {**MODULES, "beliefs": "beliefs"} if agent.beliefs.learns else MODULES


def unbounded(agent: TrainedAgent) -> frozenset[str]:
    """Return the places of numbers that are NaN or infinite in a new agent, and so may be in its checkpoints."""
    return non_finite_places(module_states(agent))


def restore(
    make: Callable[..., Agent],
    state: dict[str, Any],
    environment: str | Env | Vector | None,
    model: str | PyroProgram | None,
    guide: str | PyroProgram | None,
    future: str | FutureLike | None,
    device: str,
    worlds: Mapping[str, str | PyroProgram | None] = NO_WORLD,
    objects: Mapping[str, Any] = NOTHING,
    **again: str | None,
) -> Agent:
    """Return the agent that `state` describes.

    Args:
        make: the class of the agent, or a function with its arguments.
        state: as `state_of` returned it.
        environment: as in `GIO.load`; None makes the environment that the state names.
        model: as in `GIO.load`; None takes the program that the state names.
        guide: likewise.
        future: likewise.
        device: where the agent is put.
        worlds: world_model and filter as in `GIO.load`.
        objects: objective and optim, where they were passed as objects.
        **again: signal, explorer, planner, objective and optim as in `GIO.load`, for those outside the library.

    Raises:
        CheckpointError: the state does not fit its environment or its programs.
    """
    with _checkpoint_errors():
        env = make_env(specs.environment_from(state["environment"]) if environment is None else environment)
        now = _environment_words(env)
        number = now.pop("environments")
        _require_same(state["trained_with"], now, "environment")
        agent = make(
            env,
            model=specs.program_from(state["programs"]["model"], "model") if model is None else model,
            guide=specs.program_from(state["programs"]["guide"], "guide") if guide is None else guide,
            **_worlds(state["programs"], worlds),
            future=specs.future_named(state["future"]) if future is None else future,
            device=device,
            **BEFORE | state["settings"] | _reference_again(state["settings"], again) | dict(objects),
        )
        _require_same(state["trained_with"], _program_words(agent), "program")
        before = _environment_count(state["trained_with"]["environments"])
        other_number = before != agent.collector.environments.count
        state = {key: {} for key in LATER} | state
        fill(agent, _with_new_episodes(agent, state, before) if other_number else state)
        if environment is None:
            _require_as_made(agent, state)
        if other_number:
            text = f"Expected {state['trained_with']['environments']} as in training, but got {number}"
            warnings.warn(f"{text}; a new episode begins in each.", GioWarning, stacklevel=3)
    return agent


def _worlds(
    saved: Mapping[str, str], again: Mapping[str, str | PyroProgram | None]
) -> dict[str, str | PyroProgram | None]:
    """Return the world model and the filter: those passed again, or those of the checkpoint."""
    return {
        kind: specs.program_from(saved[kind], kind) if given is None and kind in saved else given
        for kind, given in again.items()
    }


@contextmanager
def _checkpoint_errors() -> Iterator[None]:
    """Raise errors of a checkpoint that does not fit as `CheckpointError`, and a lack of memory as `InputError`."""
    try:
        yield
    except CheckpointError:
        raise
    except GioError as error:
        raise CheckpointError(
            f"Expected a checkpoint that fits its programs and environment, but: {str(error)[:220]}"
        ) from error
    except (*DAMAGE, MemoryError) as error:
        if out_of_memory(error):
            raise InputError(
                f"Expected memory for the agent of this checkpoint, but got {describe_error(error, 120)}; free "
                "some, or load it on another device (device=)."
            ) from error
        raise CheckpointError(
            f"Expected a checkpoint that fits its programs and environment, but got {describe_error(error, 120)}; "
            "pass the program and environment it was trained with."
        ) from error


def _reference_again(settings: dict[str, Any], again: dict[str, Any]) -> dict[str, Any]:
    """Return the settings that may name code: those passed again, or those of the checkpoint, which do not."""
    return {name: specs.kind_from(settings.get(name), text, name) for name, text in again.items()}


def _environment_words(env: Env | Vector) -> dict[str, str]:
    """Return what must be the same in the environment of a restored agent, in words."""
    states, actions = single_spaces(env)
    count = env.num_envs if isinstance(env, VectorEnv) else 1
    return {
        "observations": f"{_short(Observations.of(states, quiet=True).space)} observations",
        "actions": f"{_short(Actions.of(actions).space)} actions",
        "environments": f"{count} environment{'s' if count > 1 else ''}",
    }


def _require_as_made(agent: TrainedAgent, state: dict[str, Any]) -> None:
    """Raise or warn where the environment was modified after it was made, since making it again undoes that."""
    before, meanwhile = (", ".join(places)[:120] for places in agent.collector.changed_attributes(state["collector"]))
    if before:
        raise CheckpointError(
            f"Expected the environment that was learned in, but {before} had been changed by hand after it was made; "
            "pass it again (environment= in Python, --env on the command line to do without)."
        )
    if meanwhile:
        text = f"Expected the environment that was learned in, but {meanwhile} changed while it was"
        warnings.warn(f"{text}; pass it again if that was by hand (environment=).", GioWarning, stacklevel=4)


def _environment_count(words: str) -> int:
    """Return the number of environments in the words of `_environment_words`."""
    found = re.fullmatch(r"([1-9]\d{0,8}) environments?", words)
    if found is None:
        raise CheckpointError(f"Expected the number of environments in training, but got {str(words)[:80]!r}.")
    return int(found[1])


def _with_new_episodes(agent: TrainedAgent, state: dict[str, Any], before: int) -> dict[str, Any]:
    """Return the state for a number of environments other than `before`: every episode starts again.

    Values with one entry per environment are taken from the new agent; counts over all of them are divided.
    """
    _check_episodes(state["collector"]["running"], before)
    found = dict(state)
    for name in ("payment", "dreaming", "explorer", "planning", "beliefs"):
        if name not in state:
            continue
        own = getattr(agent, modules_of(agent)[name]).state_dict()
        each = {
            key: own[key]
            for key, value in state.get(name, {}).items()
            if key in own and isinstance(value, Tensor) and value.shape[:1] == (before,) != own[key].shape[:1]
        }
        found[name] = state.get(name, {}) | each
    found["explorer"] |= agent.explorer.shared_out(state["explorer"])
    found["replay"] = state["replay"] | {"streams": state["replay"]["streams"] | {"running": {}}}
    found["collector"] = state["collector"] | {"running": None}
    return found


def _program_words(agent: TrainedAgent) -> dict[str, str]:
    """Return what must be the same in the programs of a restored agent, in words."""
    future = agent.future if isinstance(agent.future, WithoutMasks) else unwrapped_future(agent.future)
    kind_of_future = written(future) or type(future).__name__
    names = {"model": agent.model.name, "guide": agent.guide.name, "future": kind_of_future} | agent.beliefs.names
    return {kind: f"the {kind.replace('_', ' ')} {name}" for kind, name in names.items()}


def _short(space: Space[Any]) -> str:
    return f"Discrete({space.n})" if isinstance(space, Discrete) else f"Box{space.shape}"


def _require_same(then: dict[str, str], now: dict[str, str], what: str) -> None:
    for name, words in now.items():
        if then.get(name) != words:
            raise CheckpointError(
                f"Expected {str(then.get(name, f'no {name}'))[:80]} as in training, but got {words}; pass the {what} "
                "it was trained with."
            )


def fill(agent: TrainedAgent, state: dict[str, Any]) -> None:
    """Load the `state_of` an agent into a new one.

    Raises:
        CheckpointError: a value that does not fit.
        Exception: one of `DAMAGE`, for values of the wrong type.
    """
    require_storable(state, agent.unbounded)
    own = module_states(agent)
    modules = modules_of(agent)
    state = {key: {} for key in LATER} | state
    require_matching_kinds({name: state[name] for name in modules}, own)
    for key, attribute in modules.items():
        getattr(agent, attribute).load_state_dict(state[key])
    mine = agent.optimisers()
    if mine.keys() != state["optimisers"].keys():
        raise CheckpointError(f"Expected optimisers of {_listed(mine)}, but got {_listed(state['optimisers'])}.")
    for name in COUNTS:
        setattr(agent, name, check_count(state[name], name))
    agent.load_optimisers(state["optimisers"])
    check_replay(state["replay"], agent)
    agent.replay.load_state_dict(state["replay"], agent.device)
    agent.sound.fill_(check_kind(state["sound"], bool, "sound"))
    for name in LARGEST:
        setattr(agent, name, check_kind(state[name], float, name))
    if agent.update is not None and state.get("update"):
        agent.update.load_state_dict({name: check_kind(state["update"][name], *k) for name, k in UPDATE.items()})
    if agent.beliefs.learns:
        agent.beliefs.load_progress({name: check_kind(state["world_update"][name], *k) for name, k in UPDATE.items()})
    for name in STREAMS:
        check_kind(state[name]["cpu"], Tensor, name)
        getattr(agent, name).state = state[name]
    _check_statistics(state["collector"])
    _check_episodes(state["collector"]["running"], agent.collector.environments.count)
    agent.collector.resume(state["collector"])


def _listed(names: Any) -> str:
    return ", ".join(sorted(names)) or "nothing"


def _check_statistics(record: dict[str, Any]) -> None:
    """Raise `CheckpointError` for episode statistics of the wrong types, which Python might convert silently."""
    check_count(record["episodes"], "the number of episodes")
    for name, kind in (("returns", float), ("lengths", int)):
        for value in check_kind(record[name], list, name):
            check_kind(value, kind, f"one of the {name}")
    if record["next_seed"] is not None:
        check_count(record["next_seed"], "the next seed")


def _check_episodes(running: dict[str, Any] | None, count: int) -> None:
    """Raise `CheckpointError` unless there is one flag per environment; NumPy would convert anything."""
    for name in ("ended", "begins"):
        flags = [False] * count if running is None else running[name]
        if not isinstance(flags, list) or [type(flag) for flag in flags] != [bool] * count:
            raise CheckpointError(f"Expected {count} flags of {name} episodes, but got {str(flags)[:80]}.")
