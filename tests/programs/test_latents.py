"""Latent sites integrated out, against densities in closed form (`latent_worlds`)."""

import copy
import math
from typing import Any

import pyro
import pyro.distributions as dist
import pytest
import torch
from gymnasium.spaces import Discrete
from pyro.infer.autoguide import AutoDelta, AutoLowRankMultivariateNormal, AutoMultivariateNormal, AutoNormal
from torch import Tensor, nn

import gio_pyro as gio
from gio_pyro.errors import ProgramError
from gio_pyro.guides import GaussianGuide
from gio_pyro.programs import build_guide, build_model, imagine, kept_noise
from gio_pyro.types import Policy, Spec
from tests.programs.latent_worlds import (
    SPEC,
    FactorAnalysis,
    GuidedFactorAnalysis,
    LinearRegression,
    Regimes,
    batch,
    policy,
)


def built(program: Any, state: Tensor) -> Any:
    return build_model(program, SPEC, policy, state[:1])


def test_finite_latents_are_summed_out_exactly():
    state, action, future = batch(50)
    model = built(Regimes, state)
    exact = model.program.exact(state, action, future)
    torch.testing.assert_close(model.log_prob(policy, state, action, future), exact)
    torch.testing.assert_close(model.evidence(policy, state, action, future), exact)
    assert model.latents.vectorised
    model.latents.vectorised = False
    torch.testing.assert_close(model.log_prob(policy, state, action, future), exact)


def test_each_branch_of_a_finite_latent_has_its_probability_with_gradients():
    state, action, _ = batch(4)
    model = built(Regimes, state)
    action.requires_grad_(True)
    weight = model.program.logits(state, action).softmax(-1)
    mean = state + ((weight @ model.program.effect) * action)
    wanted = torch.autograd.grad(mean.sum(), action)[0]
    dream = imagine(model, policy, state, action, samples=2_000)
    found = torch.stack([dream.mean(dream.future[:, n]) for n in range(2)], -1)
    torch.testing.assert_close(found, mean, atol=0.05, rtol=0)
    torch.testing.assert_close(torch.autograd.grad(found.sum(), action)[0], wanted, atol=0.05, rtol=0)
    samples = model.future(policy, state, action).sample((20_000,))
    torch.testing.assert_close(samples.mean(0), mean.detach(), atol=0.06, rtol=0)


def test_an_exact_guide_of_a_local_latent_gives_the_exact_density_with_any_number_of_draws():
    state, action, future = batch(50)
    model = built(GuidedFactorAnalysis, state)
    exact = model.program.marginal(state, action).log_prob(future)
    torch.testing.assert_close(model.log_prob(policy, state, action, future), exact, atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(model.evidence(policy, state, action, future), exact, atol=1e-4, rtol=1e-4)


class Wrong(GuidedFactorAnalysis):
    error = 1.0


@pytest.mark.parametrize("particles", [2, 32])
def test_bounds_of_a_local_latent_enclose_the_density_and_close_with_more_draws(particles: int):
    state = torch.randn(4_000, 2)
    action = policy(state).sample()
    model = built(type("Wrong", (Wrong,), {"particles": particles}), state)
    future, lower, upper = model.latents.sandwich(policy, state, action)
    exact = model.program.marginal(state, action).log_prob(future)
    below, above = (exact - lower).mean(), (upper - exact).mean()
    assert 0 < below < 1.5 / particles + 0.1
    assert 0 < above < 1.5 / particles + 0.1
    assert below + above > 0.2 or particles > 2
    torch.testing.assert_close(model.log_prob(policy, state, action, future), lower)


@pytest.mark.parametrize("mode", [True, False])
def test_the_draws_of_a_latent_are_kept_and_the_same_for_every_example(mode: bool):
    state, action, future = batch(6)
    for program in (Wrong, LinearRegression):
        model = built(program, state)
        model.latents.vectorised = mode
        whole = model.log_prob(policy, state, action, future)
        torch.testing.assert_close(model.log_prob(policy, state, action, future), whole)
        torch.testing.assert_close(model.log_prob(policy, state[4:], action[4:], future[4:]), whole[4:])
        torch.testing.assert_close(copy.deepcopy(model).log_prob(policy, state, action, future), whole)


@pytest.mark.parametrize("autoguide", [AutoNormal, AutoMultivariateNormal, AutoLowRankMultivariateNormal, AutoDelta])
def test_shared_latents_are_a_mixture_over_draws_of_any_autoguide(autoguide: Any):
    state, action, future = batch(5)
    model = built(type("Regression", (LinearRegression,), {"autoguide": autoguide}), state)
    weight = model.latents.shared_draws(policy)["weight"]
    assert weight.shape == (64, 2)
    each = dist.Normal(state + weight[:, None] * action, 1.0).to_event(1).log_prob(future)
    expected = each.logsumexp(0) - torch.tensor(64.0).log()
    torch.testing.assert_close(model.log_prob(policy, state, action, future), expected)
    assert (model.latents.vectorised, model.latents.vectorised_draws) == (True, True)
    model.latents.vectorised = model.latents.vectorised_draws = False
    torch.testing.assert_close(model.log_prob(policy, state, action, future), expected)


@pytest.mark.parametrize("size", [(64, 2), (65, 3), (7, 5), (1, 2, 2)])
def test_noise_of_shared_latents_has_mean_0_and_is_white_where_draws_are_many(size: tuple[int, ...]):
    noise = kept_noise.antithetic(size, torch.device("cpu"))
    assert noise.shape == size
    half = (size[0] + 1) // 2
    assert torch.equal(noise[half:], -noise[: size[0] - half])
    if size == (64, 2):
        torch.testing.assert_close(noise.T @ noise / 64, torch.eye(2))


def test_the_density_of_a_mixture_of_64_draws_is_near_the_exact_one():
    """N(s + w a, 1) with w ~ N(0, ½²) is N(s, 1 + a²/4)."""
    state, action, future = batch(2_000)
    scale = (1 + action.square() / 4).sqrt()
    future = state + scale * torch.randn_like(state)
    model = built(type("Wide", (LinearRegression,), {"start": 0.5}), state)
    exact = dist.Normal(state, scale).to_event(1).log_prob(future)
    with torch.no_grad():
        model.latents.autoguide.locs.weight_unconstrained.zero_()
        error = float((model.log_prob(policy, state, action, future) - exact).mean())
    assert error == pytest.approx(0.0, abs=0.01)


def test_the_evidence_of_shared_latents_has_their_divergence_divided_by_the_examples():
    state, action, future = batch(5)
    model = built(type("Narrow", (LinearRegression,), {"start": 0.1}), state)
    model.observe(state, action, future)
    model.observe(state, action, future)
    with torch.no_grad():
        model.latents.autoguide.locs.weight_unconstrained.fill_(0.5)
    found = torch.stack([model.evidence(policy, state, action, future) for _ in range(300)]).mean(0)
    square = (future - state - 0.5 * action).square() + (0.1 * action).square()  # E_q (F − s − w a)², q = N(½, 0.1²)
    likelihood = -0.5 * square.sum(-1) - torch.tensor(2 * torch.pi).log()
    kl = 0.1**2 + 0.5**2 - 1 - 2 * math.log(0.1)  # KL(N(½, 0.1²) ‖ N(0, 1)) of two weights
    torch.testing.assert_close(found, likelihood - kl / 10, atol=0.06, rtol=0)


class Choice(nn.Module):
    """Three futures, whose logits depend on a code z; z has a guide, too."""

    particles = 8

    def __init__(self, spec: Any = None) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.tensor([1.0, -1.0, 0.5]))

    def forward(self, policy: Policy, state: Tensor, future: Tensor | None = None) -> Any:
        with pyro.plate("batch", len(state)):
            action = pyro.sample("action", policy(state))
            z = pyro.sample("z", dist.Normal(state[:, 0] + action[:, 0], 1.0))
            logits = self.weight * z.unsqueeze(-1)
            return pyro.sample("future", dist.Categorical(logits=logits), obs=future)

    def latent_guide(self, state: Tensor, action: Tensor, future: Tensor) -> None:
        with pyro.plate("batch", len(state)):
            pyro.sample("z", dist.Normal(state[:, 0] + action[:, 0] + future - 1.0, 1.0))


def test_probabilities_of_finite_futures_add_up_to_1_whatever_the_code():
    state, action, _ = batch(200)
    spec = Spec(SPEC.state_space, SPEC.action_space, Discrete(3))
    model = build_model(Choice, spec, policy, state[:1])
    said = model.future(policy, state, action)
    log_p = said.log_prob(said.enumerate_support())
    torch.testing.assert_close(log_p.exp().sum(0), torch.ones(200))
    z = (state[:, 0] + action[:, 0]) + torch.linspace(-5, 5, 2_001)[:, None]
    prior = dist.Normal(state[:, 0] + action[:, 0], 1.0).log_prob(z).softmax(0)
    exact = (prior.unsqueeze(-1) * (model.program.weight * z.unsqueeze(-1)).softmax(-1)).sum(0)
    torch.testing.assert_close(log_p.exp().mean(1), exact.mean(0), atol=0.02, rtol=0)
    _, lower, upper = model.latents.sandwich(policy, state.repeat(20, 1), action.repeat(20, 1))
    assert bool(lower.mean() < upper.mean())


@pytest.mark.parametrize("bits", [0, -1])
def test_kept_noise_is_finite_for_any_bits(bits: int, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(kept_noise, "_mixed", lambda x: torch.full_like(x, bits))
    found = kept_noise.normal(torch.zeros(3, dtype=torch.int64), torch.zeros(2, dtype=torch.int64))
    assert bool((found.abs() > 5).all())
    assert bool((found.abs() < 6).all())


@pytest.mark.parametrize("autoguide", [AutoMultivariateNormal, AutoLowRankMultivariateNormal])
def test_the_divergence_of_an_autoguide_of_several_sites_has_its_entropy(autoguide: Any):
    """Where q is the prior the evidence is the expected log-likelihood, on the average over draws."""
    state, action, future = batch(5)

    def near_prior(model: Any) -> Any:
        narrow = {"rank": 1, "init_scale": 1.0} if autoguide is AutoLowRankMultivariateNormal else {"init_scale": 1.0}
        return autoguide(model, **narrow)

    model = built(type("Regression", (LinearRegression,), {"autoguide": staticmethod(near_prior)}), state)
    action, posterior = 0.1 * action, model.latents.autoguide
    with torch.no_grad():
        posterior.loc.zero_()
        if hasattr(posterior, "cov_factor"):
            posterior.cov_factor.fill_(1e-3)
        model.latents.examples.fill_(1.0)
        found = [model.evidence(policy, state, action, future) for _ in range(100)]
        scale = posterior.get_posterior().covariance_matrix.diagonal()
    square = (future - state).square() + scale * action.square()
    expected = -0.5 * square.sum(-1) - torch.tensor(2 * torch.pi).log()
    q = dist.MultivariateNormal(torch.zeros(2), posterior.get_posterior().covariance_matrix.detach())
    kl = torch.distributions.kl_divergence(q, dist.MultivariateNormal(torch.zeros(2), torch.eye(2)))
    torch.testing.assert_close(torch.stack(found).mean(0), expected - kl, atol=0.4, rtol=0)  # entropy 2.8


class Layers(pyro.nn.PyroModule):
    """A Bayesian layer as a user of Pyro writes it, which knows one batch dimension."""

    autoguide = AutoNormal

    def __init__(self, spec: gio.Spec) -> None:
        super().__init__()
        self.layer = pyro.nn.PyroModule[nn.Linear](3, 2)
        self.layer.weight = pyro.nn.PyroSample(dist.Normal(0.0, 1.0).expand([2, 3]).to_event(2))
        self.layer.bias = pyro.nn.PyroSample(dist.Normal(0.0, 1.0).expand([2]).to_event(1))

    def forward(self, policy: Policy, state: Tensor, future: Tensor | None = None) -> Any:
        plate = pyro.plate("batch", len(state))
        with plate:
            action = pyro.sample("action", policy(state))
        mean = self.layer(torch.cat([state, action], -1))  # outside the plate, where the weights are one value for all
        with plate:
            return pyro.sample("future", dist.Normal(mean, 1.0).to_event(1), obs=future)


def test_a_program_that_knows_one_batch_dimension_runs_once_for_each_draw():
    state, action, future = batch(5)
    model = built(Layers, state)
    assert not model.latents.vectorised
    assert set(model.latents.sites.shared) == {"layer.weight", "layer.bias"}
    assert model.log_prob(policy, state, action, future).shape == (5,)
    assert {name.split(".")[0] for name, _ in model.named_parameters()} == {"latents"}


class GuideOfBoth(GaussianGuide):
    """q(a|s, F) q(z|s, a, F)."""

    def __init__(self, spec: gio.Spec) -> None:
        super().__init__(spec)
        self.code = nn.Linear(5, 2)

    def forward(self, policy: Policy, state: Tensor, future: Tensor) -> Any:
        with pyro.plate("batch", len(state)):
            action = pyro.sample("action", self.posterior(policy(state), state, future))
            mean, raw = self.code(torch.cat([state, action, future], -1)).chunk(2, -1)
            pyro.sample("z", dist.Normal(mean, raw.exp()).to_event(1))
        return action


def test_a_guide_of_actions_may_sample_the_latents_too_and_is_trained_by_the_evidence():
    state, action, future = batch(5)
    model = built(FactorAnalysis, state)
    guide = build_guide(GuideOfBoth, SPEC, model, policy, state[:1])
    assert model.latents.sources == {"guide": ("z",)}
    model.evidence(policy, state, action, future).sum().backward()
    assert bool((guide.program.code.weight.grad != 0).any())
    assert model.log_prob(policy, state, action, future).isfinite().all()


class BeforeAction(GuideOfBoth):
    def forward(self, policy: Policy, state: Tensor, future: Tensor) -> Any:
        with pyro.plate("batch", len(state)):
            pyro.sample("z", dist.Normal(torch.zeros(len(state), 1), 1.0).to_event(1))
            return pyro.sample("action", self.posterior(policy(state), state, future))


class Outside(FactorAnalysis):
    def forward(self, policy: Policy, state: Tensor, future: Tensor | None = None) -> Any:
        z = pyro.sample("z", dist.Normal(torch.zeros(len(state)), 1.0))
        with pyro.plate("batch", len(state)):
            action = pyro.sample("action", policy(state))
            mean = state + self.effect * action + self.loading * z.unsqueeze(-1)
            return pyro.sample("future", dist.Normal(mean, 1.0).to_event(1), obs=future)


class OutsideAsOneEvent(FactorAnalysis):
    def forward(self, policy: Policy, state: Tensor, future: Tensor | None = None) -> Any:
        z = pyro.sample("z", dist.Normal(torch.zeros(len(state)), 1.0).to_event(1))
        with pyro.plate("batch", len(state)):
            action = pyro.sample("action", policy(state))
            mean = state + self.effect * action + self.loading * z.unsqueeze(-1)
            return pyro.sample("future", dist.Normal(mean, 1.0).to_event(1), obs=future)


class Counts(FactorAnalysis):
    def forward(self, policy: Policy, state: Tensor, future: Tensor | None = None) -> Any:
        with pyro.plate("batch", len(state)):
            action = pyro.sample("action", policy(state))
            z = pyro.sample("z", dist.Poisson(torch.ones(len(state))))
            mean = state + self.effect * action + self.loading * z.unsqueeze(-1)
            return pyro.sample("future", dist.Normal(mean, 1.0).to_event(1), obs=future)


class Positive(GuidedFactorAnalysis):
    def latent_guide(self, state: Tensor, action: Tensor, future: Tensor) -> None:
        with pyro.plate("batch", len(state)):
            pyro.sample("z", dist.Gamma(torch.ones(len(state), 1), 1.0).to_event(1))


@pytest.mark.parametrize(
    ("model", "guide", "says"),
    [
        (FactorAnalysis, GaussianGuide, 'a guide of the latent site "z" of FactorAnalysis, but GaussianGuide'),
        (Regimes, GuideOfBoth, 'Expected Regimes to sample the site "z", as GuideOfBoth does'),
        ("GaussianModel", GuideOfBoth, 'Expected GaussianModel to sample the site "z", as GuideOfBoth does'),
        (FactorAnalysis, BeforeAction, 'Expected BeforeAction to sample "action" before the latent site "z"'),
        (Outside, GaussianGuide, 'the latent site "z" of Outside to be inside the batch plate'),
        (OutsideAsOneEvent, GaussianGuide, "to have one shape for all batches, as it is outside the batch plate"),
        (Counts, GaussianGuide, "or finite and inside the batch plate to be enumerated, but got a Poisson"),
        (Positive, GaussianGuide, 'the latent site "z" to be a function of normal noise, but got a'),
    ],
)
def test_a_pair_that_cannot_be_read_is_refused_in_one_sentence(model: Any, guide: Any, says: str):
    with pytest.raises(ProgramError) as error:
        gio.testing.check_guide(guide, model, SPEC)
    text = str(error.value)
    assert says in text
    assert len(text) <= 300
    assert text.endswith(".")
