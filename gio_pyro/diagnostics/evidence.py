"""The data of a diagnosis: fresh environment transitions, and triples that the agent's own model imagines."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from gio_pyro.collection import Collector, Env
from gio_pyro.collection.make import Vector
from gio_pyro.data.training_batches import unweighted_batch
from gio_pyro.errors import InputError, TrainingError
from gio_pyro.programs import without_validation
from gio_pyro.utils.randomness import PrivateRandom

if TYPE_CHECKING:
    from gio_pyro.agent import GIO

OTHER_SEED = 2_000_003
"""Added to the training seed: these episodes are neither those of training nor those of evaluation."""


@dataclass(frozen=True)
class Triples:
    """N examples of a state, an action of the policy, and a future."""

    state: Tensor
    action: Tensor
    future: Tensor
    log_p: Tensor | None = None
    """`[N]` nats: log p_ψ(F|s, a), an upper bound in expectation, of futures imagined with local latent sites."""

    def __len__(self) -> int:
        return len(self.state)


@contextmanager
def judging(agent: GIO) -> Iterator[None]:
    """Use separate random generators, and no gradients, inside the block; restore generators and masks after it."""
    seed = (agent.settings.seed + OTHER_SEED) % 2**32
    masks = deepcopy(agent.masks.state_dict())
    with PrivateRandom(seed, agent.device).use(), torch.inference_mode(False), torch.no_grad(), without_validation():
        try:
            yield
        finally:
            agent.masks.load_state_dict(masks)


def played(agent: GIO, count: int, environment: str | Env | Vector | None = None) -> Triples:
    """Return `count` transitions of the current policy in a copy of the environment, or in the given one.

    Raises:
        InputError: the environment cannot be copied, the given one has other spaces, or no future is complete within
            that many steps.
        TrainingError: the environment raises, or returns invalid data.
    """
    with agent.collector.evaluation_environment(environment) as env:
        seed = (agent.settings.seed + OTHER_SEED) % 2**31
        mask_handler = agent.collector.environments.masks.handler
        collector = Collector(env, seed=seed, device=agent.device, mask_handler=mask_handler)
        incomplete = agent.future.steps * collector.environments.count if agent.future.sequential else 0
        steps = count + incomplete
        inner = agent.actor_critic.behaviour(uniform_share=0.0)
        collected = collector.collect(agent.beliefs.elsewhere(inner, collector.environments.count), steps)
    replay = agent.beliefs.replay(len(collected.rows), None)
    replay.add(collected.rows, *collected.links())
    rows, future = unweighted_batch(agent.future, replay, agent.policy, agent.spec.state_space, count)
    return Triples(rows.state, rows.action, future)


def imagined(agent: GIO, state: Tensor) -> Triples:
    """Return an action of the policy and a future of the model for each state `[N, ...]`."""
    action, latents = agent.policy(state).sample(), agent.model.latents
    if latents is not None and latents.sites.local:
        future, _, upper = latents.sandwich(agent.policy, state, action)
        return Triples(state, action, future, upper)
    return Triples(state, action, agent.model.future(agent.policy, state, action).sample())


def require_future_is_read(agent: GIO) -> None:
    """Raise `InputError` for a guide that ignores the future: its reward bounds no mutual information."""
    if agent.guide.ignores_future:
        advice = "; diagnose_filter judges its filter" if agent.beliefs.learns else ", and there is nothing to judge"
        raise InputError(
            f"Expected a guide that looks at the future, but {agent.guide.name} does not: what it pays bounds no "
            f"mutual information{advice}."
        )


def require_numbers(agent: GIO, rows: Triples) -> None:
    """Raise `TrainingError`, naming the program, if a log-probability of the model or the guide is NaN."""
    scores = {
        agent.model.name: agent.model.log_prob(agent.policy, rows.state, rows.action, rows.future),
        agent.guide.name: agent.guide.log_prob(agent.policy, rows.state, rows.future, rows.action),
    }
    for name, nats in scores.items():
        if bool(nats.isnan().any()):
            raise TrainingError(
                f"Expected log-probabilities from {name}, but got NaN for {int(nats.isnan().sum())} of {len(nats)} "
                "transitions; a program that gives NaN cannot be judged."
            )
