"""The bound that a world model and its filter are fitted to, over pieces of episodes.

    Σ_t log p(x_t, r_t|past)  ≥  Σ_t E_q [ log p(x_t, r_t|z_t) + log p(z_t|b_{t-1}, a_{t-1}) − log q(z_t|·) ]

with q(z_t|b_{t-1}, a_{t-1}, x_t, r_t). The belief b_t is what the filter returns at t. Where it is a deterministic
summary of what was seen, each term bounds
log p(x_t, r_t|b_{t-1}, a_{t-1}), so that the slack is Σ_t KL(q(z_t|·) ‖ p(z_t|b_{t-1}, a_{t-1}, x_t, r_t)), and the
bound is exact for the exact filter. Where a program carries its draw of z_t in the belief, it is the evidence lower
bound of the whole sequence.

The pair is two Pyro programs of a piece, for any ELBO of Pyro: sites of instant t are called "state_t" and so on, and
the steps run under `pyro.markov`.
"""

from collections.abc import Callable, Iterator
from typing import Any

import pyro
import torch
from pyro import poutine
from pyro.poutine.messenger import Messenger
from torch import Tensor
from torch.distributions import kl_divergence

from gio_pyro.beliefs.pieces import Piece
from gio_pyro.beliefs.programs import STATE
from gio_pyro.beliefs.world import World
from gio_pyro.types import Seen

Run = Callable[[Piece], None]


class AtInstant(Messenger):
    """Appends the number of the instant to the names of sites."""

    def __init__(self, instant: int) -> None:
        super().__init__()
        self.instant = instant

    def _pyro_sample(self, msg: Any) -> None:
        msg["name"] = f"{msg['name']}_{self.instant}"


def pair(world: World, burn_in: int) -> tuple[Run, Run]:
    """Return model and guide of pieces of episodes, as Pyro's ELBOs call them; run the guide first.

    Args:
        world: the programs of one step.
        burn_in: instants at the beginning of a piece that are not scored, unless its episode begins there.
    """
    before: list[Tensor] = []

    def guide(piece: Piece) -> None:
        belief, counted = world.before(piece.first), piece.counted(burn_in)
        before.clear()
        for instant, (action, seen) in _markov(piece):
            before.append(belief)
            with AtInstant(instant), _masked(counted[:, instant]):
                belief = world.filter(belief, action, seen)
            if action is None:
                belief = world.opened(belief, piece)

    def model(piece: Piece) -> None:
        counted = piece.counted(burn_in)
        for instant, (action, seen) in _markov(piece):
            with AtInstant(instant), _masked(counted[:, instant]):
                world.model(before[instant], action, seen)

    return model, guide


def _markov(piece: Piece) -> Iterator[tuple[int, tuple[Tensor | None, Seen]]]:
    """Yield the number of each instant and what belongs to it, under `pyro.markov`."""
    steps: Any = pyro.markov(enumerate(piece.instants()))  # type: ignore[arg-type]
    return iter(steps)


def _masked(counted: Tensor) -> Any:
    mask: Any = counted
    return poutine.mask(mask=mask)


def mean_field_bound(world: World, piece: Piece, burn_in: int, beliefs: Tensor | None = None) -> Tensor:
    """Return the bound of a piece, nats per counted instant, as tensors alone; `beliefs` are those along it, if known.

    The filter runs along the piece; then each program runs once for all later instants. The result equals that of
    `pyro.infer.TraceMeanField_ELBO`: the divergence of q from p is analytic where torch has it, and sampled otherwise.
    """
    beliefs, counted = world.along(piece) if beliefs is None else beliefs, piece.counted(burn_in)
    first = step_bound(world, world.before(piece.first), None, Seen(piece.first), counted[:, 0])
    (action, seen), scored = piece.later(), counted[:, 1:]
    later = step_bound(world, beliefs[:, :-1].flatten(0, 1), action, seen, scored.flatten()).unflatten(0, scored.shape)
    each = torch.cat([first.unsqueeze(1), later], 1)
    return torch.where(counted, each, 0.0).sum() / counted.sum().clamp_min(1)  # pieces may end within burn_in


def step_bound(
    world: World, belief: Tensor, action: Tensor | None, seen: Seen, counted: Tensor | None = None
) -> Tensor:
    """Return the bound on log p(x, r|belief before, a) of one instant, `[B]` nats.

    Finitely many states are summed over, as `pyro.infer.TraceEnum_ELBO` does; of others one is drawn. Rows that do not
    count, `[B]` booleans, may hold what is impossible: they have no gradient.
    """
    inferred, _ = world.filter.run(belief, action, seen)
    q = inferred[STATE]["fn"]
    if not q.has_enumerate_support:
        joint = world.model.run(belief, action, seen, inferred[STATE]["value"])
        return world.model.evidence(joint, belief) - divergence(inferred[STATE], joint[STATE])
    values = q.enumerate_support()  # [K, B, ...]
    flat = values.flatten(0, 1)
    joint = world.model.run(*repeated(len(values), belief, action, seen), flat)
    prior = joint[STATE]["fn"].log_prob(flat)
    log_p = prior + world.model.evidence(joint, prior)
    log_q = q.log_prob(values)
    possible = log_q > -torch.inf if counted is None else counted & (log_q > -torch.inf)
    gained = torch.where(possible, log_p.unflatten(0, log_q.shape) - log_q, 0.0)
    found: Tensor = (log_q.exp() * gained).sum(0)
    return found


def repeated(count: int, belief: Tensor, action: Tensor | None, seen: Seen) -> tuple[Tensor, Tensor | None, Seen]:
    """Return the arguments of a program for `count` copies of each of B examples, `[count · B, ...]`."""

    def copies(one: Tensor | None) -> Tensor | None:
        return None if one is None else one.repeat(count, *[1] * (one.ndim - 1))

    shown = Seen(
        seen.observation.repeat(count, *[1] * (seen.observation.ndim - 1)), copies(seen.reward), copies(seen.terminated)
    )
    return belief.repeat(count, 1), copies(action), shown


def divergence(inferred: Any, prior: Any) -> Tensor:
    """Return KL(q ‖ p) of a site, or where it has no formula its estimate by the value drawn, `[B]` nats."""
    q, p, value = inferred["fn"], prior["fn"], inferred["value"]
    try:
        found: Tensor = kl_divergence(q, p)
    except NotImplementedError:
        found = q.log_prob(value) - p.log_prob(value)
    return found
