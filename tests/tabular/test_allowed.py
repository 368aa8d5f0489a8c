"""Tabular methods with action masks: the same results as without the forbidden actions."""

import math
from types import SimpleNamespace

import gymnasium as gym
import pytest
import torch

from gio_pyro import tabular
from gio_pyro.errors import InputError
from tests.tabular.worlds import random_rows

ALLOWED = torch.tensor([[True, True, False], [True, False, True], [False, True, True]])
"""Two of three actions in each of three states."""


def masked(*, kind: str = "dense", discount: float = 0.9) -> tuple[tabular.TabularMDP, tabular.TabularMDP]:
    """A world of three actions of which each state allows two, and the same world of two actions."""
    p = random_rows(3, 3, 3, 3, kind=kind)
    r = torch.randn(3, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    r[~ALLOWED] = 100.0  # what is not allowed would be the best
    few = tabular.TabularMDP(p[ALLOWED].view(3, 2, 3), r[ALLOWED].view(3, 2), discount=discount)
    return tabular.TabularMDP(p, r, discount=discount, allowed=ALLOWED), few


def shown(table: torch.Tensor) -> torch.Tensor:
    """The numbers of the allowed actions, `[3, 2]`."""
    return table[ALLOWED].view(3, 2)


@pytest.mark.parametrize(
    "guide", [tabular.bayes, tabular.uniform, tabular.marginal, tabular.fixed_prior([0.2, 0.3, 0.5])]
)
def test_policy_iteration_is_that_of_the_world_without_them(guide):
    whole, few = masked()
    if guide is tabular.marginal:  # numbered differently, the same actions have another marginal
        few = whole
        solved = tabular.policy_iteration(whole, 0.3, guide=guide)
        assert (solved.policy[~ALLOWED] == 0).all()
        return
    own = guide
    if guide not in (tabular.bayes, tabular.uniform):
        prior = torch.tensor([0.2, 0.3, 0.5], dtype=torch.float64).expand(3, 3)
        own = tabular.fixed_prior(shown(prior) / shown(prior).sum(-1, keepdim=True))
    a, b = tabular.policy_iteration(whole, 0.3, guide=guide), tabular.policy_iteration(few, 0.3, guide=own)
    assert (a.policy[~ALLOWED] == 0).all()
    for mine, other in ((shown(a.policy), b.policy), (a.value, b.value), (a.mutual_information, b.mutual_information)):
        torch.testing.assert_close(mine, other)
    backed = tabular.intrinsic_bellman(whole, a.policy, a.q, temperature=0.3, guide=guide)
    torch.testing.assert_close(backed, a.q)


def test_a_given_guide_is_normalised_over_what_is_allowed():
    whole, few = masked()
    q = random_rows(7, 3, 3, 3)
    small = torch.stack([q[s][:, ALLOWED[s]] for s in range(3)])
    small = small / small.sum(-1, keepdim=True)
    a = tabular.policy_iteration(whole, 0.3, guide=tabular.fixed_posterior(q), max_iterations=50)
    b = tabular.policy_iteration(few, 0.3, guide=tabular.fixed_posterior(small), max_iterations=50)
    torch.testing.assert_close(shown(a.policy), b.policy)
    torch.testing.assert_close(a.intrinsic, b.intrinsic)


@pytest.mark.parametrize("kind", ["dense", "deterministic", "sparse"])
def test_everything_else_too(kind: str):
    whole, few = masked(kind=kind)
    torch.testing.assert_close(shown(whole.uniform), few.uniform)
    torch.testing.assert_close(tabular.empowerment(whole, 1), tabular.empowerment(few, 1))
    assert torch.equal(tabular.reachable(whole), tabular.reachable(few))
    torch.testing.assert_close(tabular.optimal_return(whole, 5), tabular.optimal_return(few, 5))
    pi = whole.uniform
    for future in (tabular.next_state, tabular.final_state(3), tabular.state_after(2), tabular.trajectory(2)):
        mine = tabular.mutual_information(future(whole, pi), pi)
        torch.testing.assert_close(mine, tabular.mutual_information(future(few, few.uniform), few.uniform))
    assert (tabular.posterior(whole, pi).transpose(-1, -2)[~ALLOWED] == 0).all()


def test_sequences_count_where_each_action_is_allowed_wherever_it_may_be_taken():
    p = torch.zeros(3, 2, 3, dtype=torch.float64)
    p[0, 0, 1] = p[0, 1, 2] = p[1, 0, 0] = p[1, 1, 1] = p[2, :, 2] = 1
    allowed = [[True, True], [True, False], [True, True]]
    world = tabular.TabularMDP(p, torch.zeros(3, 2), discount=0.9, allowed=allowed)
    assert torch.allclose(tabular.empowerment(world, 2).exp(), torch.tensor([2.0, 2.0, 1.0]).double())
    p[0, 0] = torch.tensor([0.0, 0.5, 0.5])  # may lead to state 1, which has no action 1
    world = tabular.TabularMDP(p, torch.zeros(3, 2), discount=0.9, allowed=allowed)
    after = torch.tensor([[0.5, 0.0, 0.5], [0.0, 0.0, 1.0]]).double()  # of 00 and of 10 or 11
    assert torch.allclose(tabular.empowerment(world, 2)[0], tabular.blahut_arimoto(after).capacity)


def test_a_capacity_without_some_inputs():
    channel, reward = random_rows(0, 5, 4, 6), torch.randn(5, 4, generator=torch.Generator().manual_seed(0)).double()
    allowed = [False, True, True, False]
    found = tabular.blahut_arimoto(channel, reward, allowed=allowed)
    few = tabular.blahut_arimoto(channel[:, 1:3], reward[:, 1:3])
    torch.testing.assert_close(found.capacity, few.capacity, atol=1e-8, rtol=0)
    assert (found.source[:, [0, 3]] == 0).all()
    torch.testing.assert_close(found.source.sum(-1), torch.ones(5).double())


@pytest.mark.parametrize(
    ("allowed", "words"),
    [([[True, False]] * 2, "shape"), ([[False] * 3] * 3, "allowed action"), ([[2.0] * 3] * 3, "True and False")],
)
def test_flags_that_are_none(allowed: object, words: str):
    with pytest.raises(InputError, match=words):
        tabular.TabularMDP(random_rows(0, 3, 3, 3), torch.zeros(3, 3), discount=0.9, allowed=allowed)


def test_a_policy_of_what_is_not_allowed_is_refused():
    with pytest.raises(InputError, match="action 2 in state 0"):
        tabular.expected_return(masked()[0], torch.full((3, 3), 1 / 3), 5)


def test_a_table_whose_states_offer_different_actions_is_read_as_it_is():
    step = [(1.0, 1, 0.0, False)]
    table = {0: {0: step}, 1: {0: step, 1: [(1.0, 0, 5.0, False)]}}
    world = tabular.TabularMDP.from_env(SimpleNamespace(unwrapped=SimpleNamespace(P=table)), discount=0.9)
    assert world.allowed.tolist() == [[True, False], [True, True]]
    assert float(tabular.optimal_return(world, 10)) == 25.0
    assert math.isclose(float(tabular.policy_iteration(world, 1e-3).value[1]), 5 / (1 - 0.81), rel_tol=1e-3)


def test_taxi_says_which_actions_do_something():
    env = gym.make("Taxi-v4")
    world = tabular.TabularMDP.from_env(env, discount=0.9)
    masks = torch.tensor([env.unwrapped.action_mask(s).tolist() for s in range(500)]).bool()
    live = ~world.terminal
    assert torch.equal(world.allowed[live], masks[live])
    assert world.allowed[world.terminal].all()
    whole = tabular.TabularMDP(world.transition, world.reward, discount=0.9, terminal=world.terminal, start=world.start)
    torch.testing.assert_close(tabular.optimal_return(world, 200), tabular.optimal_return(whole, 200))
