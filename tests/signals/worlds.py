"""Small worlds that signals are read in, and what they are built from there."""

from typing import Any

import pyro.distributions as dist
import torch
from gymnasium.spaces import Discrete
from torch import Tensor

from gio_pyro.futures import NextState
from gio_pyro.guides import UniformGuide
from gio_pyro.programs import Model, build_guide, build_model, example
from gio_pyro.signals import Fitted
from gio_pyro.types import Policy, Spec, Transitions
from tests.spaces import SMALL, vector

FINITE = Spec(Discrete(4), Discrete(3), Discrete(4))
VECTORS = Spec(vector(2), vector(1), vector(2), hidden=SMALL)
FEW = Spec(vector(2), Discrete(3), vector(2), hidden=SMALL)


def policy_of(spec: Spec) -> Policy:
    """The uniform policy, or a standard normal one."""
    if isinstance(spec.action_space, Discrete):
        count = int(spec.action_space.n)
        return lambda state: dist.Categorical(logits=torch.zeros(len(state), count))
    size = spec.action_space.shape
    return lambda state: dist.Normal(torch.zeros(len(state), *size), 1.0).to_event(1)


def built(kind: Any, spec: Spec, seed: int = 0) -> Model:
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        return build_model(kind, spec, policy_of(spec), example(spec.state_space, torch.device("cpu")))


def fitted(kind: Any, spec: Spec, future: Any = None) -> Fitted:
    """What signals are built from, around a model that may be built already."""
    policy, model = policy_of(spec), kind if isinstance(kind, Model) else built(kind, spec)
    with torch.random.fork_rng():
        guide = build_guide(UniformGuide, spec, model, policy, example(spec.state_space, torch.device("cpu")))
    return Fitted(spec, future or NextState(), model, guide, policy)


def rows(state: Tensor, action: Tensor, next_state: Tensor, ended: Tensor | None = None) -> Transitions:
    """Transitions of weight 1 whose rewards are 0; `ended` are those that terminate an episode."""
    count = len(state)
    never = torch.zeros(count, dtype=torch.bool)
    ended = never if ended is None else ended
    return Transitions(
        state, action, torch.zeros(count), next_state, ended, never, torch.zeros(count), torch.ones(count)
    )


def some(spec: Spec, count: int = 32, seed: int = 0) -> Transitions:
    """Transitions of random numbers that fit a spec; futures are next states."""
    generator = torch.Generator().manual_seed(seed)

    def draw(space: Any) -> Tensor:
        if isinstance(space, Discrete):
            return torch.randint(int(space.n), (count,), generator=generator)
        return torch.randn(count, *space.shape, generator=generator)

    return rows(draw(spec.state_space), draw(spec.action_space), draw(spec.state_space))


def updated(model: Model, data: Transitions) -> Model:
    """The same model after it observed next states."""
    model.observe(data.state, data.action, data.next_state)
    return model
