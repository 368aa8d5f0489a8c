"""Epistemic uncertainty of models of real-valued futures, against Bayesian linear regression.

Cost: under a second.
"""

from math import exp, log
from typing import Any

import pyro.distributions as dist
import pytest
import torch
from torch import Tensor
from torch.distributions import MultivariateNormal, kl_divergence

from gio_pyro.errors import CheckpointError, InputError, ProgramError
from gio_pyro.models import BayesianModel, EnsembleModel, GaussianModel
from gio_pyro.programs import Model, build_model
from gio_pyro.programs.posterior_draws import normal_gain
from gio_pyro.types import Spec
from tests.spaces import KINDS, spec, vector


def standard(state: Tensor) -> Any:
    return dist.Normal(torch.zeros(len(state), 1), 1.0).to_event(1)


def built(kind: Any, where: Spec | None = None, **settings: Any) -> Model:
    where = where or spec(vector(2), vector(1))
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return build_model(type("Kind", (kind,), settings), where, standard, torch.zeros(1, *where.state_space.shape))


def batch(size: int = 6, states: int = 2, seed: int = 1) -> tuple[Tensor, Tensor, Tensor]:
    generator = torch.Generator().manual_seed(seed)
    return tuple(torch.randn(size, n, generator=generator) for n in (states, 1, states))


@pytest.mark.parametrize("kind", [EnsembleModel, BayesianModel])
def test_the_even_mixture_of_beliefs_is_what_the_model_predicts(kind: Any):
    model = built(kind)
    state, action, future = batch()
    model.observe(state, action, future)
    each = model.beliefs(state, action)
    assert each.batch_shape == (model.program.components, 6)
    mixed = torch.logsumexp(each.log_prob(future), 0) - log(len(each.log_prob(future)))
    torch.testing.assert_close(mixed, model.log_prob(standard, state, action, future))


@pytest.mark.parametrize("kind", [EnsembleModel, BayesianModel])
def test_beliefs_have_the_shape_of_images(kind: Any):
    where = KINDS["image, continuous"]
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = build_model(
            kind,
            where,
            lambda s: dist.Normal(torch.zeros(len(s), 2), 1.0).to_event(1),
            torch.zeros(1, 5, 5, 1, dtype=torch.uint8),
        )
    found = model.beliefs(torch.zeros(3, 5, 5, 1, dtype=torch.uint8), torch.zeros(3, 2))
    assert (found.batch_shape[1], found.event_shape) == (3, (5, 5, 1))


def regression(deviation: float, noise: float, weight: float = 0.0, kind: Any = BayesianModel) -> Model:
    """F = w·x + noise without hidden layers: q(w) is N(weight, deviation²) for the bias and every weight."""
    where = Spec(vector(1), vector(1), vector(1), hidden=(), baseline=lambda state: torch.zeros_like(state))
    model = built(kind, where)
    posterior = model.latents.autoguide
    with torch.no_grad():
        for name in ("weight0", "bias0"):
            getattr(posterior.locs, name).fill_(weight)
            setattr(posterior.scales, name, torch.full_like(getattr(posterior.scales, name), deviation))
        model.program.raw.fill_(log(exp(4 + 2 - log(exp(2 - log(noise)) - 1)) - 1) - 4)  # bounded_scale gives `noise`
    torch.testing.assert_close(model.program.scale(model.program.raw), torch.full((1,), noise))
    return model


def exact_gain(model: Model, x: Tensor, future: Tensor, noise: float) -> Tensor:
    """KL of the posterior after one observation from q(w), for linear regression of one number, `[B]` nats."""
    posterior = model.latents.autoguide
    mean, scale = (
        torch.cat([getattr(part, name).flatten() for name in ("weight0", "bias0")]).detach().double()
        for part in (posterior.locs, posterior.scales)
    )
    gains = []
    for row, y in zip(x.double(), future.double(), strict=True):
        precision = torch.diag(scale**-2) + torch.outer(row, row) / noise**2
        new = mean + torch.linalg.solve(precision, row * (y - row @ mean) / noise**2)
        old = MultivariateNormal(mean, torch.diag(scale.square()))
        gains.append(kl_divergence(MultivariateNormal(new, precision_matrix=precision), old))
    return torch.stack(gains).float()


def observed(model: Model, size: int = 5) -> tuple[tuple[Tensor, Tensor, Tensor], Tensor]:
    """A batch, and the row of inputs, 1 for the bias, that linear regression sees of each."""
    state, action, future = batch(size, states=1)
    return (state, action, future), torch.cat([model.program.features(state, action), torch.ones(size, 1)], -1).detach()


@pytest.mark.parametrize("deviation", [0.02, 0.3, 1.0, 5.0])
def test_the_information_gain_of_linear_regression_is_that_of_the_conjugate_posterior(deviation: float):
    model = regression(deviation, 1.0, weight=0.4)
    (state, action, future), x = observed(model, 7)
    future = 3 * future
    found = model.information_gain(state, action, future)
    torch.testing.assert_close(found, exact_gain(model, x, future.flatten(), 1.0), rtol=2e-3, atol=1e-7)


def test_the_information_gain_by_hand():
    """w ~ N(0, 1) for the bias alone, F = 2 with noise 1: ½ [log 2 − ½ + 2² / 4] = 0.5966 nats."""
    mean = torch.tensor([[[1.0]], [[-1.0]]])  # two draws with variance 1
    found = normal_gain(mean, torch.ones_like(mean), torch.full((1, 1), 2.0))
    assert float(found) == pytest.approx(0.596574, abs=1e-5)


def test_the_information_gain_of_many_numbers_is_that_of_the_full_covariance():
    """Fewer numbers than draws, or more: the same closed form, from n × n or K × K matrices."""
    generator = torch.Generator().manual_seed(0)
    mean, scale = torch.randn(6, 4, 9, generator=generator), torch.rand(6, 4, 9, generator=generator) + 0.5
    future = torch.randn(4, 9, generator=generator)
    f, noise = mean.double() - mean.double().mean(0), scale.double().square().mean(0)
    s = torch.einsum("kbi,kbj->bij", f, f) / 6
    r = (future - mean.mean(0)).double()
    inverse = torch.linalg.inv(s + torch.diag_embed(noise))
    step = torch.einsum("bij,bj->bi", inverse, r)
    exact = torch.linalg.slogdet(torch.eye(9).double() + s / noise[..., None])[1]
    exact = exact - torch.einsum("bij,bji->b", inverse, s) + torch.einsum("bi,bij,bj->b", step, s, step)
    torch.testing.assert_close(normal_gain(mean, scale, future).double(), 0.5 * exact, rtol=1e-4, atol=1e-4)
    repeated = (x.repeat(3, 1, 1) for x in (mean, scale))  # 18 draws with the same moments
    torch.testing.assert_close(normal_gain(*repeated, future).double(), 0.5 * exact, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("deviation", [0.02, 1.0])
def test_its_mean_over_the_models_futures_is_the_mutual_information(deviation: float):
    """½ log(1 + S / R), S = xᵀx deviation²: the expectation of r² is S + R, by quadrature at r = ±√(S + R)."""
    model = regression(deviation, 1.0)
    (state, action, _), x = observed(model)
    variance = deviation**2 * x.square().sum(-1)
    root = (1 + variance).sqrt().unsqueeze(-1)
    found = torch.stack([model.information_gain(state, action, sign * root) for sign in (1, -1)]).mean(0)
    torch.testing.assert_close(found, 0.5 * variance.log1p(), rtol=2e-3, atol=1e-7)


def test_an_example_gains_the_same_alone_and_in_a_batch():
    model, data = built(BayesianModel), batch(70)
    whole = model.information_gain(*data)
    torch.testing.assert_close(whole[-1:], model.information_gain(*(x[-1:] for x in data)))
    assert not whole.requires_grad
    assert bool((whole > 0).all())


def test_the_information_gain_changes_nothing_and_draws_nothing():
    model, data = built(BayesianModel), batch()
    before, stream = {k: v.clone() for k, v in model.state_dict().items()}, torch.get_rng_state()
    torch.testing.assert_close(model.information_gain(*data), model.information_gain(*data))
    assert all(torch.equal(before[k], v) for k, v in model.state_dict().items())
    assert torch.equal(stream, torch.get_rng_state())


@pytest.mark.parametrize(("hook", "count"), [("beliefs", 2), ("information_gain", 3)])
def test_a_model_without_a_posterior_is_refused(hook: str, count: int):
    model = build_model(GaussianModel, spec(vector(2), vector(1)), standard, torch.zeros(1, 2))
    with pytest.raises(
        InputError, match=rf"^Expected a model that implements {hook}\(.*\), but GaussianModel does not; .*\.$"
    ):
        getattr(model, hook)(*batch()[:count])


def beliefs(self: Any, state: Tensor, action: Tensor) -> Any:
    return self.outcome(state, action)


def information_gain(self: Any, state: Tensor, action: Tensor, future: Tensor) -> Tensor:
    return self.outcome(state, action).log_prob(future).sum()


@pytest.mark.parametrize("hook", [beliefs, information_gain])
def test_what_mixes_examples_is_told_in_a_sentence_when_it_is_built(hook: Any):
    shapeless = type("Shapeless", (GaussianModel,), {hook.__name__: hook})
    with pytest.raises(ProgramError, match=rf"^Expected {hook.__name__} of Shapeless to .*\.$"):
        build_model(shapeless, spec(vector(2), vector(1)), standard, torch.zeros(1, 2))


def test_a_checkpoint_of_an_earlier_version_is_refused_in_a_sentence():
    model = built(BayesianModel)
    old = {"program.raw": torch.zeros(2), "program.seen": torch.ones(())}
    with pytest.raises(CheckpointError, match=r"^Expected a BayesianModel whose weights .*, but got .*; .*\.$"):
        model.load_state_dict(old)
