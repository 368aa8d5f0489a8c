"""Judge a filter: does it know what it knows of the hidden state, and does it predict what is seen?

    the state      ranks of the true state among draws of q(z|·) are uniform (Talts et al., 2018); defined only where z
                   is the environment's own state, which a learned world model renames as it likes
    predictions    ranks of what was seen among one-step predictions x ~ p(x|belief, a), and the share of it in the
                   middle 90 % of them
    innovations    the normal scores of these ranks, which are independent of one another if the filter is correct

Ranks of the first kind are correlated along an episode, so that their limits are wider.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from gio_pyro.collection import Env
from gio_pyro.collection.make import Vector
from gio_pyro.diagnostics.evidence import judging
from gio_pyro.diagnostics.filter_draws import Instants
from gio_pyro.diagnostics.filter_evidence import Episodes, episodes, require_world_model
from gio_pyro.diagnostics.uniformity import Uniformity, quantiles
from gio_pyro.diagnostics.verdict import FILTER, Verdict
from gio_pyro.diagnostics.whiteness import Whiteness, whiteness

if TYPE_CHECKING:
    from gio_pyro.agent import GIO

STATE_NATS = 0.1
"""Nats: divergence of the worst dimension's ranks of the true state from uniform."""
STATE_SPREAD = 0.15
"""Largest relative excess (+) or lack (−) of mean distance of these ranks from ½: a covariance a third off."""
SEEN_NATS = 0.05
"""Nats: divergence of the worst dimension's ranks of observations from uniform."""
COVERED = 0.9
"""Share of one-step predictions that the interval around their median holds."""
COVERAGE = 0.05
"""Largest difference of the share of observations in it."""
CORRELATED = 0.1
"""Largest root mean square of serial correlations of innovations."""
MOST_NUMBERS = 16
"""Dimensions of an observation that are judged."""


@dataclass(frozen=True)
class FilterReport:
    """Verdicts on a world model's filter, and the numbers behind them."""

    verdicts: tuple[Verdict, ...]
    state: Uniformity | None
    """Ranks of the true state among draws of q; None where that is not defined."""
    undefined: str
    """Why it is not; empty where it is."""
    seen: Uniformity
    """Ranks of observations among one-step predictions."""
    innovations: Whiteness
    numbers: tuple[int, ...]
    """Indices of the dimensions of an observation in `seen` and `innovations`."""

    @property
    def believed(self) -> bool:
        """Whether every verdict is."""
        return all(verdict.believed for verdict in self.verdicts)


def diagnose_filter(
    agent: GIO, *, transitions: int = 2_000, draws: int = 128, environment: str | Env | Vector | None = None
) -> FilterReport:
    """Judge the filter of an agent on fresh episodes of its own policy; the agent is not changed.

    Args:
        agent: an agent with a world model.
        transitions: environment transitions.
        draws: of the state and of predictions, for each.
        environment: see `diagnose`.

    Raises:
        InputError: an agent without a world model, or an environment that cannot be copied or has other spaces.
    """
    require_world_model(agent)
    with judging(agent):
        return judged(agent, episodes(agent, transitions, environment), draws)


def judged(agent: GIO, played: Episodes, draws: int) -> FilterReport:
    """Return the report on given episodes, under the current random generators."""
    world = require_world_model(agent).world
    instants = Instants.of(world, played.piece)
    counted, undefined = instants.counted, _undefined(world.model.program, played)
    size = math.prod(instants.observed.shape[2:])
    numbers = tuple(np.linspace(0, size - 1, min(size, MOST_NUMBERS)).round().astype(int).tolist())
    ranks = _seen(instants, numbers, draws)
    seen, white = Uniformity(ranks[counted].cpu().numpy()), whiteness(ranks, counted)
    state = None
    if not undefined:
        assert played.hidden is not None
        state = Uniformity(quantiles(played.hidden[counted], instants.states(draws)[:, counted]))
    verdicts = (*(() if state is None else _of_the_state(state)), *_of_predictions(seen, white))
    return FilterReport(verdicts, state, undefined, seen, white, numbers)


def _undefined(program: object, played: Episodes) -> str:
    """Return why the true state cannot be ranked among draws of the filter."""
    if not getattr(program, "own_states", False):
        return "the states of a learned world model are not those of the environment: any renaming of them fits as well"
    if played.hidden is None:
        return 'the environment does not show its state as info["state"]'
    return ""


def _seen(instants: Instants, numbers: tuple[int, ...], draws: int) -> Tensor:
    """Return the quantile of each observation among its predictions, `[B, T + 1, len(numbers)]`."""
    which = torch.tensor(numbers, device=instants.observed.device)

    def flat(seen: Tensor) -> Tensor:
        return seen.flatten(0, 1).reshape(seen.shape[:2].numel(), -1)[:, which]

    predicted = torch.stack([flat(instants.observations()) for _ in range(draws)])
    found = torch.from_numpy(quantiles(flat(instants.observed), predicted)).to(which.device)
    ranks: Tensor = found.unflatten(0, instants.observed.shape[:2])
    return ranks


def _of_the_state(state: Uniformity) -> tuple[Verdict, ...]:
    nats, spread = float(state.nats.max()), float(state.spread[state.worst]) - 1
    name = f"rank divergence of the true state, {state.leaning}"
    return (
        Verdict(FILTER, name, nats, STATE_NATS, one_sided=True, kind="state_ranks"),
        Verdict(FILTER, "rank spread of the true state, relative", spread, STATE_SPREAD, "", kind="state_spread"),
    )


def _of_predictions(seen: Uniformity, white: Whiteness) -> tuple[Verdict, ...]:
    inside = (np.abs(seen.quantiles - 0.5) <= COVERED / 2).mean(0) - COVERED
    worst = float(inside[np.abs(inside).argmax()])
    nats, excess = float(seen.nats.max()), float(white.excess.max())
    lags = "serial correlation of innovations"
    return (
        Verdict(FILTER, "rank divergence of observations", nats, SEEN_NATS, one_sided=True, kind="seen_ranks"),
        Verdict(FILTER, f"share inside {COVERED:.0%} predictions, less that", worst, COVERAGE, "", kind="coverage"),
        Verdict(FILTER, lags, excess, CORRELATED, "", one_sided=True, kind="whiteness"),
    )
