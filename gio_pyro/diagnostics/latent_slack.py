"""How far the log-density of a model with latent sites may be from its exact value.

With local latent sites log p_ψ(F|s, a) is an importance-weighted bound with K draws, too low on average. On the model's
own futures an upper bound is known as well (see `Latents.sandwich`), and the slack between them is the largest error.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch

from gio_pyro.diagnostics.evidence import judging
from gio_pyro.errors import InputError
from gio_pyro.types import in_space
from gio_pyro.utils.checks import batch, invalid_argument

if TYPE_CHECKING:
    from torch import Tensor

    from gio_pyro.agent import GIO

STATES = 512
"""States of replay that are used by default."""


@dataclass(frozen=True)
class LatentSlack:
    """Bounds on the mean of log p_ψ(F|s, a) over futures that the model imagines, nats."""

    draws: int
    """K."""
    lower: float
    """The mean of what `log_prob` of the model returns."""
    upper: float
    """The mean with the latent sites that produced the future as one of the K draws."""
    error: float
    """Standard error of the difference."""
    exact: bool = False
    """Whether both bounds are the density itself, given the draws of shared sites: there are no local ones."""

    @property
    def slack(self) -> float:
        """Upper minus lower bound, at least 0: the largest error of `lower`, nats."""
        return max(self.upper - self.lower, 0.0)

    def __str__(self) -> str:
        """Return the bounds in a sentence."""
        if self.exact:
            over = "" if self.draws == 1 else f" of the mixture over K = {self.draws} draws of shared sites"
            return f"log p(F|s, a){over} is exact: {self.lower:.3f} nats on average."
        return (
            f"log p(F|s, a) of the model is an importance-weighted bound with K = {self.draws} draws of latent sites: "
            f"{self.lower:.3f} nats on average, where the exact value is at most {self.slack:.2g} ± {self.error:.1g} "
            "higher."
        )


def latent_slack(agent: GIO, states: Tensor | None = None) -> LatentSlack:
    """Return bounds on E log p_ψ(F|s, a), F imagined in `states` `[N, ...]`; the agent is not changed.

    Args:
        agent: an agent.
        states: states; by default the last 512 of replay.

    Raises:
        InputError: a model without latent sites, or invalid states.
    """
    latents = agent.model.latents
    if latents is None:
        raise InputError(
            f"Expected a model with latent sites, but {agent.model.name} has none, so that its log-probabilities are "
            "exact; use a model such as VariationalModel."
        )
    state = agent.replay.latest(STATES).state if states is None else batch("states", states).to(agent.device)
    if not len(state) or not in_space(state, agent.spec.state_space):
        raise invalid_argument(f"states [N, ...] of {agent.spec.state_space}", states, "let the agent learn first")
    with judging(agent):
        _, lower, upper = latents.sandwich(agent.policy, state, agent.policy(state).sample())
    difference = (upper - lower).double()
    error = float(difference.std(correction=0)) / math.sqrt(len(state)) if len(state) > 1 else math.inf
    bounds = float(lower.double().mean()), float(upper.double().mean())
    return LatentSlack(latents.draws, *bounds, error, exact=not latents.sites.local)


def slack_of(agent: GIO, state: Tensor) -> LatentSlack | None:
    """Return `latent_slack`, or None where log-probabilities of the model are exact."""
    latents = agent.model.latents
    if latents is None or not latents.sites.local:
        return None
    with torch.no_grad():
        return latent_slack(agent, state)
