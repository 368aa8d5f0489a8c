"""What a future is: a space, and how it is read from what was replayed."""

from abc import ABC, abstractmethod
from dataclasses import dataclass, field
from typing import Any, Protocol

import torch
from gymnasium import Space
from gymnasium.spaces import Box, Discrete
from torch import Tensor

from gio_pyro import tabular
from gio_pyro.distributions.masks import Allowed
from gio_pyro.errors import InputError, raised_by, shown
from gio_pyro.programs import example
from gio_pyro.types import Policy, Sequences, Spec, Transitions
from gio_pyro.utils.checks import as_number, function, instance

LARGE = 1e6
"""A reward beyond those that occur, beside which float32 still has the differences between them."""
MOST_STEPS = 10_000
"""Steps of a future beyond which no piece of an episode is read."""


class Future(Protocol):
    """A choice of F: the space it lives in and how to read it from replayed transitions.

    More may be there. `baseline(state) [B, ...]` is what of F one would say from the state alone (s itself,
    for a state soon after it): programs of real futures then look at the difference. `exact()` is the counterpart
    in `gio_pyro.tabular`, its values in the same order, that a learned agent is judged by. `outcome(found, states)`
    takes a future that holds the next state apart into s' and r (None if it holds none), so that a policy can dream in
    its model. And a future of several steps has, instead of `of`, `steps`, `read` and `weight`, as `Later` has.
    """

    def space(self, state_space: Space[Any]) -> Space[Any]:
        """Return the space of F."""
        ...

    def of(self, transitions: Transitions) -> Tensor:
        """Return F of each transition, `[B, ...]`."""
        ...


def spec_of(
    future: Future,
    states: Space[Any],
    actions: Space[Any],
    *,
    parts: tuple[int, ...],
    hidden: tuple[int, ...],
    masks: Allowed | None = None,
) -> Spec:
    """Return what programs are built from, for a future in these spaces.

    Args:
        future: F.
        states: the space of states, masks among their numbers.
        actions: the space of actions.
        parts: of a MultiDiscrete action.
        hidden: units of each hidden layer.
        masks: which actions states allow; None for all.
    """
    require_future(future)
    baseline = getattr(future, "baseline", None)
    with raised_by(type(future).__name__, "space"):
        space = future.space(states)
    if not type(future).__module__.startswith("gio_pyro."):
        _require_reads(future, states, actions, space)
    return Spec(states, actions, space, hidden=hidden, baseline=baseline, action_parts=parts, masks=masks)


def _require_reads(future: Future, states: Space[Any], actions: Space[Any], space: object) -> None:
    """Raise `InputError` unless somebody's own future reads values of its space, and nothing else, from transitions."""
    name, cpu = type(future).__name__, torch.device("cpu")
    if not isinstance(space, Box | Discrete) or getattr(space, "start", 0) != 0:
        raise InputError(
            f"Expected space(state_space) of {name} to return Discrete(n) from 0 or a Box, but got {shown(space)}; "
            "return one of Gymnasium's."
        )
    if steps_of(future):
        return
    state, action = (example(one, cpu).repeat_interleave(2, 0) for one in (states, actions))
    state = state + 0.5 if state.is_floating_point() else state  # no number that stays itself when it is doubled
    no, one = torch.zeros(2, dtype=torch.bool), torch.ones(2)
    rows = Transitions(state, action, one, state.clone(), no, no, one, one)
    before = [tensor.clone() for tensor in rows.tensors()]
    with raised_by(name, "of"):
        found: object = future.of(rows)
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
    if not all(torch.equal(old, new) for old, new in zip(before, rows.tensors(), strict=True)):
        raise InputError(
            f"Expected of(transitions) of {name} to leave the transitions as they are, but it changes them in place; "
            "work on a copy."
        )


def reads_reward(future: Future, spec: Spec) -> bool:
    """Return whether F of a single transition changes with its reward."""
    require_future(future)
    instance("spec", spec, Spec)
    cpu = torch.device("cpu")
    state, action, one = example(spec.state_space, cpu), example(spec.action_space, cpu), torch.ones(1)
    least, most = (
        future.of(Transitions(state, action, reward, state, one > 1, one > 1, one, one))
        for reward in (-LARGE * one, LARGE * one)
    )
    return not torch.equal(least, most)


def require_future(future: object) -> None:
    """Raise `InputError` for what is no future."""
    if isinstance(future, type) or not (
        hasattr(future, "space") and (hasattr(future, "of") or steps_of(future))  # type: ignore[arg-type]
    ):
        raise InputError(
            f"Expected a future with the methods space and of, such as NextState(), but got {shown(future)}."
        )


def steps_of(future: Future) -> int:
    """Return how many steps, that of the action included, F is read from; 0 where single transitions will do."""
    steps = as_number(getattr(future, "steps", 0))
    return int(steps) if isinstance(steps, int | float) and 0 <= steps <= MOST_STEPS else 0


def has_exact(future: Future) -> bool:
    """Return whether a future has an exact counterpart."""
    try:
        exact_of(future)
    except InputError:
        return False
    return True


def exact_of(future: Future) -> tabular.Future:
    """Return the exact counterpart of a future; raises `InputError` where it has none."""
    if not hasattr(future, "exact"):
        raise InputError(
            f"Expected a future with an exact counterpart, but {shown(future)} has none; give it a method exact()."
        )
    counterpart: tabular.Future = future.exact()
    return counterpart


@dataclass(frozen=True)
class Later(ABC):
    """A future of several steps, read from replayed pieces of episodes.

    What followed in replay was chosen by the behaviour policy μ. What is wanted follows the current policy π, so a
    piece counts with the weight Π π(a_i|s_i) / μ(a_i|s_i) over the actions after the first one (the first is given,
    not averaged over). A piece that an episode's end by termination cut short is whole: terminal states absorb, and
    nothing is earned after them. One that was cut by truncation, or by the end of replay, is unknown and counts for
    nothing. So where both kinds of end fall into one horizon, those that terminate in time are seen a little too often;
    take horizons that are short beside the time limit.
    """

    steps: int
    most_weight: float = field(default=100.0, kw_only=True)
    """Weights are cut here: a little bias for a bounded variance (Ionides, 2008, truncated importance sampling)."""

    def __post_init__(self) -> None:
        steps, weight, name = as_number(self.steps), as_number(self.most_weight), type(self).__name__
        if not isinstance(steps, int) or steps < 1:
            raise InputError(f"Expected {name} of at least 1 step, a whole number, but got {shown(self.steps)}.")
        if steps > MOST_STEPS:
            raise InputError(f"Expected {name} of at most {MOST_STEPS:,} steps, but got {float(steps):.3g}.")
        if weight is None or not weight >= 1:
            raise InputError(
                f"Expected most_weight of at least 1, but got {shown(self.most_weight)}; 100 is the default."
            )
        object.__setattr__(self, "steps", steps)
        object.__setattr__(self, "most_weight", weight)

    @abstractmethod
    def space(self, state_space: Space[Any]) -> Space[Any]:
        """Return the space of F."""

    @abstractmethod
    def read(self, pieces: Sequences, state_space: Space[Any]) -> Tensor:
        """Return F of each piece, `[B, ...]`; of an unknown one, anything in the space."""

    def source(self, policy: Policy) -> Policy:
        """Return what the actions after the first are meant to be drawn from: the policy."""
        return policy

    @torch.no_grad()
    def weight(self, policy: Policy, pieces: Sequences) -> Tensor:
        """Return how much each piece counts for what follows under `policy`, `[B]`; 0 where F is unknown."""
        pieces, policy = instance("pieces", pieces, Sequences), function("policy", policy, "states")
        valid, rows = pieces.valid, pieces.steps
        known = valid.all(1) | (valid & rows.terminated).any(1)
        if self.steps == 1:
            return known.to(rows.weight)
        later = rows[:, 1:].flat()
        with raised_by("the policy", "log_prob"):
            ratio = self.source(policy)(later.state).log_prob(later.action) - later.log_behaviour
        log_weight = (ratio.unflatten(0, (len(valid), -1)) * valid[:, 1:]).sum(1)
        return torch.where(known, log_weight.exp().clamp_max(self.most_weight), 0.0).to(rows.weight)
