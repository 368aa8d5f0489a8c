from math import log

import pytest
import torch

from gio_pyro.errors import InputError
from gio_pyro.tabular import bayes, fixed_posterior, fixed_prior, marginal, policy_iteration, posterior, uniform
from gio_pyro.tabular.iteration import intrinsic_reward

from .worlds import EYE, UNIFORM, bsc, random_mdp, random_rows, two_states


def test_bayes_pays_the_mutual_information():
    mdp = two_states(bsc(0.1))
    reward = intrinsic_reward(UNIFORM, bayes(mdp, UNIFORM, mdp.transition))
    assert reward.tolist() == pytest.approx([0.368064] * 2, abs=1e-6)


def test_bayes_is_the_posterior_averaged_over_outcomes():
    mdp, policy = random_mdp(0), random_rows(1, 4, 3)
    averaged = fixed_posterior(posterior(mdp, policy))(mdp, policy, mdp.transition)
    torch.testing.assert_close(bayes(mdp, policy, mdp.transition), averaged)


def test_uniform_pays_the_entropy_less_log_of_the_actions():
    mdp, policy = random_mdp(0), random_rows(1, 4, 3)
    entropy = -(policy * policy.log()).sum(-1)
    reward = intrinsic_reward(policy, uniform(mdp, policy, mdp.transition))
    torch.testing.assert_close(reward, entropy - log(3))


def test_maximum_entropy_control_is_the_softmax_of_q():
    solution = policy_iteration(random_mdp(0), 0.5, guide=uniform)
    torch.testing.assert_close(solution.policy, torch.softmax(solution.q / 0.5, -1), atol=1e-8, rtol=0)


def test_the_marginal_is_averaged_over_visits():
    mdp = two_states(EYE, discount=0.0)
    log_prior = marginal(mdp, EYE, mdp.transition)
    assert log_prior.exp().tolist() == [[0.5, 0.5], [0.5, 0.5]]
    assert intrinsic_reward(EYE, log_prior).tolist() == pytest.approx([-log(2)] * 2)


def test_a_prior_charges_its_kl():
    mdp = two_states(EYE)
    reward = intrinsic_reward(UNIFORM, fixed_prior([0.9, 0.1])(mdp, UNIFORM, mdp.transition))
    assert reward.tolist() == pytest.approx([0.5 * log(0.9 * 0.1 / 0.25)] * 2)


def test_a_prior_may_differ_by_state():
    mdp, prior = two_states(EYE), torch.tensor([[0.9, 0.1], [0.2, 0.8]], dtype=torch.float64)
    torch.testing.assert_close(fixed_prior(prior)(mdp, UNIFORM, mdp.transition).exp(), prior)


def test_a_guide_that_is_never_sure_pays_less_than_bayes():
    """q = (.8, .2) for the posterior (.9, .1): the slack is KL((.9, .1) ‖ (.8, .2))."""
    mdp = two_states(bsc(0.1))
    reward = intrinsic_reward(UNIFORM, fixed_posterior([bsc(0.2).tolist()] * 2)(mdp, UNIFORM, mdp.transition))
    slack = 0.9 * log(0.9 / 0.8) + 0.1 * log(0.1 / 0.2)
    assert reward.tolist() == pytest.approx([0.368064 - slack] * 2, abs=1e-6)


def test_an_action_that_is_never_taken_pays_nothing():
    never = torch.tensor([[1.0, 0.0]], dtype=torch.float64)
    assert intrinsic_reward(never, torch.tensor([[0.0, -torch.inf]], dtype=torch.float64)).tolist() == [0.0]


def test_a_prior_is_a_distribution():
    with pytest.raises(InputError, match=r"^Expected the rows of the prior to sum to 1, but row \(\) sums to 0\.9; "):
        fixed_prior([0.5, 0.4])


def test_a_prior_has_an_entry_for_each_action():
    with pytest.raises(InputError, match=r"^Expected a prior of shape \(2, 2\), but got \(3,\)\.$"):
        policy_iteration(two_states(EYE), 1.0, guide=fixed_prior([0.2, 0.3, 0.5]))


def test_a_prior_has_a_row_for_each_state():
    with pytest.raises(InputError, match=r"^Expected .*prior.*, but got"):
        policy_iteration(two_states(EYE), 1.0, guide=fixed_prior([[0.5, 0.5]] * 3))


def test_a_guide_is_a_distribution():
    with pytest.raises(InputError, match=r"^Expected the guide to be non-negative, but"):
        fixed_posterior([[[1.5, -0.5]]])


def test_a_guide_has_a_row_for_each_state_and_future():
    with pytest.raises(InputError, match=r"^Expected .*guide.*, but got"):
        policy_iteration(two_states(EYE), 1.0, guide=fixed_posterior([[[0.5, 0.5]] * 3] * 2))
