"""Models of real-valued futures, against closed-form likelihoods."""

from collections.abc import Callable
from math import e, log, pi
from typing import Any

import pyro.distributions as dist
import pytest
import torch
from torch import Tensor

from gio_pyro import models
from gio_pyro.models import BayesianModel, EnsembleModel, GaussianModel, ImageModel
from gio_pyro.programs import Model, build_model, without_validation
from gio_pyro.types import Spec
from tests.slow import slow_but
from tests.spaces import image, spec, vector

HIDDEN = (32,)


def standard(state: Tensor) -> Any:
    return dist.Normal(torch.zeros(len(state), 1), 1.0).to_event(1)


def fitted(kind: Any, world: Any, steps: int = 1_000, futures: int = 2, size: int = 256, **names: Any) -> Model:
    """A model of two-dimensional futures fitted to `world(action) -> future`, with a constant state."""
    where = Spec(vector(futures), vector(1), vector(futures), hidden=HIDDEN)
    torch.manual_seed(0)
    model = build_model(type("Kind", (kind,), names), where, standard, torch.zeros(1, futures))
    state = torch.zeros(size, futures)
    action = torch.randn(4_000, 1)
    model.observe(torch.zeros(4_000, futures), action, world(action))

    def batch() -> tuple[Tensor, Tensor, Tensor]:
        action = torch.randn(size, 1)
        return state, action, world(action)

    fit(model, batch, steps)
    return model


def fit(model: Model, batch: Callable[[], tuple[Tensor, Tensor, Tensor]], steps: int, rate: float = 1e-2) -> None:
    """Adam, whose step size falls to nothing, which takes fewer steps than a constant one."""
    optimiser = torch.optim.Adam([p for p in model.parameters() if p.requires_grad], lr=rate)
    slower = torch.optim.lr_scheduler.LinearLR(optimiser, 1.0, 1e-3, max(steps, 1))
    with without_validation():
        for _ in range(steps):
            loss = -model.evidence(standard, *batch()).mean()
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            slower.step()


@torch.no_grad()
def mean_log_prob(model: Model, world: Any, futures: int = 2, count: int = 40_000) -> float:
    action = torch.randn(count, 1)
    return float(model.log_prob(standard, torch.zeros(count, futures), action, world(action)).mean())


@pytest.fixture(autouse=True)
def private_numbers() -> Any:
    with torch.random.fork_rng():
        yield


RHO = 0.9


def correlated(action: Tensor) -> Tensor:
    """F = (a, 0) + noise whose two numbers have correlation 0.9."""
    shared, own = torch.randn(2, len(action), 1).unbind(0)
    noise = torch.cat([shared, RHO * shared + (1 - RHO**2) ** 0.5 * own], -1)
    return torch.cat([action, torch.zeros_like(action)], -1) + noise


TRUTH = -log(2 * pi * e) - 0.5 * log(1 - RHO**2)
SHARED = 0.830366
"""Nats that two normal numbers of correlation 0.9 share."""


@pytest.mark.parametrize("name", slow_but(["FullGaussianModel", "LowRankGaussianModel"], "FullGaussianModel"))
def test_noise_that_numbers_share_is_learned(name: str):
    assert mean_log_prob(fitted(getattr(models, name), correlated), correlated) == pytest.approx(TRUTH, abs=0.03)


def test_a_model_of_numbers_on_their_own_loses_what_they_share():
    lost = TRUTH - mean_log_prob(fitted(GaussianModel, correlated), correlated)
    assert lost == pytest.approx(SHARED, abs=0.03)


def forked(action: Tensor) -> Tensor:
    """F is a fork: ±3 with probability ½ each, by N(0, 0.5²); the second number is the action."""
    side = 6 * torch.randint(0, 2, (len(action), 1)) - 3
    noise = torch.randn(len(action), 2) * 0.5
    return torch.cat([side.float(), action], -1) + noise


FORKED = -log(2 * pi * e) - 2 * log(0.5) - log(2)


@pytest.mark.slow
def test_a_mixture_knows_two_ways_out():
    assert mean_log_prob(fitted(models.MixtureModel, forked), forked) == pytest.approx(FORKED, abs=0.03)
    assert mean_log_prob(fitted(GaussianModel, forked), forked) < FORKED - 0.5


@torch.no_grad()
def spread(model: Model, at: float) -> float:
    """Spread of the members' means at an action, in standard deviations of F."""
    mean = model.beliefs(torch.zeros(1, 1), torch.full((1, 1), at)).mean
    return float((mean / model.program.target.deviation).std(0).mean())


def near_zero(action: Tensor) -> Tensor:
    """F = a, cut at ±½, with a little noise."""
    return action.clamp(-0.5, 0.5) + 0.1 * torch.randn_like(action)


def test_members_are_fitted_by_a_lower_bound_of_their_mixture():
    model = fitted(EnsembleModel, near_zero, steps=50, futures=1)
    action = torch.randn(64, 1)
    future, state = near_zero(action), torch.zeros(64, 1)
    bound, whole = model.evidence(standard, state, action, future), model.log_prob(standard, state, action, future)
    assert bool((bound <= whole + 1e-5).all())
    assert spread(model, 0.0) > 0


LINEAR = torch.tensor([[0.7, -1.2]])


def linear(action: Tensor) -> Tensor:
    return action.tanh() @ LINEAR + 0.5 * torch.randn(len(action), 2)


def test_a_bayesian_model_without_hidden_layers_is_bayesian_regression():
    """q(w) is normal with independent weights: its best means are the posterior's, its best precisions the diagonal."""
    torch.manual_seed(0)
    where = Spec(vector(2), vector(1), vector(2), hidden=())
    model = build_model(BayesianModel, where, standard, torch.zeros(1, 2))
    program, posterior, count = model.program, model.latents.autoguide, 200
    action = torch.randn(count, 1)
    state, future = torch.randn(count, 2), linear(action)
    model.observe(state, action, future)
    assert int(model.latents.examples) == count
    program.raw.requires_grad_(False)
    fit(model, lambda: (state, action, future), 800, rate=0.05)
    x = torch.cat([program.features(state, action), torch.ones(count, 1)], -1).detach()
    change = (future - state - program.target.mean) / program.target.deviation
    noise = (program.scale(program.raw) / program.target.deviation).detach()
    scales = torch.tensor([program.prior_scale / 3**0.5] * 3 + [1.0])
    for number in range(2):
        precision = torch.diag(scales**-2) + x.T @ x / noise[number] ** 2
        mean = torch.linalg.solve(precision, x.T @ change[:, number] / noise[number] ** 2)
        found, deviation = (
            torch.cat([part.weight0[:, number], part.bias0[number : number + 1]])
            for part in (posterior.locs, posterior.scales)
        )
        torch.testing.assert_close(found.detach(), mean, atol=0.03, rtol=0)
        torch.testing.assert_close(deviation.detach(), precision.diagonal().rsqrt(), atol=0.01, rtol=0.1)


@pytest.mark.slow
def test_a_bayesian_model_is_less_sure_where_it_has_seen_less():
    many = fitted(BayesianModel, near_zero, steps=400, futures=1)
    few = fitted(BayesianModel, near_zero, steps=0, futures=1)
    few.latents.examples.fill_(20)
    assert spread(many, 0.0) < 0.2
    action = 0.3 * torch.randn(20, 1)
    future, state = near_zero(action), torch.zeros(20, 1)
    fit(few, lambda: (state, action, future), 500)
    assert spread(few, 0.0) > 2 * spread(many, 0.0)


def test_a_reading_of_a_bayesian_model_repeats_itself():
    model = fitted(BayesianModel, near_zero, steps=5, futures=1)
    action = torch.randn(4, 1)
    twice = [model.log_prob(standard, torch.zeros(4, 1), action, action) for _ in range(2)]
    assert torch.equal(*twice)


@pytest.mark.slow
def test_an_image_model_learns_what_moves():
    """A bright band is where the action says; the model draws it, and has fewer weights than a list of pixels."""
    side, bands = 12, 4
    where = Spec(image(side, 1), vector(1), image(side, 1), hidden=(64,))
    torch.manual_seed(0)
    policy: Any = lambda state: dist.Normal(torch.zeros(len(state), 1), 1.0).to_event(1)  # noqa: E731
    model = build_model(ImageModel, where, policy, torch.zeros(1, side, side, 1, dtype=torch.uint8))

    def world(count: int) -> tuple[Tensor, Tensor, Tensor]:
        action = torch.randn(count, 1)
        band = ((action.tanh() + 1) / 2 * bands).long().clamp_max(bands - 1)
        row = torch.arange(side) // (side // bands) == band
        picture = (255 * row[:, :, None, None].expand(-1, -1, side, 1)).to(torch.uint8)
        return torch.zeros_like(picture), action, picture

    model.observe(*world(500))
    optimiser = torch.optim.Adam(model.parameters(), lr=1e-3)
    schedule = torch.optim.lr_scheduler.LinearLR(optimiser, 1.0, 0.0, total_iters=400)  # else the end swings
    with without_validation():
        for _ in range(400):
            state, action, picture = world(64)
            optimiser.zero_grad()
            (-model.log_prob(policy, state, action, picture).mean()).backward()
            optimiser.step()
            schedule.step()
    state, action, picture = world(200)
    with torch.no_grad():
        drawn = model.future(policy, state, action).mean.squeeze(-1)
    bright = (x.unflatten(1, (bands, -1)).sum((2, 3)).argmax(-1) for x in (drawn, picture.squeeze(-1).float()))
    assert float(torch.eq(*bright).float().mean()) > 0.9
    with torch.random.fork_rng():
        pixels = build_model(GaussianModel, spec(image(64), vector(1)), policy, torch.zeros(1, 64, 64, 3).byte())
        drawn_model = build_model(ImageModel, spec(image(64), vector(1)), policy, torch.zeros(1, 64, 64, 3).byte())
    ours, theirs = (sum(p.numel() for p in m.parameters()) for m in (drawn_model, pixels))
    assert ours < theirs
