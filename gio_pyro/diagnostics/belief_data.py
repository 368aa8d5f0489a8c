"""Export what an agent believes along an episode to arviz: the latent variable is the hidden state."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor

from gio_pyro.beliefs.pieces import Piece
from gio_pyro.collection import Env
from gio_pyro.collection.make import Vector
from gio_pyro.diagnostics.arviz_versions import grouped
from gio_pyro.diagnostics.datasets import dataset
from gio_pyro.diagnostics.dimension_names import seen_names
from gio_pyro.diagnostics.evidence import judging
from gio_pyro.diagnostics.filter_draws import Instants
from gio_pyro.diagnostics.filter_evidence import episodes, require_world_model
from gio_pyro.diagnostics.inference_data import CHAINS
from gio_pyro.errors import InputError

if TYPE_CHECKING:
    from gio_pyro.agent import GIO

TIME = "time"
"""The dimension of instants."""


def beliefs_to_arviz(
    agent: GIO, *, steps: int = 200, draws: int = 100, environment: str | Env | Vector | None = None
) -> Any:
    """Return draws about one fresh episode that an agent with a world model plays; the agent is not changed.

    The result is an `arviz.InferenceData` with arviz 0.x and an `xarray.DataTree` with arviz 1.x. Variables are
    `(chain, draw, time)` unless it says otherwise; time counts the instants, from the first observation on. The draws
    are independent, so the four chains only serve arviz's between-chain statistics.

        posterior             state: z ~ q(z|belief before, a, x, r), the filter
        posterior_predictive  observation: x ~ p(x|belief before, a), predicted before it was seen
        observed_data         observation `(time)`
        constant_data         belief: the numbers that the agent acts on `(time)`; hidden: the environment's own
                              `info["state"]`, where it shows `(time)`

    Vectors have a further dimension, such as `observation_dim`. `arviz.plot_ts(data, y="observation")` and
    `arviz.plot_ppc(data)` draw them.

    Args:
        agent: an agent with a world model.
        steps: steps after which the episode is cut.
        draws: draws of each chain.
        environment: see `diagnose`.

    Raises:
        InputError: an agent without a world model, or `steps` or `draws` below 1.
    """
    world = require_world_model(agent).world
    if steps < 1 or draws < 1:
        raise InputError(f"Expected at least 1 step and 1 draw, but got {steps} and {draws}.")
    with judging(agent):
        played = episodes(agent, steps, environment)
        found = Instants.of(world, _first(played.piece))
        drawn = {
            "posterior": {"state": found.states(CHAINS * draws)[:, 0]},
            "posterior_predictive": {"observation": _several(found, CHAINS * draws)},
        }
    data = {
        "observed_data": {"observation": found.observed[0]},
        "constant_data": {"belief": found.beliefs[0]},
    }
    if played.hidden is not None:
        data["constant_data"]["hidden"] = played.hidden[0, : found.beliefs.shape[1]]
    names = {"observation": seen_names(agent)}
    sets = {group: _dataset(values, names, (CHAINS, draws)) for group, values in drawn.items()}
    sets |= {group: _dataset(values, names, ()) for group, values in data.items()}
    about = {"inference_library": "gio_pyro", "draws": "independent; chains are for between-chain statistics"}
    return grouped(sets, about)


def _first(piece: Piece) -> Piece:
    """Return the first episode, without the padding behind its end."""
    steps = int(piece.valid[0].sum())
    one = {name: value[:1, :steps] for name, value in vars(piece).items() if name not in ("first", "begins")}
    return replace(piece, first=piece.first[:1], begins=piece.begins[:1], **one)


def _several(found: Instants, count: int) -> Tensor:
    """Return predictions of each observation of the only episode, `[count, T + 1, ...]`."""
    return torch.stack([found.observations()[0] for _ in range(count)])


def _dataset(values: dict[str, Tensor], names: dict[str, tuple[str, ...]], leading: tuple[int, ...]) -> Any:
    arrays: dict[str, np.ndarray] = {}
    for name, value in values.items():
        array = value.cpu().numpy()
        arrays[name] = array.reshape(*leading, *array.shape[1:]) if leading else array
    return dataset(arrays, ["chain", "draw"][: len(leading)], names, TIME)
