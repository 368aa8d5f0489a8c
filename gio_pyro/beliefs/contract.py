"""Checks of a world model and a filter, run when an agent is built and by `gio_pyro.testing`.

Both run on random batches (`WorldBatch`), at the first instant of an episode and at later ones, whose beliefs are those
that the filter returned for the batch before.
"""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

import torch
from gymnasium import Space
from gymnasium.spaces import Discrete
from pyro import poutine
from torch import Tensor

from gio_pyro.beliefs.bound import step_bound
from gio_pyro.beliefs.check_batch import REAL, WorldBatch
from gio_pyro.beliefs.programs import OBSERVATION, REWARD, STATE, TERMINATED, Filter, Nodes, WorldModel
from gio_pyro.beliefs.world import World
from gio_pyro.errors import ProgramError, describe_error
from gio_pyro.programs import fitting
from gio_pyro.programs.check_batch import BATCH, perturb, run_sites
from gio_pyro.programs.requirements import (
    require_batch,
    require_gradient,
    require_repeatable,
    require_unchanged,
    require_vectorised,
    require_visible,
)
from gio_pyro.programs.sites import quoted_names
from gio_pyro.types import Seen, WorldSpec

LATER = 3
"""Instants after the first that programs are checked at."""


def require_world_model(model: WorldModel, spec: WorldSpec, filter: Filter | None = None) -> None:
    """Raise `ProgramError` for the first requirement that a world model violates; both are modified: pass copies.

    Args:
        model: the world model.
        spec: the spaces.
        filter: returns the beliefs that it is checked with; without one they are random numbers.
    """
    batch = prepare(model, spec, filter)
    scores = [_check_model(model, each, spec) for each in (batch, *_later(filter, batch, spec))]
    require_gradient(model, torch.cat(scores), OBSERVATION)


def require_filter(filter: Filter, model: WorldModel, spec: WorldSpec) -> None:
    """Raise `ProgramError` for the first requirement that a filter violates; both are modified: pass copies.

    Args:
        filter: the filter.
        model: its world model.
        spec: the spaces.
    """
    require_own_parameters(filter, model)
    first = prepare(model, spec, filter)
    for batch in (first, *_later(filter, first, spec)):
        _check_filter(filter, model, batch)
    _check_unknown(filter, batch)
    _check_fit(World(model, filter), first, batch)


def require_own_parameters(filter: Filter, model: WorldModel) -> None:
    """Raise `ProgramError` if a filter registers the world model's parameters as its own."""
    if not {id(p) for p in model.parameters()}.isdisjoint(id(p) for p in filter.parameters()):
        raise ProgramError(
            f"Expected {filter.name} to leave the world model's parameters to the world model, but it holds "
            "spec.world_model as a part of itself; keep it in a tuple, self.held = (spec.world_model,)."
        )


def prepare(model: WorldModel, spec: WorldSpec, filter: Filter | None) -> WorldBatch:
    """Let programs observe data, create all their parameters, and perturb these; return a batch of first instants."""
    first = WorldBatch.first(spec, model.belief_size)
    rows = first.after(first.belief, spec).transitions(first)
    for program in (model, filter):
        if program is not None:
            program.observed(rows)
            _run(program, first, first.seen)
            perturb(program)
    return first


def _later(filter: Filter | None, batch: WorldBatch, spec: WorldSpec) -> Iterator[WorldBatch]:
    for _ in range(LATER):
        batch = _next(filter, batch, spec)
        yield batch


def _next(filter: Filter | None, batch: WorldBatch, spec: WorldSpec) -> WorldBatch:
    """Return the instants after those of a batch, whose beliefs a filter returns, or random ones."""
    if filter is None:
        return batch.after(torch.randn_like(batch.belief), spec)
    with torch.no_grad():
        return batch.after(_belief_after(filter, batch), spec)


def _spaces(spec: WorldSpec) -> Mapping[str, Space[Any] | None]:
    return {STATE: None, OBSERVATION: spec.observation_space, REWARD: REAL, TERMINATED: Discrete(2)}


# the world model


def _check_model(model: WorldModel, batch: WorldBatch, spec: WorldSpec) -> Tensor:
    """Check the sites of a batch of instants; return log p(z, x, r) of each, `[B]` nats."""
    free, given = _run(model, batch, None), _run(model, batch, batch.seen)
    require_unchanged(model, batch)
    for site in free:
        _check_site(model, free[site], given, site, batch, _spaces(spec)[site])
    z = free[STATE]["value"].detach()
    score = require_repeatable(model, lambda: _scored(model, batch, z))
    require_vectorised(model, lambda rows: _scored(model, batch.rows(rows), z[rows]), score, OBSERVATION)
    require_visible(model, score)
    _check_marginal(model, batch)
    require_unchanged(model, batch)
    with fitting(model):
        return _scored(model, batch, z)


def _check_site(
    model: WorldModel, free: Mapping[str, Any], given: Nodes, site: str, batch: WorldBatch, space: Space[Any] | None
) -> None:
    if batch.action is None and site in (REWARD, TERMINATED):
        raise ProgramError(
            f'Expected {model.name} to sample "{site}" only after an action, but it does at the first step of an '
            "episode, where the action is None; return before."
        )
    if free["is_observed"]:
        raise ProgramError(
            f'Expected {model.name} to draw "{site}" where nothing is seen (seen is None), but it observes values of '
            "its own; take obs=None there."
        )
    require_batch(model, free, site, space)
    value = None if site == STATE else getattr(batch.seen, site)
    if value is None:
        return
    if site not in given or not given[site]["is_observed"] or not torch.equal(given[site]["value"].to(value), value):
        raise ProgramError(
            f'Expected {model.name} to observe the {site} that was seen at the site "{site}", but it drew another; '
            f"pass obs=seen.{site}."
        )


def _check_marginal(model: WorldModel, batch: WorldBatch) -> None:
    found = model.log_marginal(*batch.step)
    if found is not None and (not isinstance(found, Tensor) or found.shape != (BATCH,)):
        got = f"shape {tuple(found.shape)}" if isinstance(found, Tensor) else type(found).__name__
        raise ProgramError(
            f"Expected log_marginal of {model.name} to return one number for each of {BATCH} examples, or None, but "
            f"got {got}; sum over the dimensions of an observation."
        )


def _scored(model: WorldModel, batch: WorldBatch, z: Tensor) -> Tensor:
    """Return log p(z, x, r|belief, a) of each example, `[B]` nats."""
    nodes = model.run(*batch.step, z)
    found: Tensor = nodes[STATE]["fn"].log_prob(z) + model.evidence(nodes, batch.belief)
    return found


def _run(program: WorldModel | Filter, batch: WorldBatch, seen: Seen | None) -> Nodes:
    """Return the sites of a run; raises `ProgramError` for sites that are missing or unexpected."""
    nodes = run_sites(program, batch.belief, batch.action, seen, data={})
    if extra := [name for name in nodes if name not in program.sites]:
        raise ProgramError(
            f"Expected {program.name} to sample only {quoted_names(program.sites)}, but it also samples "
            f'"{extra[0][:40]}"; make it a part of "{STATE}", or leave it out.'
        )
    return nodes


# the filter


def _check_filter(filter: Filter, model: WorldModel, batch: WorldBatch) -> None:
    q = _run(filter, batch, batch.seen)[STATE]
    require_unchanged(filter, batch)
    if q["is_observed"]:
        raise ProgramError(
            f'Expected {filter.name} to draw "{STATE}", but it observes values of its own; take obs away.'
        )
    require_batch(filter, q, STATE, None)
    _require_same_states(filter, q["fn"], model.run(*batch.step)[STATE]["fn"])
    z = q["value"].detach()
    read = require_repeatable(filter, lambda: _read(filter, batch, z))
    require_vectorised(filter, lambda rows: _read(filter, batch.rows(rows), z[rows]), read, STATE)
    require_visible(filter, read, model)
    _belief_after(filter, batch)
    require_unchanged(filter, batch)


def _require_same_states(filter: Filter, q: Any, p: Any) -> None:
    """Raise `ProgramError` unless q and p are of the same states, over which a bound can be computed."""
    values = [_values(one) for one in (q, p)]
    if q.event_shape != p.event_shape or values[0] != values[1]:
        raise ProgramError(
            f'Expected {filter.name} to sample "{STATE}" from the states of its world model, {values[1]} of shape '
            f"{tuple(p.event_shape)}, but got {values[0]} of shape {tuple(q.event_shape)}; give both the same."
        )
    if not q.has_enumerate_support and not q.has_rsample:
        raise ProgramError(
            f'Expected {filter.name} to sample "{STATE}" with a gradient (has_rsample), or from finitely many states, '
            f"but got {type(q).__name__}; take such a distribution."
        )


def _values(distribution: Any) -> str:
    if not distribution.has_enumerate_support:
        return "vectors" if distribution.event_shape else "numbers"
    return f"{len(distribution.enumerate_support(expand=False))} values"


def _read(filter: Filter, batch: WorldBatch, z: Tensor) -> Tensor:
    """Return log q(z|belief, a, x, r) and the belief after, given z, side by side, `[B, 1 + D]`."""
    with poutine.block():
        trace = poutine.trace(poutine.condition(filter, {STATE: z})).get_trace(*batch.step)
    belief = _require_belief(filter, trace.nodes["_RETURN"]["value"], batch.belief)
    q: Any = trace.nodes[STATE]["fn"]
    return torch.cat([q.log_prob(z).unsqueeze(-1), belief], -1)


def _belief_after(filter: Filter, batch: WorldBatch) -> Tensor:
    return _require_belief(filter, filter.update(*batch.step), batch.belief)


def _require_belief(filter: Filter, found: Any, before: Tensor) -> Tensor:
    """Return the belief after; raises `ProgramError` unless it is one like that before."""
    wanted = f"{tuple(before.shape)} of {before.dtype}"
    if not isinstance(found, Tensor):
        got = "nothing" if found is None else f"a {type(found).__name__}"
    elif found.shape != before.shape or found.dtype != before.dtype:
        got = f"{tuple(found.shape)} of {found.dtype}"
    elif not bool(found.isfinite().all()):
        raise ProgramError(
            f"Expected {filter.name} to return a finite belief for what is finite, but got NaN or infinity; look for "
            "log 0, 0/0, or a sum that grows at every step."
        )
    else:
        return found
    raise ProgramError(
        f"Expected {filter.name} to return the belief after, {wanted}, but got {got}; return [B, belief_size] numbers."
    )


def _check_unknown(filter: Filter, batch: WorldBatch) -> None:
    """Check that a filter runs where no reward or no termination is known."""
    without = {"reward": replace(batch, reward=None), "terminated": replace(batch, terminated=None)}
    for name, other in without.items():
        try:
            _belief_after(filter, other)
        except ProgramError as error:
            cause = error.__cause__ or error
            raise ProgramError(
                f"Expected {filter.name} to return a belief where seen.{name} is None, as in predict and in rollouts, "
                f"but it raised {describe_error(cause, 80)}; leave it out there."
            ) from error


def _check_fit(world: World, first: WorldBatch, later: WorldBatch) -> None:
    """Check that gradients of the bound reach the parameters of both programs, in training mode."""
    with fitting(world.model), fitting(world.filter):
        _, action, seen = later.step
        after = world.filter.update(*first.step)
        bound = torch.cat([step_bound(world, *first.step), step_bound(world, after, action, seen)])
        require_visible(world.filter, bound, world.model)
        require_gradient(world.filter, bound, STATE)
