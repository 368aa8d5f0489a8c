"""The made-up batch that programs are checked on, and how they are run on it."""

import math
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pyro.distributions as dist
import torch
from gymnasium import Space
from gymnasium.spaces import Box, Discrete
from pyro import poutine
from pyro.poutine.messenger import Messenger
from torch import Tensor

from gio_pyro.errors import GioError, InputError, ProgramError, describe_error
from gio_pyro.programs.program import Program, without_validation
from gio_pyro.programs.sites import is_plate, is_recorded, listed, require_drawn, require_known
from gio_pyro.types import Policy, Spec, Transitions
from gio_pyro.utils.randomness import PrivateRandom

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
    copies: dict[str, Tensor]
    """The same tensors by name, for nobody to write into."""

    @classmethod
    def of(cls, spec: Spec) -> "Setting":
        """Draw a setting; raises `InputError` for spaces that are neither Discrete nor Box."""
        if not isinstance(spec, Spec):
            raise InputError(
                f"Expected a spec, such as that of an agent (agent.spec), but got one of type {type(spec).__name__}; "
                "pass it last."
            )
        spaces = {"state": spec.state_space, "action": spec.action_space, "future": spec.future_space}
        for name, space in spaces.items():
            if not isinstance(space, Discrete | Box):
                raise InputError(
                    f"Expected a Discrete or Box {name} space, but got {space}; take the spaces of an agent's spec."
                )
        policy = _policy(spec.state_space, spec.action_space)
        drawn = {name: _draw(space) for name, space in spaces.items()}
        return cls(policy, **drawn, copies={name: values.clone() for name, values in drawn.items()})

    def after(self, future: Tensor) -> "Setting":
        """Return the same states and actions with other futures `[BATCH, ...]`."""
        return replace(self, future=future, copies=self.copies | {"future": future.clone()})

    def transitions(self) -> Transitions:
        """Return the states and actions as transitions that stay where they are, each counting 1."""
        no, zeros = torch.zeros(BATCH, dtype=torch.bool), torch.zeros(BATCH)
        return Transitions(self.state, self.action, zeros, self.state, no, no, zeros, zeros + 1)

    def changed(self) -> str | None:
        """Return the name of a tensor that somebody has written into, or None."""
        return next((name for name, copy in self.copies.items() if not torch.equal(getattr(self, name), copy)), None)


def _draw(space: Space[Any]) -> Tensor:
    """Return `BATCH` values of a space: normal numbers, uniform ones between bounds, whole numbers of uint8."""
    if isinstance(space, Discrete):
        return torch.randint(int(space.n), (BATCH,))
    assert isinstance(space, Box)
    if space.dtype == np.uint8:
        least, most = int(space.low.min()), int(space.high.max())
        return torch.randint(least, most + 1, (BATCH, *space.shape), dtype=torch.uint8)
    low, high = (torch.as_tensor(bound, dtype=torch.float32) for bound in (space.low, space.high))
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
def quietly(name: str, device: torch.device) -> Iterator[None]:
    """Run a check on private random numbers, on a device, turning foreign errors into sentences.

    Pyro's validation is off: it would speak before the check does.
    """
    try:
        with (
            PrivateRandom(0, device).use(),
            torch.device(device),
            torch.inference_mode(False),
            torch.enable_grad(),
            without_validation(),
            warnings.catch_warnings(),
        ):
            warnings.simplefilter("ignore")
            yield
    except GioError:
        raise
    except (Exception, SystemExit) as error:
        raise ProgramError(
            f"Expected {name} to run on a batch of {BATCH}, but it raised {describe_error(error, 120)}; "
            "run it on a small batch of your own."
        ) from error


def run(program: Program, *args: Any, data: dict[str, Tensor]) -> Sites:
    """Run a program with the sites in `data` held fixed and return its sample sites.

    Raises:
        ProgramError: a site without a distribution of Pyro, one that is missing, or one too many.
    """
    with poutine.block(), poutine.trace() as trace, _Drawn(program):
        poutine.condition(program, data)(*args)
    nodes = {name: dict(node) for name, node in trace.trace.nodes.items() if node["type"] == "sample"}
    sites = {name: node for name, node in nodes.items() if not is_plate(node) and not is_recorded(node)}
    for name in program.sites:
        if name not in sites:
            raise ProgramError(
                f'Expected {program.name} to sample the site "{name}", but it samples {listed(sites)}; '
                f'add pyro.sample("{name}", ...).'
            )
    require_known(program.name, sites.values(), program.sites)
    return sites


class _Drawn(Messenger):
    """Raises `ProgramError` at a site that has no distribution of Pyro, before anything is drawn from it."""

    def __init__(self, program: Program) -> None:
        super().__init__()
        self.program = program

    def _pyro_sample(self, msg: Any) -> None:
        if msg["name"] in self.program.sites:
            require_drawn(self.program.name, msg)


def move(program: Program) -> None:
    """Shift the parameters from where they start: a fresh table may be constant and hide what is wrong."""
    with torch.no_grad():
        for parameter in program.parameters():
            parameter.add_(MOVED * torch.randn_like(parameter))
