"""MIRL, exactly: the cheapest prior is the marginal, and its cost is I(S; A)."""

from math import log

import pytest
import torch
from torch import Tensor

from gio_pyro.errors import InputError
from gio_pyro.tabular import (
    TabularMDP,
    action_information,
    action_marginal,
    discounted_visits,
    marginal,
    marginal_over,
    policy_iteration,
    uniform,
)

from .worlds import random_mdp, random_rows

START = torch.tensor([0.8, 0.2], dtype=torch.float64)
EYE = torch.eye(2, dtype=torch.float64)


def named(discount: float = 0.0) -> TabularMDP:
    """Two states drawn as (.8, .2) whatever is done; naming the state pays 1."""
    return TabularMDP(START.expand(2, 2, 2), EYE, discount=discount, start=START)


@pytest.mark.parametrize("discount", [0.0, 0.5, 0.9])
@pytest.mark.parametrize(
    ("temperature", "earned", "information", "first"),
    [(0.5, 0.880797, 0.135069, 0.893911), (0.25, None, 0.410308, None), (1.0, 0.8, 0.0, 1.0)],
)
def test_the_oracles(
    temperature: float, earned: float | None, information: float, first: float | None, discount: float
):
    """States that nobody steers: the discount does not matter to policy, prior and information."""
    mdp = named(discount)
    pi = policy_iteration(mdp, temperature, guide=marginal, tolerance=1e-12).policy
    assert float(action_information(mdp, pi)) == pytest.approx(information, abs=1e-6)
    if earned is not None:
        assert float(START @ pi.diagonal()) == pytest.approx(earned, abs=1e-6)
    if first is not None:
        assert float(action_marginal(mdp, pi)[0]) == pytest.approx(first, abs=1e-6)


@pytest.mark.parametrize(("discount", "value"), [(0.0, 0.620115), (0.9, 6.201145)])
def test_the_bandit_with_a_uniform_prior(discount: float, value: float):
    mdp = TabularMDP([[[1.0], [1.0]]], [[1.0, 0.0]], discount=discount)
    solution = policy_iteration(mdp, 1.0, guide=uniform)
    assert float(solution.value[0]) == pytest.approx(value, abs=1e-6)
    assert float(solution.policy[0, 0]) == pytest.approx(0.731059, abs=1e-6)


@pytest.mark.parametrize("seed", range(5))
def test_at_the_fixed_point_the_prior_is_the_marginal_and_the_value_is_the_soft_maximum(seed: int):
    """π ∝ π_0 exp(Q/α) and V = α log Σ_a π_0 exp(Q/α), π_0 the marginal of π over discounted visits."""
    alpha, mdp = 0.3, random_mdp(seed)
    found = policy_iteration(mdp, alpha, guide=marginal, tolerance=1e-11)
    score = action_marginal(mdp, found.policy).log() + found.q / alpha
    torch.testing.assert_close(found.policy, torch.softmax(score, -1), atol=1e-8, rtol=0)
    torch.testing.assert_close(found.value, alpha * torch.logsumexp(score, -1), atol=1e-8, rtol=0)


@pytest.mark.parametrize("seed", range(5))
def test_every_round_raises_the_value_averaged_over_starts(seed: int):
    mdp = random_mdp(seed)
    history = (policy_iteration(mdp, 0.3, guide=marginal).history * mdp.start).sum(-1)
    assert bool((history.diff(dim=0) >= -1e-10).all())


def test_the_information_is_the_mean_divergence_from_the_marginal_and_no_prior_costs_less():
    mdp, pi = random_mdp(0), random_rows(1, 4, 3)
    visits, prior = discounted_visits(mdp, pi), action_marginal(mdp, pi)
    torch.testing.assert_close(prior, visits @ pi)

    def cost(p: Tensor) -> float:
        return float((visits[:, None] * pi * (pi / p).log()).sum())

    assert float(action_information(mdp, pi)) == pytest.approx(cost(prior))
    for seed in range(20):
        assert cost(random_rows(seed, 3)) >= cost(prior)


@pytest.mark.parametrize(("pi", "nats"), [(EYE, log(2)), (torch.full((2, 2), 0.5), 0.0), (EYE[[0, 0]], 0.0)])
def test_the_information_by_hand(pi: Tensor, nats: float):
    even = torch.tensor([0.5, 0.5])
    assert float(action_information(named(), pi, visits=even)) == pytest.approx(nats)


def test_other_visits_give_another_prior():
    mdp, pi = named(), EYE
    assert action_marginal(mdp, pi).tolist() == pytest.approx([0.8, 0.2])
    assert action_marginal(mdp, pi, visits=[0.5, 0.5]).tolist() == pytest.approx([0.5, 0.5])
    assert marginal_over([0.5, 0.5])(mdp, pi, mdp.transition).exp().tolist() == [[0.5, 0.5]] * 2


def test_with_its_own_visits_it_is_the_same_method():
    mdp = random_mdp(3)
    found = policy_iteration(mdp, 0.3, guide=marginal)
    again = policy_iteration(mdp, 0.3, guide=marginal_over(discounted_visits(mdp, found.policy)))
    torch.testing.assert_close(again.policy, found.policy, atol=1e-5, rtol=0)


def test_visits_are_a_distribution_over_the_states():
    with pytest.raises(InputError, match=r"^Expected the rows of the visits to sum to 1"):
        marginal_over([0.5, 0.4])
    with pytest.raises(InputError, match=r"^Expected visits of shape \(2,\), but got \(3,\)\.$"):
        policy_iteration(named(), 1.0, guide=marginal_over([0.2, 0.3, 0.5]))


@pytest.mark.parametrize("guide", [marginal, marginal_over([1.0, 0.0])])
def test_an_action_that_no_visited_state_takes_keeps_a_finite_prior(guide):
    """The second state is never visited, and its only action is lost to the marginal."""
    stay = torch.tensor([1.0, 0.0], dtype=torch.float64).expand(2, 2, 2)
    mdp = TabularMDP(stay, EYE, discount=0.5, start=[1.0, 0.0])
    first = torch.tensor([[1.0, 0.0], [0.5, 0.5]], dtype=torch.float64)
    assert bool(torch.isfinite(guide(mdp, first, mdp.transition)).all())
    found = policy_iteration(mdp, 0.5, first, guide=guide)
    assert bool(torch.isfinite(found.value).all())
    assert bool(torch.isfinite(action_information(mdp, found.policy)).all())
