"""The log-likelihood of transitions under draws of a model's weights from their posterior."""

from __future__ import annotations

from typing import TYPE_CHECKING

import torch
from torch import Tensor

from gio_pyro.diagnostics.evidence import Triples
from gio_pyro.programs import Model
from gio_pyro.programs.latents import Latents
from gio_pyro.types import Policy

if TYPE_CHECKING:
    from gio_pyro.agent import GIO

AT_ONCE = 50
"""Draws of the weights in one call of the program."""


def weight_log_likelihood(agent: GIO, triples: Triples, draws: int) -> Tensor | None:
    """Return log p(F|s, a, w) under fresh draws of the weights w, `[draws, N]` nats.

    The weights are those of the program's `sample_beliefs`, or its latent sites that all examples share; None for a
    model without either, and for one with latent sites of each example besides.
    """
    if not has_weight_draws(agent.model):
        return None
    parts = [min(AT_ONCE, draws - done) for done in range(0, draws, AT_ONCE)]
    return torch.cat([_log_likelihood(agent.model, agent.policy, triples, part) for part in parts])


def has_weight_draws(model: Model) -> bool:
    """Return whether a model has a posterior over weights that can be drawn from."""
    if hasattr(model.program, "sample_beliefs"):
        return True
    return model.latents is not None and bool(model.latents.sites.shared) and not model.latents.sites.local


def _log_likelihood(model: Model, policy: Policy, triples: Triples, draws: int) -> Tensor:
    if hasattr(model.program, "sample_beliefs"):
        found: Tensor = model.sample_beliefs(triples.state, triples.action, draws).log_prob(triples.future)
        return found
    assert model.latents is not None
    values = _shared(model.latents, policy, draws)
    run = model.latents.run(policy, triples.state, triples.action, values, draws, triples.future)
    log_joint = run.log_prob(triples.future) + run.log_prior(model.latents.sites.finite)
    return log_joint.reshape(draws, -1, len(triples)).logsumexp(1)


def _shared(latents: Latents, policy: Policy, draws: int) -> dict[str, Tensor]:
    """Return fresh draws of every shared site from its posterior, `[draws, ...]`."""
    found: dict[str, Tensor] = {}
    for source, names in latents.sources.items():
        wanted = [name for name in names if name in latents.sites.shared]
        runs = [latents.recorded(source, policy) for _ in range(draws)] if wanted else []
        found |= {name: torch.stack([run[name]["value"] for run in runs]) for name in wanted}
    return found
