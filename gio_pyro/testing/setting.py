"""The made-up batch that programs are checked on, and how they are run on it."""

import math
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyro.distributions as dist
import torch
from gymnasium import Space
from gymnasium.spaces import Box, Discrete
from pyro import poutine
from torch import Tensor

from gio_pyro.errors import GioError, InputError, ProgramError, told
from gio_pyro.programs import Program, without_validation
from gio_pyro.programs.program import require_fits
from gio_pyro.randomness import PrivateRandom
from gio_pyro.types import Policy, Spec

BATCH = 7
"""Examples in the batch: few, and a number that spaces seldom share, so that a transposed shape is seen."""
TRIED = 16
"""Most values of a site that are tried before it is said to make no difference."""
MOVED = 0.1
"""How far parameters are moved: enough to tell the values of a table apart, too little to saturate a network."""

Sites = dict[str, dict[str, Any]]


@dataclass(frozen=True)
class Setting:
    """A policy and a batch of states, actions and futures that fit a spec."""

    policy: Policy
    state: Tensor
    action: Tensor
    future: Tensor

    @classmethod
    def of(cls, spec: Spec) -> "Setting":
        """Draw a setting; raises `InputError` for spaces that are neither Discrete nor Box."""
        spaces = {"state": spec.state_space, "action": spec.action_space, "future": spec.future_space}
        for name, space in spaces.items():
            if not isinstance(space, Discrete | Box):
                raise InputError(
                    f"Expected a Discrete or Box {name} space, but got {space}; take the spaces of an agent's spec."
                )
        return cls(_policy(spec.state_space, spec.action_space), *(_draw(space) for space in spaces.values()))


def _draw(space: Space[Any]) -> Tensor:
    """Return `BATCH` values of a space: normal numbers, uniform ones between bounds, whole numbers of uint8."""
    if isinstance(space, Discrete):
        return torch.randint(int(space.n), (BATCH,))
    assert isinstance(space, Box)
    if space.dtype == np.uint8:
        least, most = int(space.low.min()), int(space.high.max())
        return torch.randint(least, most + 1, (BATCH, *space.shape), dtype=torch.uint8)
    low, high = torch.from_numpy(space.low).float(), torch.from_numpy(space.high).float()
    inside = low + (high - low) * torch.rand(BATCH, *space.shape)
    return torch.where(high - low < 1e6, inside, torch.randn(BATCH, *space.shape).clamp(low, high))


def _policy(states: Space[Any], actions: Space[Any]) -> Policy:
    """Return a policy that differs from state to state: categorical, or normal over a Box."""
    sizes = [int(s.n) if isinstance(s, Discrete) else math.prod(s.shape or ()) for s in (states, actions)]
    table = torch.randn(sizes[0], 2 * sizes[1])
    if isinstance(states, Box):
        table = table / math.sqrt(max(sizes[0], 1))

    def policy(state: Tensor) -> Any:
        row = table[state] if isinstance(states, Discrete) else state.flatten(1).float().sin() @ table
        first, second = row.chunk(2, -1)
        if isinstance(actions, Discrete):
            return dist.Categorical(logits=first)
        shape = (len(state), *(actions.shape or ()))
        return dist.Normal(first.reshape(shape), second.sin().exp().reshape(shape)).to_event(len(shape) - 1)

    return policy


def count(space: Space[Any]) -> int:
    """Return how many values a space has, as far as anybody asks: a Box that holds numbers has more than one."""
    return int(space.n) if isinstance(space, Discrete) else 1 + math.prod(space.shape or ())


def others(space: Space[Any], value: Tensor) -> list[Tensor]:
    """Return other batches for a site: each value of a Discrete space for all examples, or `value` in other orders."""
    if isinstance(space, Discrete):
        return [torch.full_like(value, number) for number in range(min(int(space.n), TRIED))]
    return [value.roll(places, 0) for places in range(BATCH)]


@contextmanager
def quietly(program: Any) -> Iterator[None]:
    """Run a check on private random numbers, turning foreign errors into sentences.

    Pyro's validation is off: it would speak before the check does.
    """
    name = getattr(program, "__name__", type(program).__name__)
    try:
        with PrivateRandom(0).use(), torch.enable_grad(), without_validation(), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    except GioError:
        raise
    except Exception as error:
        raise ProgramError(
            f"Expected {name} to run on a batch of {BATCH}, but it raised {told(error)}; "
            "run it on a small batch of your own."
        ) from error


def run(program: Program, *args: Any, data: dict[str, Tensor]) -> Sites:
    """Run a program with the sites in `data` held fixed and return its sample sites."""
    with poutine.block():
        trace = poutine.trace(poutine.condition(program, data)).get_trace(*args)
    return {
        name: dict(node)
        for name, node in trace.nodes.items()
        if node["type"] == "sample" and type(node["fn"]).__name__ != "_Subsample"
    }


def move(program: Program) -> None:
    """Shift the parameters from where they start: a fresh table may be constant and hide what is wrong."""
    with torch.no_grad():
        for parameter in program.parameters():
            parameter.add_(MOVED * torch.randn_like(parameter))


def require_sites(program: Program, sites: Sites, expected: set[str]) -> None:
    """Raise `ProgramError` unless the program samples exactly the expected sites."""
    for name in sorted(expected - set(sites)):
        raise ProgramError(
            f'Expected {program.name} to sample the site "{name}", but it samples {_list(set(sites))}; '
            f'add pyro.sample("{name}", ...).'
        )
    for name in sorted(set(sites) - expected):
        raise ProgramError(
            f'Expected {program.name} to sample only {_list(expected)}, but it also samples "{name}"; '
            "make it a parameter or compute it."
        )


def require_batch(program: Program, node: dict[str, Any], site: str, space: Space[Any]) -> None:
    """Raise `ProgramError` unless a site has one distribution over a space for each example, without NaN."""
    at = f'the site "{site}" of {program.name}'
    shape = tuple(node["fn"].batch_shape)
    if shape != (BATCH,):
        hint = (
            "the program is not vectorised, so give each example in pyro.plate its own distribution"
            if shape in ((), (1,))
            else "declare event dimensions with to_event"
        )
        raise ProgramError(
            f"Expected {at} to have batch shape ({BATCH},) for {BATCH} examples, but got {shape}; {hint}."
        )
    require_fits(program.name, site, node["fn"], space)
    if bool(torch.isnan(node["fn"].log_prob(node["value"])).any()):
        raise ProgramError(f"Expected log-probabilities at {at}, but got NaN; look for log 0 or 0/0.")


def require_vectorised(program: Program, whole: Tensor, alone: Tensor, site: str) -> None:
    """Raise `ProgramError` unless an example `[1]` scores the same on its own and in the batch `[BATCH]`."""
    here, there = float(alone.detach()), float(whole[-1].detach())
    if abs(here - there) > 1e-4 * max(1.0, abs(here)):
        raise ProgramError(
            f'Expected an example to score the same alone and in a batch at the site "{site}" of {program.name}, but '
            f"got {here:.4g} and {there:.4g}; examples must not mix."
        )


def require_gradient(program: Program, score: Tensor, site: str) -> None:
    """Raise `ProgramError` if the program has parameters and the site gives none a gradient, or gives NaN."""
    parameters = [p for p in program.parameters() if p.requires_grad]
    if not parameters:
        return
    found = torch.autograd.grad(score.sum(), parameters, allow_unused=True) if score.requires_grad else ()
    gradients = [g for g in found if g is not None]
    if not all(bool(torch.isfinite(g).all()) for g in gradients):
        raise ProgramError(
            f'Expected finite gradients from the site "{site}" of {program.name}, but got NaN or infinity; look for '
            "sqrt, log or a division at 0."
        )
    if not any(bool((g != 0).any()) for g in gradients):
        raise ProgramError(
            f'Expected the parameters of {program.name} to get a gradient from the site "{site}", but none does; look '
            "for detach, no_grad, or a parameter that is not used."
        )


def require_path(program: Program, result: Tensor, cause: Tensor, what: str) -> None:
    """Raise `ProgramError` unless a gradient passes from `result` to `cause`: a continuous policy improves by it."""
    found = torch.autograd.grad(result.sum(), cause, allow_unused=True)[0] if result.requires_grad else None
    if found is None or not bool((found != 0).any()) or not bool(torch.isfinite(found).all()):
        raise ProgramError(
            f"Expected {what} of {program.name} to pass on a finite gradient, by which a continuous policy improves, "
            "but it does not; look for detach, no_grad or rounding."
        )


def _list(sites: set[str]) -> str:
    return ", ".join(f'"{site}"' for site in sorted(sites)) or "nothing"
