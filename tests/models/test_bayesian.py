"""Epistemic uncertainty of models of real-valued futures, against Bayesian linear regression.

Cost: under a second.
"""

from math import exp, log
from typing import Any

import pyro.distributions as dist
import pytest
import torch
from torch import Tensor
from torch.distributions import Normal, kl_divergence

from gio_pyro.errors import InputError, ProgramError
from gio_pyro.models import BayesianModel, EnsembleModel, GaussianModel
from gio_pyro.programs import Model, build_model
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


def regression(deviation: float, noise: float, features: int = 0, weight: float = 0.0, **settings: Any) -> Model:
    """F = w·x + noise without hidden layers: q(w) is N(weight, deviation²) for the bias and every other weight."""
    where = Spec(vector(1), vector(1), vector(1), hidden=(), baseline=lambda state: torch.zeros_like(state))
    model = built(BayesianModel, where, **settings)
    program = model.program
    with torch.no_grad():
        for name, location in program._locations().items():
            location.fill_(weight)
            wanted = deviation if name == "bias0" or features else 1e-6
            given = getattr(program.posterior.scales, name)
            setattr(program.posterior.scales, name, torch.full_like(given, wanted))
        program.raw.fill_(log(exp(4 + 2 - log(exp(2 - log(noise)) - 1)) - 1) - 4)  # what bounded_scale makes `noise` of
    torch.testing.assert_close(program.scale(program.raw), torch.full((1,), noise))
    return model


def exact_gain(model: Model, x: Tensor, change: Tensor, noise: float) -> Tensor:
    """KL of the best factorised normal after one observation from the one before, for linear regression."""
    mean = torch.cat([v.flatten() for v in model.program._locations().values()]).detach()
    scale = torch.cat([model.program._scale(n).flatten() for n in model.program._locations()]).detach()
    gains = []
    for row, y in zip(x, change, strict=True):
        precision = torch.diag(scale**-2) + torch.outer(row, row) / noise**2
        new = mean + torch.linalg.solve(precision, row * (y - row @ mean) / noise**2)
        gains.append(kl_divergence(Normal(new, precision.diagonal().rsqrt()), Normal(mean, scale)).sum())
    return torch.stack(gains)


def observed(model: Model, size: int = 5) -> tuple[tuple[Tensor, Tensor, Tensor], Tensor]:
    """A batch, and the row of inputs, 1 for the bias, that linear regression sees of each."""
    state, action, future = batch(size, states=1)
    return (state, action, future), torch.cat([model.program.features(state, action), torch.ones(size, 1)], -1).detach()


def test_the_information_gain_of_linear_regression_is_the_exact_divergence_where_an_example_says_little():
    model = regression(0.03, 1.0, features=1, weight=0.4)
    data, x = observed(model)
    found = model.information_gain(*data)
    torch.testing.assert_close(found, exact_gain(model, x, data[2].flatten(), 1.0), rtol=0.02, atol=0)


def test_the_information_gain_is_vimes_second_order_step_by_hand():
    """q = N(0, 1), F = 2 with noise 1: gradients 2 and −1, metric 1 and 2, so ½ (2² + 1²/2) = 2.25 nats."""
    model = regression(1.0, 1.0, components=4_000)
    zero = torch.zeros(1, 1)
    found = float(model.information_gain(zero, zero, torch.full((1, 1), 2.0)))
    assert found == pytest.approx(2.25, rel=0.1)


def test_a_shorter_step_is_a_smaller_gain():
    data = batch(5, states=1)
    whole, tenth = (regression(0.1, 1.0, features=1, gain_step=step).information_gain(*data) for step in (1.0, 0.1))
    torch.testing.assert_close(tenth, whole / 100)


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
