"""An agent's programs as an arviz InferenceData: the latent is the action, the data are replayed futures."""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from gio_pyro.errors import InputError
from gio_pyro.randomness import PrivateRandom

if TYPE_CHECKING:
    from gio_pyro.agent import GIO

CHAINS = 4


def to_arviz(agent: GIO, *, transitions: int = 64, draws: int = 250) -> Any:
    """Return an `arviz.InferenceData` about transitions drawn from replay; the agent is not changed.

    For each transition the unknown is its action, once its state and future are seen. Groups, each variable
    `(chain, draw, transition)` unless it says otherwise; the draws are independent, so the four chains only serve
    arviz's between-chain statistics:

        posterior             action ~ q_φ(a|s, F), which the guide believes was taken
        prior                 action ~ π(a|s)
        posterior_predictive  future ~ p_ψ(F|s, a) at the posterior's actions
        log_likelihood        future: log p_ψ(F|s, a) at the posterior's actions, nats
        sample_stats          log_q: log q_φ(a|s, F) of each draw, log_pi: log π(a|s), nats
        observed_data         future `(transition)`
        constant_data         state, action: what was really done `(transition)`

    Raises:
        InputError: an empty replay, or fewer than 1 transition or draw asked for.
    """
    if transitions < 1 or draws < 1:
        raise InputError(f"Expected at least 1 transition and 1 draw, but got {transitions} and {draws}.")
    with PrivateRandom(agent.settings.seed, agent.device).use(), torch.no_grad():
        batch = agent.replay.sample(transitions)
        future = agent.future.of(batch)
        drawn = _draw(agent, batch.state, future, CHAINS * draws)
    groups: dict[str, dict[str, np.ndarray]] = {}
    for (group, variable), values in drawn.items():
        groups.setdefault(group, {})[variable] = values.cpu().numpy().reshape(CHAINS, draws, transitions)
    observed = {"future": future.cpu().numpy()}
    constant = {"state": batch.state.cpu().numpy(), "action": batch.action.cpu().numpy()}
    dims = {name: ["transition"] for name in ("action", "future", "log_q", "log_pi", "state")}
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="More chains")  # few draws asked for are few draws given
        return _arviz().from_dict(
            **groups,
            observed_data=observed,
            constant_data=constant,
            dims=dims,
            coords={"transition": np.arange(transitions)},
            attrs={"inference_library": "gio_pyro", "draws": "independent; chains are for between-chain statistics"},
        )


def _draw(agent: GIO, state: Tensor, future: Tensor, count: int) -> dict[tuple[str, str], Tensor]:
    q = agent.guide.posterior(agent.policy, state, future)
    pi = agent.policy(state)
    size = torch.Size([count])
    action = q.sample(size)
    repeated = state.repeat(count)
    futures = agent.model.future(agent.policy, repeated, action.flatten())
    return {
        ("posterior", "action"): action,
        ("prior", "action"): pi.sample(size),
        ("posterior_predictive", "future"): futures.sample().reshape(count, -1),
        ("log_likelihood", "future"): futures.log_prob(future.repeat(count)).reshape(count, -1),
        ("sample_stats", "log_q"): q.log_prob(action),
        ("sample_stats", "log_pi"): pi.log_prob(action),
    }


def _arviz() -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        import arviz
    return arviz
