"""Mixtures of normals: density and gradients of draws, against closed forms."""

from math import log

import pytest
import torch
from torch import Tensor
from torch.distributions import Categorical, Independent, MixtureSameFamily, Normal

from gio_pyro.distributions.mixtures import MixtureOfNormals

LOC = torch.tensor([[[0.0, 1.0], [2.0, -1.0], [0.5, 0.5]], [[1.0, 1.0], [0.0, 0.0], [-2.0, 3.0]]], dtype=torch.float64)
SCALE = torch.tensor([[[1.0, 0.5], [0.7, 2.0], [0.3, 1.0]], [[0.2, 1.0], [1.0, 1.0], [0.5, 0.4]]], dtype=torch.float64)
LOGITS = torch.tensor([[0.3, -0.2, 1.0], [0.0, 2.0, 0.5]], dtype=torch.float64)


def test_the_density_is_torchs_own():
    value = torch.randn(5, 2, 2, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    theirs = MixtureSameFamily(Categorical(logits=LOGITS), Independent(Normal(LOC, SCALE), 1))
    torch.testing.assert_close(MixtureOfNormals(LOC, SCALE, LOGITS).log_prob(value), theirs.log_prob(value))


def test_moments_are_those_of_its_draws():
    mixture = MixtureOfNormals(LOC, SCALE, LOGITS)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        draws = mixture.sample(torch.Size([200_000]))
    torch.testing.assert_close(draws.mean(0), mixture.mean, atol=0.02, rtol=0)
    torch.testing.assert_close(draws.var(0), mixture.variance, atol=0.05, rtol=0)


def expected_product(loc: Tensor, scale: Tensor, logits: Tensor) -> Tensor:
    """E[z_1 z_2 + z_1² z_2] in closed form: numbers are independent given the component."""
    first, second = loc.unbind(-1)
    square = first.square() + scale[..., 0].square()
    return (torch.softmax(logits, -1) * (first * second + square * second)).sum(-1)


@pytest.mark.parametrize("fixed", [True, False], ids=["fixed weights", "learned weights"])
def test_draws_pass_on_the_gradient_of_an_expectation(fixed: bool):
    leaves = [LOC.clone().requires_grad_(), SCALE.clone().requires_grad_(), LOGITS.clone().requires_grad_(not fixed)]
    wanted = leaves[:2] if fixed else leaves
    exact = torch.autograd.grad(expected_product(*leaves).sum(), wanted)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        z = MixtureOfNormals(*leaves).rsample(torch.Size([400_000]))
    value = z[..., 0] * z[..., 1] + z[..., 0].square() * z[..., 1]
    found = torch.autograd.grad(value.mean(0).sum(), wanted)
    for mine, truth in zip(found, exact, strict=True):
        torch.testing.assert_close(mine, truth, atol=0.06, rtol=0.02)


@pytest.mark.parametrize("size", [1, 25, 300])
def test_gradients_stay_finite_in_many_dimensions(size: int):
    with torch.random.fork_rng():
        torch.manual_seed(0)
        loc = torch.randn(7, 5, size, requires_grad=True)
        scale = torch.full((7, 5, size), 0.02, requires_grad=True)
        logits = torch.zeros(7, 5, requires_grad=True)
        drawn = MixtureOfNormals(loc, scale, logits).rsample()
    found = torch.autograd.grad(drawn.square().sum(), (loc, scale, logits))
    assert all(bool(torch.isfinite(g).all()) and bool((g != 0).any()) for g in found)


def test_one_component_is_a_normal():
    loc, scale = torch.tensor([[[0.5]]]), torch.tensor([[[2.0]]])
    mixture = MixtureOfNormals(loc, scale, torch.zeros(1, 1))
    value = torch.tensor([[1.5]])
    torch.testing.assert_close(mixture.log_prob(value), Normal(0.5, 2.0).log_prob(torch.tensor([1.5])))
    twice = MixtureOfNormals(loc.expand(1, 2, 1), scale.expand(1, 2, 1), torch.tensor([[log(0.3), log(0.7)]]))
    torch.testing.assert_close(twice.log_prob(value), mixture.log_prob(value))
    assert mixture.expand([3]).sample().shape == (3, 1)
