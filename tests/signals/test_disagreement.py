"""I(W; F|s, a) of members that disagree, against closed forms.

Cost: under a second.
"""

from math import log
from typing import Any

import pyro.distributions as dist
import pytest
import torch
from torch import Tensor, nn

from gio_pyro.errors import InputError
from gio_pyro.models import CategoricalModel, DirichletModel, EnsembleModel, GaussianModel
from gio_pyro.signals import Disagreement
from gio_pyro.types import Policy, Spec
from tests.spaces import vector

from .worlds import FEW, FINITE, fitted, rows, some

JENSEN_SHANNON = 0.368064
"""Of Bernoulli .9 and .1, nats."""


class Opinions(nn.Module):
    """Members whose predictions are given, whatever the state and action."""

    each: Any = None

    def __init__(self, spec: Spec) -> None:
        super().__init__()
        self.of = GaussianModel(spec) if spec.future_space.shape else CategoricalModel(spec)

    def forward(self, policy: Policy, state: Tensor, future: Tensor | None = None) -> Tensor:
        return self.of(policy, state, future)

    def beliefs(self, state: Tensor, action: Tensor) -> Any:
        return self.each(len(state))


def read(each: Any, spec: Spec, **settings: Any) -> Tensor:
    model = type("Kind", (Opinions,), {"each": staticmethod(each)})
    return Disagreement(fitted(model, spec), **settings)(some(spec, 5))


def coins(*chances: float) -> Any:
    table = torch.tensor([[1 - p, p, 0.0, 0.0] for p in chances])
    return lambda count: dist.Categorical(probs=table[:, None].expand(-1, count, -1))


def normals(means: list[float], scales: list[float]) -> Any:
    loc, scale = (torch.tensor(x)[:, None, None] for x in (means, scales))
    return lambda count: dist.Normal(loc.expand(-1, count, 2), scale.expand(-1, count, 2)).to_event(1)


def test_of_two_coins_it_is_the_jensen_shannon_divergence():
    torch.testing.assert_close(read(coins(0.9, 0.1), FINITE), torch.full((5,), JENSEN_SHANNON), atol=1e-6, rtol=0)


def test_of_coins_that_agree_it_is_zero_even_where_they_are_sure():
    torch.testing.assert_close(read(coins(1.0, 1.0, 1.0), FINITE), torch.zeros(5), atol=1e-6, rtol=0)


def test_of_sure_coins_that_disagree_it_is_one_bit():
    torch.testing.assert_close(read(coins(1.0, 0.0), FINITE), torch.full((5,), log(2)))


@pytest.mark.parametrize(("means", "expected"), [([1.0], 0.0), ([0.5] * 4, 0.0), ([-100.0, 0.0, 100.0], log(3))])
def test_of_normals_it_runs_from_nothing_to_the_logarithm_of_the_members(means: list[float], expected: float):
    found = read(normals(means, [0.7] * len(means)), FEW, kind="renyi")
    torch.testing.assert_close(found, torch.full((5,), expected), atol=1e-5, rtol=0)


def test_the_jensen_renyi_divergence_is_that_of_an_integral():
    """Both numbers of F alike: −log ∫ p² of a mixture of products, by a grid."""
    means, scales = [0.0, 1.0, -0.4], [1.0, 0.6, 0.8]
    grid = torch.linspace(-8, 8, 801, dtype=torch.double)
    one = torch.stack(
        [torch.distributions.Normal(m, s).log_prob(grid).exp() for m, s in zip(means, scales, strict=True)]
    )
    joint = one[:, :, None] * one[:, None, :]
    step = float(grid[1] - grid[0]) ** 2
    order_two = lambda density: -(density.square().sum((-2, -1)) * step).log()  # noqa: E731
    expected = float(order_two(joint.mean(0)) - order_two(joint).mean())
    found = read(normals(means, scales), FEW)
    torch.testing.assert_close(found, torch.full((5,), expected), atol=1e-4, rtol=0)


def test_the_variance_is_that_of_the_means():
    found = read(normals([0.0, 1.0, 5.0], [1.0, 9.0, 2.0]), FEW, kind="variance")
    torch.testing.assert_close(found, torch.full((5,), 7.0))
    torch.testing.assert_close(read(normals([3.0], [1.0]), FEW, kind="variance"), torch.zeros(5))


def test_units():
    assert Disagreement(fitted(EnsembleModel, FEW)).unit == "nats"
    assert Disagreement(fitted(EnsembleModel, FEW), kind="variance").unit == "squared units of F"
    assert Disagreement(fitted(DirichletModel, FINITE)).unit == "nats"


def test_many_draws_of_a_dirichlet_model_come_to_its_mutual_information():
    """The expected information gain, which is I(W; F), is a closed form."""
    source = fitted(type("Many", (DirichletModel,), {"draws": 4_000}), FINITE)
    data = some(FINITE, 100)
    source.model.observe(data.state, data.action, data.next_state)
    state, action = torch.zeros(4, dtype=torch.long), torch.zeros(4, dtype=torch.long)
    every = torch.arange(4)
    chance = source.model.log_prob(source.policy, state, action, every).exp()
    expected = (chance * source.model.information_gain(state, action, every)).sum()
    found = Disagreement(source)(rows(state, action, every))
    torch.testing.assert_close(found, expected.expand(4), rtol=0.05, atol=0)


def test_a_model_that_has_no_beliefs_is_told_in_a_sentence():
    with pytest.raises(
        InputError,
        match=r"^Expected a model that implements beliefs.*, but GaussianModel does not; .*\.$",
    ):
        Disagreement(fitted(GaussianModel, FEW))


def test_an_unknown_kind_is_told_in_a_sentence():
    for spec, model, kind in ((FEW, EnsembleModel, "jensen"), (FINITE, DirichletModel, "variance")):
        with pytest.raises(InputError, match=rf"^Expected kind .* but got '{kind}'; .*\.$"):
            Disagreement(fitted(model, spec), kind=kind)


def test_predictions_that_are_not_normal_are_told_in_a_sentence():
    def each(count: int) -> Any:
        return dist.Laplace(torch.zeros(3, count, 2), 1.0).to_event(1)

    with pytest.raises(InputError, match=r"^Expected beliefs .* normal .* but got .*Laplace.*\.$"):
        read(each, Spec(vector(2), FEW.action_space, vector(2), hidden=(8,)))
