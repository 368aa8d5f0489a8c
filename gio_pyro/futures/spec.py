"""What programs are built from for a future, its checks, and its exact counterpart."""

from typing import Any

import torch
from gymnasium import Space
from gymnasium.spaces import Box, Discrete
from torch import Tensor

from gio_pyro import tabular
from gio_pyro.errors import InputError, raised_by, shown
from gio_pyro.futures.base import Future, FutureLike
from gio_pyro.futures.one_step import NextState
from gio_pyro.futures.wrapped import as_future, unwrapped_future
from gio_pyro.programs import example
from gio_pyro.types import Allowed, Spec, Transitions
from gio_pyro.utils.checks import instance

LARGE = 1e6
"""A reward larger than real ones, at which float32 still resolves differences of theirs."""


def spec_of(
    future: FutureLike,
    states: Space[Any],
    actions: Space[Any],
    *,
    parts: tuple[int, ...],
    hidden: tuple[int, ...],
    masks: Allowed | None = None,
) -> Spec:
    """Return the `Spec` that programs are built from, for a future in these spaces.

    Args:
        future: F.
        states: the state space, action masks included.
        actions: the action space.
        parts: the sizes of the parts of a MultiDiscrete action.
        hidden: units of each hidden layer.
        masks: which actions each state allows; None for all.

    Raises:
        InputError: an object that is not a future, or a user's own one whose values are not in its space.
        ProgramError: a method of it raises.
    """
    future = as_future(future)
    own = unwrapped_future(future)
    with raised_by(type(own).__name__, "space"):
        space = future.space(states)
    if not type(own).__module__.startswith("gio_pyro."):
        _check_own(type(own).__name__, future, states, actions, space)
    return Spec(states, actions, space, hidden=hidden, baseline=future.baseline, action_parts=parts, masks=masks)


def _check_own(name: str, future: Future, states: Space[Any], actions: Space[Any], space: object) -> None:
    """Raise `InputError` unless a user's own future reads values of its space, and changes no transition."""
    if not isinstance(space, Box | Discrete) or getattr(space, "start", 0) != 0:
        raise InputError(
            f"Expected space(state_space) of {name} to return Discrete(n) from 0 or a Box, but got {shown(space)}; "
            "return one of Gymnasium's."
        )
    if future.sequential:
        return
    rows = _two_transitions(states, actions)
    before = [tensor.clone() for tensor in rows.tensors()]
    with raised_by(name, "of"):
        found: object = future.of(rows)
    _check_values(name, found, space)
    if not all(torch.equal(old, new) for old, new in zip(before, rows.tensors(), strict=True)):
        raise InputError(
            f"Expected of(transitions) of {name} to leave the transitions as they are, but it changes them in place; "
            "work on a copy."
        )


def _two_transitions(states: Space[Any], actions: Space[Any]) -> Transitions:
    cpu = torch.device("cpu")
    state, action = (example(one, cpu).repeat_interleave(2, 0) for one in (states, actions))
    state = state + 0.5 if state.is_floating_point() else state  # not 0, which stays itself when it is doubled
    no, one = torch.zeros(2, dtype=torch.bool), torch.ones(2)
    return Transitions(state, action, one, state.clone(), no, no, one, one)


def _check_values(name: str, found: object, space: Box | Discrete) -> None:
    """Raise `InputError` unless `found` is a tensor of two values of the space."""
    whole = isinstance(found, Tensor) and not (found.is_floating_point() or found.dtype == torch.bool)
    if not isinstance(found, Tensor) or (isinstance(space, Discrete) and not whole):
        kind = str(found.dtype) if isinstance(found, Tensor) else f"one of type {type(found).__name__}"
        wanted = "integers" if isinstance(space, Discrete) else "numbers"
        raise InputError(
            f"Expected of(transitions) of {name} to return a tensor of {wanted}, but got {kind}; convert it."
        )
    shape = (2, *(space.shape or ()))
    if found.shape != shape:
        raise InputError(
            f"Expected of(transitions) of {name} to return shape {shape} for 2 transitions, but got "
            f"{tuple(found.shape)}; return one value of its space for each."
        )


def reads_reward(future: FutureLike, spec: Spec) -> bool:
    """Return whether F of a single transition depends on its reward."""
    future = as_future(future)
    instance("spec", spec, Spec)
    cpu = torch.device("cpu")
    state, action, one = example(spec.state_space, cpu), example(spec.action_space, cpu), torch.ones(1)
    least, most = (
        future.of(Transitions(state, action, reward, state, one > 1, one > 1, one, one))
        for reward in (-LARGE * one, LARGE * one)
    )
    return not torch.equal(least, most)


def is_next_state(future: FutureLike) -> bool:
    """Return whether a future is the next state, and its model thereby one of the dynamics."""
    return isinstance(unwrapped_future(future), NextState)


def steps_of(future: FutureLike) -> int:
    """Return `future.steps` of a future that is read from sequences; 0 for one read from single transitions."""
    future = as_future(future)
    return future.steps if future.sequential else 0


def has_exact(future: FutureLike) -> bool:
    """Return whether a future has an exact counterpart."""
    try:
        exact_of(future)
    except InputError:
        return False
    return True


def exact_of(future: FutureLike) -> tabular.Future:
    """Return the exact counterpart of a future; raises `InputError` where it has none."""
    counterpart = getattr(future, "exact", None)
    if counterpart is None:
        raise InputError(
            f"Expected a future with an exact counterpart, but {shown(future)} has none; give it a method exact()."
        )
    found: tabular.Future = counterpart()
    return found
