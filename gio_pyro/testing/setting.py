"""The made-up batch that programs are checked on, and how they are run on it."""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import pyro
import pyro.distributions as dist
import torch
from gymnasium import Space
from gymnasium.spaces import Discrete
from pyro import poutine
from torch import Tensor

from gio_pyro.errors import GioError, InputError, ProgramError
from gio_pyro.programs import Program
from gio_pyro.randomness import PrivateRandom
from gio_pyro.types import Policy, Spec

BATCH = 7
"""A size that no space is likely to share, so that a transposed or broadcast shape is seen."""


@dataclass(frozen=True)
class Setting:
    """A policy and a batch of states, actions and futures that fit a spec."""

    policy: Policy
    state: Tensor
    action: Tensor
    future: Tensor

    @classmethod
    def of(cls, spec: Spec) -> "Setting":
        """Draw a setting; raises `InputError` for spaces that are not Discrete."""
        states, actions, futures = (
            _count(getattr(spec, f"{name}_space"), name) for name in ("state", "action", "future")
        )
        logits = torch.randn(states, actions)
        return cls(
            lambda state: dist.Categorical(logits=logits[state]),
            torch.randint(states, (BATCH,)),
            torch.randint(actions, (BATCH,)),
            torch.randint(futures, (BATCH,)),
        )


def _count(space: Space[Any], name: str) -> int:
    if not isinstance(space, Discrete):
        raise InputError(f"Expected a spec with Discrete spaces, but its {name} space is {space}.")
    return int(space.n)


@contextmanager
def quietly(name: str) -> Iterator[None]:
    """Run a check on private random numbers, with Pyro's validation, turning foreign errors into sentences."""
    try:
        with PrivateRandom(0).use(), pyro.validation_enabled(True), warnings.catch_warnings():
            yield
    except GioError:
        raise
    except Exception as error:
        text = " ".join(str(error).split())
        raise ProgramError(
            f"Expected {name} to run on a batch of {BATCH}, but it raised {type(error).__name__}: {text}"
        ) from error


def trace_of(program: Program, *args: Any, data: dict[str, Tensor] | None = None) -> poutine.Trace:
    """Run a program with the sites in `data` held fixed and return everything it did."""
    with poutine.block():
        return poutine.trace(poutine.condition(program, data or {})).get_trace(*args)


def require_sites(program: Program, trace: poutine.Trace, expected: set[str]) -> None:
    """Raise `ProgramError` unless the program samples exactly the expected sites."""
    sites = {
        name
        for name, node in trace.nodes.items()
        if node["type"] == "sample" and type(node["fn"]).__name__ != "_Subsample"
    }
    for name in sorted(expected - sites):
        raise ProgramError(
            f'Expected {program.name} to sample the site "{name}", but it samples {_list(sites)}; '
            f'add pyro.sample("{name}", ...).'
        )
    for name in sorted(sites - expected):
        raise ProgramError(
            f'Expected {program.name} to sample only {_list(expected)}, but it also samples "{name}"; '
            "make it a parameter or compute it."
        )


def require_batch(program: Program, trace: poutine.Trace, site: str) -> None:
    """Raise `ProgramError` unless a site has one value and one log-probability for each example."""
    node: dict[str, Any] = dict(trace.nodes[site])
    shape = tuple(node["fn"].batch_shape)
    if shape != (BATCH,):
        hint = (
            "the program is not vectorised: sample inside pyro.plate with one distribution an example"
            if shape in ((), (1,))
            else "declare event dimensions with to_event"
        )
        raise ProgramError(
            f'Expected the site "{site}" of {program.name} to have batch shape ({BATCH},) for {BATCH} examples, but '
            f"got {shape}; {hint}."
        )
    log_prob = node["fn"].log_prob(node["value"])
    if log_prob.shape != (BATCH,):
        raise ProgramError(
            f'Expected {BATCH} log-probabilities at the site "{site}" of {program.name}, but got shape '
            f"{tuple(log_prob.shape)}; its value has shape {tuple(node['value'].shape)}."
        )
    if bool(torch.isnan(log_prob).any()):
        raise ProgramError(
            f'Expected log-probabilities at the site "{site}" of {program.name}, but got NaN; look for log 0 or 0/0.'
        )


def require_vectorised(program: Program, whole: Tensor, alone: Tensor, site: str) -> None:
    """Raise `ProgramError` unless an example's log-probability is the same in a batch and on its own."""
    if not torch.allclose(whole[:1], alone, atol=1e-5):
        raise ProgramError(
            f'Expected an example to score the same alone and in a batch at the site "{site}" of {program.name}, but '
            f"got {float(alone):.4g} and {float(whole[0]):.4g}; examples must not mix."
        )


def require_gradient(program: Program, score: Tensor, site: str) -> None:
    """Raise `ProgramError` if the program has parameters and none gets a gradient from the site."""
    parameters = [p for p in program.parameters() if p.requires_grad]
    if not parameters:
        return
    gradients = (
        torch.autograd.grad(score.sum(), parameters, allow_unused=True)
        if score.requires_grad
        else [None] * len(parameters)
    )
    if all(g is None or not bool((g != 0).any()) for g in gradients):
        raise ProgramError(
            f'Expected the parameters of {program.name} to get a gradient from the site "{site}", but none does; look '
            "for detach, no_grad, or a parameter that is not used."
        )
    if any(g is not None and not bool(torch.isfinite(g).all()) for g in gradients):
        raise ProgramError(
            f'Expected finite gradients from the site "{site}" of {program.name}, but got NaN or infinity.'
        )


def _list(sites: set[str]) -> str:
    return ", ".join(f'"{site}"' for site in sorted(sites)) or "nothing"
