"""Beliefs and the bound against the exact tier, and against Pyro's own ELBOs."""

from collections.abc import Iterator

import pyro
import pytest
import torch
from pyro.infer import Trace_ELBO, TraceEnum_ELBO, TraceMeanField_ELBO, config_enumerate
from torch import Tensor

from gio_pyro import tabular
from gio_pyro.beliefs.bound import mean_field_bound, pair, step_bound
from gio_pyro.beliefs.pieces import Piece
from gio_pyro.beliefs.programs import STATE
from gio_pyro.beliefs.pyro_bound import world_objective
from gio_pyro.beliefs.terms import log_marginal, terms_of
from gio_pyro.beliefs.world import World
from gio_pyro.guides import CategoricalFilter, GaussianFilter
from gio_pyro.types import Seen
from tests.beliefs.worlds import (
    finite_pieces,
    finite_pomdp,
    finite_world,
    linear_pieces,
    linear_system,
    linear_world,
)

FINITE = ("gio/Tiger-v0", "gio/TMaze-v0")


@pytest.fixture(autouse=True)
def seeded() -> Iterator[None]:
    """Every test in float64 and from its own seed."""
    torch.manual_seed(0)
    torch.set_default_dtype(torch.float64)
    with torch.no_grad():
        yield
    torch.set_default_dtype(torch.float32)


def exact_linear(world: World, given: Piece) -> tabular.Kalman:
    shown = torch.cat([given.first.unsqueeze(1), given.observation], 1)
    return tabular.kalman(linear_system(world), shown, given.action.tanh())


def exact_finite(pomdp: tabular.POMDP, given: Piece) -> tabular.Filtered:
    shown = torch.cat([given.first.unsqueeze(1), given.observation], 1)
    return tabular.forward_filter(pomdp, shown, given.action, terminated=given.terminated)


def copies(given: Piece, count: int) -> Piece:
    return Piece(*(tensor.repeat(count, *[1] * (tensor.ndim - 1)) for tensor in given.tensors()))


def mean(values: Tensor, given: Piece, burn_in: int = 0) -> float:
    counted = given.counted(burn_in)
    return float((values * counted).sum() / counted.sum())


def test_the_kalman_filter_and_its_bound_are_exact():
    world, given = linear_world(), linear_pieces()
    exact = exact_linear(world, given)
    beliefs = world.along(given)
    torch.testing.assert_close(beliefs[..., :2], exact.mean)
    torch.testing.assert_close(beliefs[..., 2:].unflatten(-1, (2, 2)), exact.covariance)
    # the divergence is analytic, and E_q log p(x|z) is averaged over draws
    bound = mean_field_bound(world, copies(given, 2000), 0)
    assert float(bound) == pytest.approx(mean(exact.log_likelihood, given), abs=0.01)


@pytest.mark.parametrize("name", FINITE)
def test_the_forward_algorithm_and_its_bound_are_exact(name: str):
    pomdp = finite_pomdp(name)
    world, given = finite_world(pomdp), finite_pieces(pomdp)
    exact = exact_finite(pomdp, given)
    torch.testing.assert_close(world.along(given)[given.counted(0)], exact.belief[given.counted(0)])
    assert float(mean_field_bound(world, given, 0)) == pytest.approx(mean(exact.log_likelihood, given), abs=1e-9)
    assert float(mean_field_bound(world, given, 3)) == pytest.approx(mean(exact.log_likelihood, given, 3), abs=1e-9)


@pytest.mark.parametrize("kind", ["linear", "finite"])
def test_information_gain_and_state_consistency_of_an_exact_filter_cancel_for_every_draw(kind: str):
    if kind == "linear":
        world, given = linear_world(), linear_pieces(64)
    else:
        pomdp = finite_pomdp("gio/NoisyFrozenLake-v0", is_slippery=True)
        world, given = finite_world(pomdp), finite_pieces(pomdp, 64)
    belief = world.along(given)[:, 0]
    seen = Seen(given.observation[:, 0], given.reward[:, 0], given.terminated[:, 0])
    steps = (belief, given.action[:, 0], seen), (world.before(given.first), None, Seen(given.first))
    for step in steps:
        found = terms_of(world, *step, draws=1)
        torch.testing.assert_close(found.information, found.consistency, atol=1e-5, rtol=0.0)
    assert max(float(terms_of(world, *step, draws=1).information.std()) for step in steps) > 0.01  # each has its own


def learned(kind: str) -> tuple[World, Piece]:
    """A filter that is not exact."""
    if kind == "linear":
        world, given = linear_world(GaussianFilter), linear_pieces()
    else:
        pomdp = finite_pomdp()
        world, given = finite_world(pomdp, CategoricalFilter), finite_pieces(pomdp)
    for parameter in world.filter.parameters():
        parameter.data += 0.1 * torch.randn_like(parameter)
    return world, given


@pytest.mark.parametrize(
    ("kind", "elbo"),
    [("linear", TraceMeanField_ELBO()), ("linear", Trace_ELBO()), ("finite", TraceEnum_ELBO(max_plate_nesting=1))],
    ids=lambda one: one if isinstance(one, str) else type(one).__name__,
)
def test_the_bound_is_that_of_pyro(kind: str, elbo: pyro.infer.ELBO):
    world, given = learned(kind)
    model, guide = pair(world, burn_in=2)
    if kind == "finite":
        guide = config_enumerate(guide, default="parallel")
    given = given if kind == "finite" else copies(given, 8000)
    theirs = -elbo.loss(model, guide, given) / int(given.counted(2).sum())
    room = 1e-9 if kind == "finite" else 0.01
    assert float(mean_field_bound(world, given, 2)) == pytest.approx(float(theirs), abs=room)


@pytest.mark.parametrize("kind", ["linear", "finite"])
def test_the_slack_is_the_divergence_from_the_exact_filter(kind: str):
    """log p(x|b) − bound = KL(q ‖ exact), belief by belief."""
    world, given = learned(kind)
    exact = linear_world() if kind == "linear" else finite_world(finite_pomdp())
    draws = 1 if kind == "finite" else 4000
    many = copies(given, draws)
    before = world.along(many)[:, 0]
    step = before, many.action[:, 0], Seen(many.observation[:, 0], many.reward[:, 0], many.terminated[:, 0])
    q, p = (one.filter.run(*step)[0][STATE]["fn"] for one in (world, exact))
    slack = (log_marginal(world, *step, draws=1) - step_bound(world, *step)).unflatten(0, (draws, -1))
    wanted = torch.distributions.kl_divergence(q, p).unflatten(0, (draws, -1))[0]
    room = 1e-9 if kind == "finite" else 4 * slack.std(0) / draws**0.5
    assert bool(((slack.mean(0) - wanted).abs() <= room).all())


@pytest.mark.parametrize(("kind", "elbo"), [("linear", "Trace_ELBO"), ("finite", "TraceEnum_ELBO")])
def test_elbos_of_pyro_train_both_programs(kind: str, elbo: str):
    world, given = learned(kind)
    world.requires_grad_(True)
    with torch.enable_grad():
        bound = world_objective(elbo)(world, given, 2)
        found = torch.autograd.grad(bound, list(world.parameters()), allow_unused=True)
        if kind == "finite":
            ours = torch.autograd.grad(mean_field_bound(world, given, 2), list(world.parameters()), allow_unused=True)
            for one, other in zip(found, ours, strict=True):
                torch.testing.assert_close(one, torch.zeros_like(one) if other is None else other)
    assert all(one is not None and bool(one.isfinite().all()) for one in found)
