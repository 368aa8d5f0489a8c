"""Export an agent's programs to arviz: the latent variable is the action, the data are replayed futures."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from gymnasium import Space
from gymnasium.spaces import Discrete
from torch import Tensor

from gio_pyro.data.training_batches import unweighted_batch
from gio_pyro.diagnostics.arviz_versions import grouped
from gio_pyro.diagnostics.datasets import dataset
from gio_pyro.diagnostics.dimension_names import action_names, future_names, observation_names
from gio_pyro.diagnostics.evidence import Triples
from gio_pyro.diagnostics.weight_draws import weight_log_likelihood
from gio_pyro.errors import InputError
from gio_pyro.utils.randomness import PrivateRandom

if TYPE_CHECKING:
    from gio_pyro.agent import GIO

CHAINS = 4
SCORES = ("log_likelihood", "sample_stats")
NUMBERS = 2_000_000
"""About how many numbers `affordable` allows in the largest variable of the file."""
HELD = 32_000_000
"""About how many numbers it allows in memory, where a finite future has a probability for each of its values."""


def affordable(agent: GIO) -> tuple[int, int]:
    """Return how many transitions, and draws of each, `to_arviz` takes by default: a file of megabytes at most."""
    spaces = (agent.spec.state_space, agent.spec.future_space)
    kept, held = (max(map(size, spaces)) for size in (_numbers, _values))
    rows = max(min(NUMBERS // kept, HELD // held) // CHAINS, 40)
    transitions = min(64, max(rows // 10, 4))
    return transitions, min(250, rows // transitions)


def _numbers(space: Space[Any]) -> int:
    return math.prod(space.shape or ())


def _values(space: Space[Any]) -> int:
    return int(space.n) if isinstance(space, Discrete) else _numbers(space)


def to_arviz(agent: GIO, *, transitions: int | None = None, draws: int | None = None) -> Any:
    """Return transitions drawn from replay, and draws about them, for arviz; the agent is not changed.

    The result is an `arviz.InferenceData` with arviz 0.x (Python 3.11) and an `xarray.DataTree` with arviz 1.x; the
    groups are the same. For each transition the latent variable is its action, given its state and future. The draws
    are independent, so the four chains only serve arviz's between-chain statistics. By default there are 64
    transitions and 250 draws of each chain, or fewer where futures are large (see `affordable`). Variables are
    `(chain, draw, transition)` unless it says otherwise:

        posterior             action ~ q_φ(a|s, F)
        prior                 action ~ π(a|s)
        posterior_predictive  future ~ p_ψ(F|s, a) at the posterior's actions
        log_likelihood        future: log p(F|s, a, w) at the action that was taken, nats, under draws of the model's
                              weights from their posterior, for `arviz.loo`; only where there is one (see
                              `gio_pyro.diagnostics.leave_one_out`)
        sample_stats          log_p: log p_ψ(F|s, a) of the whole future at each draw, log_q: log q_φ(a|s, F),
                              log_pi: log π(a|s), nats
        observed_data         future `(transition)`
        constant_data         state, action: those of the transition `(transition)`

    Vectors have a further dimension, `state_dim`, `action_dim` or `future_dim`, whose coordinates are names such as
    "cos θ" or "observation[3]"; images have `state_dim_0`, `state_dim_1`, ... Continuous actions are those of the site,
    before the squash.

    Raises:
        InputError: the replay is empty, or `transitions` or `draws` is below 1.
    """
    most = affordable(agent)
    transitions = most[0] if transitions is None else transitions
    draws = most[1] if draws is None else draws
    if transitions < 1 or draws < 1:
        raise InputError(f"Expected at least 1 transition and 1 draw, but got {transitions} and {draws}.")
    with PrivateRandom(agent.settings.seed, agent.device).use(), torch.no_grad():
        batch, future = unweighted_batch(agent.future, agent.replay, agent.policy, agent.spec.state_space, transitions)
        drawn = _draw(agent, batch.state, future, CHAINS * draws)
        likelihood = weight_log_likelihood(agent, Triples(batch.state, batch.action, future), CHAINS * draws)
        drawn |= {} if likelihood is None else {("log_likelihood", "future"): likelihood}
    groups: dict[str, dict[str, np.ndarray]] = {}
    for (group, variable), values in drawn.items():
        array = (values.double() if group in SCORES else values).cpu().numpy()  # arviz adds up many of them
        groups.setdefault(group, {})[variable] = array.reshape(CHAINS, draws, *array.shape[1:])
    data = {
        "observed_data": {"future": future.cpu().numpy()},
        "constant_data": {"state": batch.state.cpu().numpy(), "action": batch.action.cpu().numpy()},
    }
    names = {"state": observation_names(agent), "action": action_names(agent), "future": future_names(agent)}
    sets = {group: dataset(arrays, ["chain", "draw"], names) for group, arrays in groups.items()}
    sets |= {group: dataset(arrays, [], names) for group, arrays in data.items()}
    about = {"inference_library": "gio_pyro", "draws": "independent; chains are for between-chain statistics"}
    return grouped(sets, about)


def _draw(agent: GIO, state: Tensor, future: Tensor, count: int) -> dict[tuple[str, str], Tensor]:
    q = agent.guide.posterior(agent.policy, state, future)
    pi = agent.policy(state)
    size = torch.Size([count])
    action = q.sample(size)
    every_state, every_future = (x.expand(count, *x.shape).flatten(0, 1) for x in (state, future))
    futures = agent.model.future(agent.policy, every_state, action.flatten(0, 1))
    shape = (count, len(state))
    log_p = futures.log_prob(every_future)
    return {
        ("posterior", "action"): action,
        ("prior", "action"): pi.sample(size),
        ("posterior_predictive", "future"): futures.sample().unflatten(0, shape),
        ("sample_stats", "log_p"): log_p.unflatten(0, shape),
        ("sample_stats", "log_q"): q.log_prob(action),
        ("sample_stats", "log_pi"): pi.log_prob(action),
    }
