"""What an agent is, as tensors and plain types, and back."""

from __future__ import annotations

import importlib
import json
from dataclasses import asdict, fields
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from gio_pyro.environments import Env
from gio_pyro.errors import CheckpointError, GioError
from gio_pyro.futures import FUTURES, Future
from gio_pyro.programs import reference
from gio_pyro.programs.build import HOMES
from gio_pyro.types import Program, Transitions

if TYPE_CHECKING:
    from gio_pyro.agent import GIO

DAMAGE = (TypeError, ValueError, RuntimeError, AttributeError, AssertionError, ArithmeticError, LookupError)
"""What taking over fields of the wrong kind raises."""
PARTS = ("model", "guide", "policy", "critic")


def state_of(agent: GIO) -> dict[str, Any]:
    """Return everything that learning depends on, except the state inside the environment."""
    optimiser = agent.inference.optimiser
    return {
        "settings": asdict(agent.settings),
        "environment": environment_record(agent.env),
        "programs": {kind: program_record(program, kind) for kind, program in agent.programs.items()},
        "future": type(agent.future).__name__,
        "steps": agent.steps,
        "collector": agent.collector.counts(),
        **{part: getattr(agent, part).state_dict() for part in PARTS},
        "optimiser": None if optimiser is None else optimiser.state_dict(),
        "replay": _tensors(agent.replay.all()) if len(agent.replay) else None,
        "random": agent.random.state,
        "playing": agent.playing.state,
        "environment_random": _generator_record(agent.env),
    }


def environment_record(env: Env) -> dict[str, Any] | None:
    """Return the id and plain arguments that make the environment again, or None where they would not.

    Wrappers are code, so a wrapped environment is passed again when the agent is loaded.
    """
    if env.spec is None or env.spec.additional_wrappers:
        return None
    limit = {} if env.spec.max_episode_steps is None else {"max_episode_steps": env.spec.max_episode_steps}
    try:
        return {"id": env.spec.id, "kwargs": json.loads(json.dumps(env.spec.kwargs)) | limit}
    except TypeError:
        return None


def program_record(program: str | Program, kind: str) -> str:
    """Return the bare name of one of this library's programs, or where another one came from."""
    name = program if isinstance(program, str) else reference(program)
    short = name.rpartition(":")[2]
    home = importlib.import_module(HOMES[kind])
    if short not in home.__all__:
        return name
    return short if name in (short, f"{HOMES[kind]}:{short}", reference(getattr(home, short))) else name


def restore(
    kind: type[GIO],
    state: dict[str, Any],
    environment: str | Env | None,
    model: str | Program | None,
    guide: str | Program | None,
    future: Future | None,
    device: str,
) -> GIO:
    """Return the agent that `state` describes; see `GIO.load`."""
    try:
        agent = kind(
            _environment(state["environment"]) if environment is None else environment,
            model=_program(state["programs"]["model"], "model") if model is None else model,
            guide=_program(state["programs"]["guide"], "guide") if guide is None else guide,
            future=_future(state["future"]) if future is None else future,
            device=device,
            **state["settings"],
        )
        _fill(agent, state)
    except CheckpointError:
        raise
    except GioError as error:
        raise CheckpointError(f"Expected a checkpoint that fits its programs and environment, but: {error}") from error
    except DAMAGE as error:
        raise CheckpointError(
            f"Expected a checkpoint that fits its programs and environment, but got {type(error).__name__}: "
            f"{str(error).splitlines()[0] if str(error) else 'no detail'}; pass the program and environment it "
            "was trained with."
        ) from error
    return agent


def _fill(agent: GIO, state: dict[str, Any]) -> None:
    for part in PARTS:
        getattr(agent, part).load_state_dict(state[part])
    if agent.inference.optimiser is not None:
        agent.inference.optimiser.load_state_dict(state["optimiser"])
        _check_optimiser(agent.inference.optimiser)
    if state["replay"] is not None:
        replayed = Transitions(**state["replay"])
        _check_replay(replayed, agent)
        agent.replay.add(replayed.to(agent.device))
    agent.steps = int(state["steps"])
    agent.random.state = state["random"]
    agent.playing.state = state["playing"]
    agent.collector.resume(state["collector"])
    if state["environment_random"] is not None:
        _restore_generator(agent.env, state["environment_random"])


def _check_optimiser(optimiser: torch.optim.Optimizer) -> None:
    """Refuse moments that do not fit their parameters: the fused step would write past them."""
    for parameter, moments in optimiser.state.items():
        for name, value in moments.items():
            shape = torch.Size([]) if name == "step" else parameter.shape
            if not isinstance(value, Tensor) or value.shape != shape or not value.is_floating_point():
                raise CheckpointError(f"Expected the optimiser's {name} to fit its parameter, but it does not.")


def _check_replay(rows: Transitions, agent: GIO) -> None:
    """Refuse transitions that are not of the agent's spaces."""
    limits = {"state": agent.collector.states.count, "action": agent.collector.actions.count}
    limits["next_state"] = limits["state"]
    for field in fields(rows):
        values: Tensor = getattr(rows, field.name)
        fits = values.shape == (len(rows.weight),) and bool(torch.isfinite(values).all())
        if field.name in limits and fits:
            fits = not values.is_floating_point() and bool(((values >= 0) & (values < limits[field.name])).all())
        if not fits:
            raise CheckpointError(f"Expected a replay that fits the environment, but its {field.name} does not.")


def _tensors(transitions: Transitions) -> dict[str, Any]:
    return {field.name: getattr(transitions, field.name).cpu() for field in fields(transitions)}


def _environment(record: dict[str, Any] | None) -> Any:
    import gymnasium as gym

    if record is None or ":" in record["id"] or record["id"] not in gym.registry:
        named = "an environment without an id" if record is None else repr(record["id"])
        raise CheckpointError(
            f"Expected an environment that Gymnasium knows, but the checkpoint was trained on {named}; register it, "
            "or name it again (environment= in Python, its id on the command line)."
        )
    return gym.make(record["id"], **record["kwargs"])


def _program(name: str, kind: str) -> str:
    if name not in importlib.import_module(HOMES[kind]).__all__:
        raise CheckpointError(
            f"Expected a {kind} of gio_pyro, but the checkpoint was trained with {name!r}; name it again ({kind}= in "
            f"Python, --{kind} on the command line)."
        )
    return name


def _future(name: str) -> str:
    if name not in FUTURES:
        raise CheckpointError(
            f"Expected a future of gio_pyro, but the checkpoint was trained with {name!r}; pass it again with future=."
        )
    return name


def _generator_record(env: Env) -> str | None:
    """The state of the environment's generator as text: its integers have 128 bits."""
    try:
        return json.dumps(env.unwrapped.np_random.bit_generator.state)
    except (AttributeError, TypeError):
        return None


def _restore_generator(env: Env, record: str) -> None:
    env.unwrapped.np_random.bit_generator.state = json.loads(record)
