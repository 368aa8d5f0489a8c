"""Guides over continuous actions, against known posteriors: bimodal, and with correlated actions."""

from math import log, pi
from typing import Any

import pyro.distributions as dist
import pytest
import torch
from gymnasium.spaces import Discrete
from torch import Tensor

from gio_pyro import guides
from gio_pyro.models import GaussianModel
from gio_pyro.programs import Guide, build_guide, build_model, sample_actions, without_validation
from gio_pyro.types import Spec
from tests.slow import slow_but
from tests.spaces import vector


def standard(size: int) -> Any:
    return lambda state: dist.Normal(torch.zeros(len(state), size), 1.0).to_event(1)


def fitted_information(name: str, world: Any, size: int, steps: int = 600) -> float:
    """Return E log q − log π of a guide, nats, after fitting it to draws of π and `world(action)`."""
    torch.manual_seed(0)
    where, policy = Spec(vector(1), vector(size), vector(1), hidden=(32, 32)), standard(size)
    model = build_model(GaussianModel, where, policy, torch.zeros(1, 1))
    guide: Guide = build_guide(getattr(guides, name), where, model, policy, torch.zeros(1, 1))
    first = torch.randn(4_000, size)
    guide.observe(torch.zeros(4_000, 1), first, world(first))
    optimiser = torch.optim.Adam(guide.parameters(), lr=1e-2)
    with without_validation():
        for step in range(steps):
            optimiser.param_groups[0]["lr"] = 1e-2 * (1 - step / steps)
            action = torch.randn(256, size)
            loss = -guide.log_prob(policy, torch.zeros(256, 1), world(action), action).mean()
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
    with torch.no_grad():
        action = torch.randn(40_000, size)
        state = torch.zeros(40_000, 1)
        log_q = guide.log_prob(policy, state, world(action), action)
        return float((log_q - policy(state).log_prob(action)).mean())


@pytest.fixture(autouse=True)
def private_numbers() -> Any:
    with torch.random.fork_rng():
        yield


NOISE = 0.3


def size_of(action: Tensor) -> Tensor:
    """F = |a| + noise: an action and its opposite look alike."""
    return action.abs() + NOISE * torch.randn(len(action), 1)


def information_of_size() -> float:
    """I(F; a) = h(F) − h(noise), by quadrature of p(F) = ∫ N(F; |a|, σ²) N(a) da."""
    a, f = torch.linspace(-6, 6, 2_001, dtype=torch.float64), torch.linspace(-3, 8, 4_001, dtype=torch.float64)
    likelihood = torch.distributions.Normal(a.abs(), NOISE).log_prob(f[:, None])
    log_f = torch.logsumexp(likelihood + torch.distributions.Normal(0, 1).log_prob(a), -1) + (a[1] - a[0]).log()
    entropy = -torch.trapezoid(log_f.exp() * log_f, f)
    return float(entropy) - 0.5 * log(2 * pi * 2.718281828459045 * NOISE**2)


@pytest.mark.parametrize("name", slow_but(["FlowGuide", "MixtureGuide"], "MixtureGuide"))
def test_two_humps_are_found(name: str):
    exact = information_of_size()
    assert fitted_information(name, size_of, 1) == pytest.approx(exact, abs=0.05)


@pytest.mark.parametrize("name", ["GaussianGuide", "AutoregressiveGuide"])
def test_one_hump_for_each_number_is_too_few(name: str):
    assert fitted_information(name, size_of, 1) < information_of_size() - 0.3


def total_of(action: Tensor) -> Tensor:
    """F = a_1 + a_2 + noise: what is known of one action depends on the other."""
    return action.sum(-1, keepdim=True) + NOISE * torch.randn(len(action), 1)


TOTAL = 0.5 * log(1 + 2 / NOISE**2)
"""I(F; a) of a sum of two standard normals in noise."""


@pytest.mark.parametrize("name", slow_but(["AutoregressiveGuide", "FlowGuide"], "AutoregressiveGuide"))
def test_what_is_known_of_a_sum_is_found(name: str):
    assert fitted_information(name, total_of, 2) == pytest.approx(TOTAL, abs=0.05)


def test_numbers_on_their_own_lose_what_they_know_of_each_other():
    """The best independent normals are the posterior's marginals, whose loss is what its two numbers share."""
    variance = 1 - 1 / (2 + NOISE**2)
    covariance = -1 / (2 + NOISE**2)
    shared = -0.5 * log(1 - (covariance / variance) ** 2)
    assert fitted_information("GaussianGuide", total_of, 2) == pytest.approx(TOTAL - shared, abs=0.05)


def test_an_autoregressive_guides_draws_are_of_its_density():
    torch.manual_seed(0)
    where, policy = Spec(vector(1), vector(3), vector(1), hidden=(16,)), standard(3)
    model = build_model(GaussianModel, where, policy, torch.zeros(1, 1))
    guide = build_guide(guides.AutoregressiveGuide, where, model, policy, torch.zeros(1, 1))
    with torch.no_grad(), without_validation():
        for parameter in guide.parameters():
            parameter.add_(0.3 * torch.randn_like(parameter))
        q = guide.posterior(policy, torch.zeros(1, 1), torch.ones(1, 1))
        chosen = sample_actions(q, 50_000)
        wide = dist.Normal(chosen.action.mean(0), 1.5 * chosen.action.std(0)).to_event(1)
        proposals = wide.sample(torch.Size([50_000]))
        weight = (q.log_prob(proposals.unsqueeze(1)).squeeze(1) - wide.log_prob(proposals)).exp()
        assert float(weight.mean()) == pytest.approx(1.0, abs=0.05)  # the density integrates to 1
        found = (weight[:, None] * proposals).mean(0)
    torch.testing.assert_close(chosen.action.mean(0), found, atol=0.05, rtol=0)


def test_a_sequence_guide_scores_what_its_parts_say_one_after_the_other():
    torch.manual_seed(0)
    where = Spec(vector(2), Discrete(12), vector(2), hidden=(8,), action_parts=(2, 3, 2))
    guide = guides.AutoregressiveSequenceGuide(where)
    seen = torch.randn(5, guide.encoder.size)
    scores = guide.scores(seen).detach()
    torch.testing.assert_close(scores.exp().sum(-1), torch.ones(5))
    first = scores.reshape(5, 2, 3, 2).exp().sum((2, 3))
    torch.testing.assert_close(first, torch.softmax(guide.nets[0](seen), -1).detach())
    flags = torch.tensor([0.0, 1.0, 0.0, 0.0, 1.0])  # first part 1, second part 2
    third = torch.log_softmax(guide.nets[2](torch.cat([seen, flags.expand(5, -1)], -1)), -1).detach()
    found = torch.log_softmax(scores.reshape(5, 2, 3, 2)[:, 1, 2], -1)
    torch.testing.assert_close(found, third)
