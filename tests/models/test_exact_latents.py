"""Fitted models with latent sites against the numbers of their worlds, and the direction of each approximation.

The worlds and the measurements are those of examples/studies/latent_variables.py. Cost: 3 s.
"""

import math
from typing import Any

import pytest
import torch
from torch import Tensor

from gio_pyro.guides import GaussianGuide, MixtureGuide
from gio_pyro.models import MixtureModel, RegimeModel, VariationalModel
from gio_pyro.programs import build_guide, build_model, without_validation
from gio_pyro.types import Spec
from tests.examples.scripts import script
from tests.programs import latent_worlds as worlds
from tests.spaces import vector

study = script("latent_variables")
SPEC = Spec(vector(1), vector(1), vector(2), hidden=(16,))


@pytest.fixture(autouse=True)
def private_numbers() -> Any:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        yield


def errors(rows: list[dict[str, object]]) -> tuple[float, float]:
    first, second = (abs(float(str(row["error"]))) for row in rows)
    return first, second


@pytest.mark.slow
@pytest.mark.parametrize("world", ["two regimes", "factor analysis"])
def test_a_fitted_model_has_the_density_and_the_information_of_its_world(world: str):
    log_prob, information = errors(study.marginal(world, seed=0, steps=1_000))
    assert log_prob < 0.02
    assert information < 0.05


@pytest.mark.slow
def test_a_latent_vector_finds_the_kinds_of_outcomes():
    """One fitting draw loses all that the regimes add: 0.16 nats of log p and 0.17 of information."""
    log_prob, information = errors(study.marginal("two regimes, VariationalModel", seed=0, steps=2_000))
    assert log_prob < 0.03
    assert information < 0.1


@pytest.mark.slow
@pytest.mark.parametrize("scale", [0.02, 1.0])
def test_fitted_weights_predict_and_gain_as_the_conjugate_posterior(scale: float):
    log_prob, gain = errors(study.regression("AutoMultivariateNormal", scale, seed=0, steps=2_000))
    assert log_prob < 0.02
    assert gain < 0.1


def perturbed(kind: Any, **names: Any) -> Any:
    """A model with arbitrary weights, which the action matters to."""
    model = build_model(type("Kind", (kind,), names), SPEC, study.prior, torch.zeros(1, 1))
    state, action, future = examples(500)
    model.observe(state, action, future)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter += 0.2 * torch.randn_like(parameter)
    return model


def examples(size: int) -> tuple[Tensor, Tensor, Tensor]:
    state, action = torch.randn(2, size, 1)
    return state, action, torch.cat([action.tanh() - state, state], -1) + 0.3 * torch.randn(size, 2)


def test_a_regime_is_summed_out_as_by_hand():
    """The sites of `RegimeModel` and the mixture of `MixtureModel`, with the same weights, have one density."""
    model, mixture = perturbed(RegimeModel), build_model(MixtureModel, SPEC, study.prior, torch.zeros(1, 1))
    mixture.program.load_state_dict(model.program.state_dict())
    state, action, future = examples(50)
    found, expected = (m.log_prob(study.prior, state, action, future) for m in (model, mixture))
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(model.evidence(study.prior, state, action, future), found)


@torch.no_grad()
def test_more_draws_of_a_local_latent_raise_the_lower_bound_and_lower_the_upper_one():
    state, action, seen = examples(1_000)
    first, below, slack = perturbed(VariationalModel, latent=2), [], []
    for draws in (1, 4, 64):
        model = perturbed(VariationalModel, latent=2, particles=draws)
        model.program.load_state_dict(first.program.state_dict())
        _, lower, upper = model.latents.sandwich(study.prior, state, action)
        below.append(float(model.log_prob(study.prior, state, action, seen).mean()))
        slack.append(float((upper - lower).mean()))
        assert slack[-1] > 0
    assert slack[0] > slack[1] > slack[2]
    assert below == sorted(below)


def gradient(model: Any, bound: Tensor) -> Tensor:
    program = model.program
    parts = [p for net in (program.posterior, program.prior, program.net) for p in net.parameters()]
    return torch.cat([part.flatten() for part in torch.autograd.grad(bound.mean(), parts)])


@pytest.mark.parametrize("draws", [1, 8])
def test_fresh_draws_of_the_encoder_fit_the_bound_that_is_evaluated(draws: int):
    """The doubly reparameterised gradient has the mean of the ordinary one, which kept draws give."""
    model = perturbed(VariationalModel, latent=2, fitting_draws=draws, particles=draws)
    batch = examples(20_000)
    found, expected = (bound(study.prior, *batch) for bound in (model.evidence, model.log_prob))
    error = float((found - expected).detach().std()) / 20_000**0.5
    assert float((found - expected).detach().mean()) == pytest.approx(0.0, abs=4 * error)
    found, expected = gradient(model, found), gradient(model, expected)
    assert float((found - expected).norm() / expected.norm()) < 0.1


def rewards(model: Any, policy: Any, guide: Any, spec: Spec, state: Tensor, action: Tensor) -> tuple[Tensor, Tensor]:
    """Futures of the model, and log q(a|s, F) − log π(a|s) under a guide that was never fitted."""
    q = build_guide(guide, spec, model, policy, state[:1])
    with torch.no_grad(), without_validation():
        future = model.future(policy, state, action).sample()
        q.observe(state, action, future)
        return future, q.log_prob(policy, state, future, action) - policy(state).log_prob(action)


def at_most(reward: Tensor, information: float) -> bool:
    return float(reward.mean()) < information + 4 * float(reward.std()) / len(reward) ** 0.5


@pytest.mark.parametrize("guide", [GaussianGuide, MixtureGuide])
def test_the_reward_is_a_lower_bound_of_the_information_for_any_guide(guide: Any):
    model, state, action = perturbed(RegimeModel), torch.zeros(2_000, 1), torch.randn(2_000, 1)
    future, reward = rewards(model, study.prior, guide, SPEC, state, action)
    with torch.no_grad():
        assert at_most(reward, study.information(study.model_log_prob(model), action, future))
    state = torch.randn(2_000, 2)
    model = build_model(worlds.GuidedFactorAnalysis, worlds.SPEC, worlds.policy, state[:1])
    _, reward = rewards(model, worlds.policy, guide, worlds.SPEC, state, worlds.policy(state).sample())
    effect, covariance = (
        model.program.effect.detach(),
        model.program.marginal(state[:1], state[:1, :1]).covariance_matrix,
    )
    signal = float(effect @ torch.linalg.solve(covariance.detach().reshape(2, 2), effect))
    assert at_most(reward, 0.5 * math.log1p(signal))
