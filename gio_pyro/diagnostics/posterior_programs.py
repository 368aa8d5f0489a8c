"""The two programs whose posterior is compared: what they sample beside the action depends on the model's latent sites.

    no latent site, or local ones       the programs as they are; local sites are sampled with the action, from the
                                        guide or the model's `latent_guide`
    finite or shared ones as well       the action alone, with p_ψ(F|s, a) for its likelihood: finite sites are summed
                                        out, and shared ones averaged over kept draws (`gio_pyro.programs.latents`)

The posterior of one example does not define weights that all examples share.
"""

from __future__ import annotations

from typing import Any

import pyro
from pyro import poutine
from pyro.poutine.messenger import Messenger
from torch import Tensor

from gio_pyro.programs import Guide, Model
from gio_pyro.programs.sites import ACTION, FUTURE, is_plate
from gio_pyro.types import Policy, PyroProgram

LATENT_GUIDE = "latent_guide"


def posterior_programs(model: Model, guide: Guide) -> tuple[PyroProgram, PyroProgram]:
    """Return a model `(policy, state, future)` and a guide `(policy, state, future)` with the same latent sites."""
    sites = None if model.latents is None else model.latents.sites
    if sites is not None and (sites.finite or sites.shared):
        return _of_actions(model), _actions_of(guide)
    return model, _with_latent_guide(model, guide)


def _of_actions(model: Model) -> PyroProgram:
    def marginal(policy: Policy, state: Tensor, future: Tensor | None = None) -> Any:
        plate = pyro.plate("batch", len(state))
        with plate:
            action = pyro.sample(ACTION, policy(state))
        outcome: Any = model.future(policy, state, action)
        with plate:
            return pyro.sample(FUTURE, outcome, obs=future)

    return marginal


def _actions_of(guide: Guide) -> PyroProgram:
    def posterior(policy: Policy, state: Tensor, future: Tensor) -> None:
        q: Any = guide.posterior(policy, state, future)
        with pyro.plate("batch", len(state)):
            pyro.sample(ACTION, q)

    return posterior


def _with_latent_guide(model: Model, guide: Guide) -> PyroProgram:
    latents = model.latents

    def joint(policy: Policy, state: Tensor, future: Tensor) -> None:
        with poutine.block(hide_fn=_is_plate):  # both programs may give theirs the same name
            with _Masked(guide, state), poutine.trace() as run:
                guide(policy, state, future)
            if latents is not None and LATENT_GUIDE in latents.sources:
                latents.posterior(LATENT_GUIDE, policy, state, run.trace.nodes[ACTION]["value"], future)()

    return joint


def _is_plate(message: Any) -> bool:
    return message["type"] == "sample" and is_plate(message)


class _Masked(Messenger):
    """Restrict the action of a guide to the actions that the states allow, as `Guide.posterior` does."""

    def __init__(self, guide: Guide, state: Tensor) -> None:
        super().__init__()
        self.guide, self.state = guide, state

    def _pyro_sample(self, msg: Any) -> None:
        if msg["name"] == ACTION:
            msg["fn"] = self.guide.restricted(msg["fn"], self.state)
