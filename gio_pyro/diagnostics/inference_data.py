"""An agent's programs as an arviz InferenceData: the latent is the action, the data are replayed futures."""

from __future__ import annotations

import io
import math
import warnings
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from gymnasium import Space
from torch import Tensor

from gio_pyro.data.training_batches import fair
from gio_pyro.diagnostics.marginals import marginal_log_prob
from gio_pyro.errors import InputError
from gio_pyro.nn import width
from gio_pyro.utils.randomness import PrivateRandom

if TYPE_CHECKING:
    from gio_pyro.agent import GIO

CHAINS = 4
SCORES = ("log_likelihood", "sample_stats")
NUMBERS = 2_000_000
"""About how many numbers `affordable` allows in the largest variable."""
HELD = 32_000_000
"""And how many in what the programs make of it on the way: a probability for each of many finite futures."""


def affordable(agent: GIO) -> tuple[int, int]:
    """Return how many transitions and draws of them `to_arviz` can take without a file of gigabytes."""
    spaces = (agent.spec.state_space, agent.spec.future_space)
    kept, held = (max(map(size, spaces)) for size in (_numbers, width))
    rows = max(min(NUMBERS // kept, HELD // held) // CHAINS, 40)
    transitions = min(64, max(rows // 10, 4))
    return transitions, min(250, rows // transitions)


def _numbers(space: Space[Any]) -> int:
    return math.prod(space.shape or ())


def to_arviz(agent: GIO, *, transitions: int | None = None, draws: int | None = None) -> Any:
    """Return an `arviz.InferenceData` about transitions drawn from replay; the agent is not changed.

    For each transition the unknown is its action, once its state and future are seen. Groups, each variable
    `(chain, draw, transition)` unless it says otherwise; the draws are independent, so the four chains only serve
    arviz's between-chain statistics. There are 64 transitions and 250 draws of each chain, or what `affordable` says
    where futures are large:

        posterior             action ~ q_φ(a|s, F), which the guide believes was taken
        prior                 action ~ π(a|s)
        posterior_predictive  future ~ p_ψ(F|s, a) at the posterior's actions
        log_likelihood        future: log p_ψ(F|s, a) at the posterior's actions, nats; of a future that is a vector
                              or an image each number's own, where the model's distribution knows it
        sample_stats          log_p: log p_ψ(F|s, a) of the whole future at each draw, log_q: log q_φ(a|s, F) of it,
                              log_pi: log π(a|s), nats
        observed_data         future `(transition)`
        constant_data         state, action: what was really done `(transition)`

    Actions, states and futures that are vectors or images have further dimensions: `action_dim`, or `state_dim_0`,
    `state_dim_1`, ... Continuous actions are those of the site, before the squash.

    Raises:
        InputError: an empty replay, or fewer than 1 transition or draw asked for.
    """
    most = affordable(agent)
    transitions = most[0] if transitions is None else transitions
    draws = most[1] if draws is None else draws
    if transitions < 1 or draws < 1:
        raise InputError(f"Expected at least 1 transition and 1 draw, but got {transitions} and {draws}.")
    with PrivateRandom(agent.settings.seed, agent.device).use(), torch.no_grad():
        batch, future = fair(agent.future, agent.replay, agent.policy, agent.spec.state_space, transitions)
        drawn = _draw(agent, batch.state, future, CHAINS * draws)
    groups: dict[str, dict[str, np.ndarray]] = {}
    for (group, variable), values in drawn.items():
        array = (values.double() if group in SCORES else values).cpu().numpy()  # arviz adds up many of them
        groups.setdefault(group, {})[variable] = array.reshape(CHAINS, draws, *array.shape[1:])
    data = {
        "observed_data": {"future": future.cpu().numpy()},
        "constant_data": {"state": batch.state.cpu().numpy(), "action": batch.action.cpu().numpy()},
    }
    sets = {group: _dataset(arrays, ["chain", "draw"]) for group, arrays in groups.items()}
    sets |= {group: _dataset(arrays, []) for group, arrays in data.items()}
    about = {"inference_library": "gio_pyro", "draws": "independent; chains are for between-chain statistics"}
    return arviz().InferenceData(**sets, attrs=about)


def netcdf(data: Any) -> bytes:
    """Return an `InferenceData` as the bytes of a netCDF file, the one that its `to_netcdf` writes.

    HDF5 on a full disk can end the process: it writes to memory here.
    """
    import h5netcdf
    from xarray.backends import H5NetCDFStore

    content = io.BytesIO()
    with h5netcdf.File(content, "w") as root:
        root.attrs.update(data.attrs)
        for name in data.groups():
            group = data[name].copy()
            for variable in group.variables.values():
                if variable.dtype.kind in "iufb":
                    variable.encoding["zlib"] = True
            group.dump_to_store(H5NetCDFStore(root.create_group(name)))
    return content.getvalue()


def _dataset(arrays: dict[str, np.ndarray], leading: list[str]) -> Any:
    """One group: each array has the leading dimensions, then the transitions, then those of its own values."""
    dims = {}
    for name, array in arrays.items():
        own = array.ndim - len(leading) - 1
        dims[name] = ["transition", *([f"{name}_dim"] if own == 1 else [f"{name}_dim_{i}" for i in range(own)])]
    coords = {"transition": np.arange(next(iter(arrays.values())).shape[len(leading)])}
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="More chains")  # few draws asked for are few draws given
        return arviz().dict_to_dataset(arrays, coords=coords, dims=dims, default_dims=leading)


def _draw(agent: GIO, state: Tensor, future: Tensor, count: int) -> dict[tuple[str, str], Tensor]:
    q = agent.guide.posterior(agent.policy, state, future)
    pi = agent.policy(state)
    size = torch.Size([count])
    action = q.sample(size)
    futures = agent.model.future(agent.policy, _repeated(state, count), action.flatten(0, 1))
    shape = (count, len(state))
    log_p = futures.log_prob(_repeated(future, count))
    own = marginal_log_prob(futures, _repeated(future, count)) if future.ndim > 1 else None
    return {
        ("posterior", "action"): action,
        ("prior", "action"): pi.sample(size),
        ("posterior_predictive", "future"): futures.sample().unflatten(0, shape),
        ("log_likelihood", "future"): (log_p if own is None else own).unflatten(0, shape),
        ("sample_stats", "log_p"): log_p.unflatten(0, shape),
        ("sample_stats", "log_q"): q.log_prob(action),
        ("sample_stats", "log_pi"): pi.log_prob(action),
    }


def _repeated(rows: Tensor, count: int) -> Tensor:
    return rows.repeat(count, *(1 for _ in rows.shape[1:]))


def arviz() -> Any:
    """Import arviz, without what it says once a day."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FutureWarning)
        import arviz
    return arviz
