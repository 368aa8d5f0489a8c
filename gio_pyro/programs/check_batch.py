"""The random batch that programs are checked on, and helpers that run a program on it."""

import math
import warnings
from collections.abc import Iterator, Mapping
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
from gio_pyro.programs.modes import without_validation
from gio_pyro.programs.program import Program
from gio_pyro.programs.sites import is_plate, is_recorded, quoted_names, require_distribution, require_only
from gio_pyro.types import Policy, Spec, Transitions
from gio_pyro.utils.randomness import PrivateRandom

BATCH = 7
"""Examples in the batch: few, and seldom a dimension of a space, so that transposed shapes are detected."""
MAX_VALUES_TRIED = 16
"""Maximum number of values of a site that are compared before it counts as having no effect."""
PERTURBATION = 0.1
"""Standard deviation of the noise added to parameters: values of a table differ, networks do not saturate."""

Sites = dict[str, dict[str, Any]]


@dataclass(frozen=True)
class Inputs:
    """Inputs of a program, and copies of them to detect in-place modification."""

    copies: dict[str, Tensor]
    """By name."""

    def overwritten(self) -> str | None:
        """Return the name of a tensor that was modified in place, or None."""
        return next((name for name, copy in self.copies.items() if not torch.equal(getattr(self, name), copy)), None)


@dataclass(frozen=True)
class ExampleBatch(Inputs):
    """A random policy, and a batch of `BATCH` states, actions and futures, for the spaces of a spec."""

    policy: Policy
    state: Tensor
    action: Tensor
    future: Tensor

    @classmethod
    def of(cls, spec: Spec) -> "ExampleBatch":
        """Return a random batch; raises `InputError` for spaces that are neither Discrete nor Box."""
        if not isinstance(spec, Spec):
            raise InputError(
                f"Expected a spec, such as that of an agent (agent.spec), but got one of type {type(spec).__name__}; "
                "pass it last."
            )
        spaces = {"state": spec.state_space, "action": spec.action_space, "future": spec.future_space}
        require_spaces(spaces)
        policy = _random_policy(spec.state_space, spec.action_space)
        drawn = {name: random_values(space) for name, space in spaces.items()}
        return cls(policy=policy, **drawn, copies=copies_of(drawn))

    def with_future(self, future: Tensor) -> "ExampleBatch":
        """Return the same states and actions with other futures `[BATCH, ...]`."""
        return replace(self, future=future, copies=self.copies | {"future": future.clone()})

    def transitions(self) -> Transitions:
        """Return transitions whose next state is the state, of weight 1."""
        no, zeros = torch.zeros(BATCH, dtype=torch.bool), torch.zeros(BATCH)
        return Transitions(self.state, self.action, zeros, self.state, no, no, zeros, zeros + 1)


def copies_of(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Return copies of tensors by name."""
    return {name: tensor.clone() for name, tensor in tensors.items()}


def require_spaces(spaces: Mapping[str, Space[Any]]) -> None:
    """Raise `InputError` for a space that is neither Discrete nor Box."""
    for name, space in spaces.items():
        if not isinstance(space, Discrete | Box):
            raise InputError(
                f"Expected a Discrete or Box {name} space, but got {space}; take the spaces of an agent's spec."
            )


def random_values(space: Space[Any]) -> Tensor:
    """Return `BATCH` random values of a space: normal, uniform where bounded, integers for uint8."""
    if isinstance(space, Discrete):
        return torch.randint(int(space.n), (BATCH,))
    assert isinstance(space, Box)
    if space.dtype == np.uint8:
        lowest, highest = int(space.low.min()), int(space.high.max())
        return torch.randint(lowest, highest + 1, (BATCH, *space.shape), dtype=torch.uint8)
    low, high = (torch.as_tensor(bound, dtype=torch.float32) for bound in (space.low, space.high))
    inside = low + (high - low) * torch.rand(BATCH, *space.shape)
    return torch.where(high - low < 1e6, inside, torch.randn(BATCH, *space.shape).clamp(low, high))


def _random_policy(states: Space[Any], actions: Space[Any]) -> Policy:
    """Return a random state-dependent policy: categorical, or normal for a Box."""
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


def support_size(space: Space[Any]) -> int:
    """Return the number of values of a Discrete space; for a Box 1 + its dimension, so that only an empty one has 1."""
    return int(space.n) if isinstance(space, Discrete) else 1 + math.prod(space.shape or ())


def other_values(space: Space[Any], value: Tensor) -> list[Tensor]:
    """Return batches of other values for a site: every value of a Discrete space, or permutations of `value`."""
    if isinstance(space, Discrete):
        return [torch.full_like(value, number) for number in range(min(int(space.n), MAX_VALUES_TRIED))]
    return [value.roll(places, 0) for places in range(BATCH)]


@contextmanager
def running_check(name: str, device: torch.device) -> Iterator[None]:
    """Run a check with its own random generators on a device, and turn any exception of a program into `ProgramError`.

    Pyro's validation is off, so that the check reports a defect before Pyro does.
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


def run_sites(program: Program, *args: Any, data: dict[str, Tensor]) -> Sites:
    """Run a program with the sites in `data` held fixed and return its sample sites.

    Raises:
        ProgramError: a site is missing, is not one of the program's, or has no Pyro distribution.
    """
    with poutine.block(), poutine.trace() as trace, _RequireDistributions(program):
        poutine.condition(program, data)(*args)
    nodes = {name: dict(node) for name, node in trace.trace.nodes.items() if node["type"] == "sample"}
    sites = {name: node for name, node in nodes.items() if not is_plate(node) and not is_recorded(node)}
    for name in program.sites:
        if name not in sites and name not in program.optional_sites:
            raise ProgramError(
                f'Expected {program.name} to sample the site "{name}", but it samples {quoted_names(sites)}; '
                f'add pyro.sample("{name}", ...).'
            )
    require_only(program.name, sites.values(), program.sites, program.latent_names)
    return sites


class _RequireDistributions(Messenger):
    """Raise `ProgramError` at a site that has no Pyro distribution, before sampling from it."""

    def __init__(self, program: Program) -> None:
        super().__init__()
        self.program = program

    def _pyro_sample(self, msg: Any) -> None:
        if msg["name"] in self.program.sites:
            require_distribution(self.program.name, msg)


def perturb(program: Program) -> None:
    """Add noise to the parameters: initial values may be constant and hide defects."""
    with torch.no_grad():
        for parameter in program.parameters():
            parameter.add_(PERTURBATION * torch.randn_like(parameter))
