import gymnasium as gym
import pytest
import torch

from gio_pyro.errors import InputError
from gio_pyro.tabular import TabularMDP, discounted_visits, episode_visits, expected_return, optimal_return
from gio_pyro.tabular.episodes import solve_chain
from gio_pyro.tabular.futures import state_chain

from .worlds import UNIFORM, corridor, random_mdp, random_rows

ON = torch.tensor([[0.0, 1.0]] * 4, dtype=torch.float64)
BACK = torch.tensor([[1.0, 0.0]] * 4, dtype=torch.float64)


def test_a_walk_down_the_corridor_costs_three():
    assert expected_return(corridor(), ON, None).item() == pytest.approx(-3.0)
    assert expected_return(corridor(), ON, 2).item() == -2.0
    assert expected_return(corridor(), ON, 100).item() == -3.0
    assert optimal_return(corridor(), 100).item() == -3.0
    assert optimal_return(corridor(), 2).item() == -2.0


def test_a_random_walk_down_the_corridor_takes_twelve_steps():
    """With bumps at 0, the expected time to climb n steps of a fair walk is n (n + 1)."""
    policy = torch.full((4, 2), 0.5, dtype=torch.float64)
    assert expected_return(corridor(), policy, None).item() == pytest.approx(-12.0)


def test_never_arriving_is_paid_until_the_limit():
    assert expected_return(corridor(), BACK, 7).item() == -7.0


def test_discounted_visits_by_hand():
    """1, γ, γ² at γ = 1/2, over their sum; the end takes no decisions."""
    visits = discounted_visits(corridor(discount=0.5), ON)
    assert visits.tolist() == pytest.approx([4 / 7, 2 / 7, 1 / 7, 0.0])


def test_discounted_visits_are_the_sum_over_time():
    mdp, policy = random_mdp(0), random_rows(1, 4, 3)
    state, total = mdp.start, torch.zeros(4, dtype=torch.float64)
    for t in range(400):
        total = total + 0.9**t * state
        state = state @ state_chain(mdp, policy)
    torch.testing.assert_close(discounted_visits(mdp, policy), total / total.sum())


def test_at_discount_0_visits_are_the_start():
    mdp = TabularMDP(UNIFORM.expand(2, 2, 2), UNIFORM, discount=0.0, start=[0.8, 0.2])
    assert discounted_visits(mdp, UNIFORM).tolist() == pytest.approx([0.8, 0.2])


def test_episode_visits_by_hand():
    assert episode_visits(corridor(), ON, 100).tolist() == pytest.approx([1 / 3, 1 / 3, 1 / 3, 0.0])
    assert episode_visits(corridor(), ON, 2).tolist() == [0.5, 0.5, 0.0, 0.0]
    assert episode_visits(corridor(), BACK, 5).tolist() == [1.0, 0.0, 0.0, 0.0]


def test_without_a_limit_visits_and_the_best_return_settle():
    assert episode_visits(corridor(), ON, None).tolist() == pytest.approx([1 / 3, 1 / 3, 1 / 3, 0.0])
    assert optimal_return(corridor(), None).item() == -3.0


def test_the_best_of_cliff_walking_is_minus_13():
    mdp = TabularMDP.from_env(gym.make("CliffWalking-v1"))
    assert [optimal_return(mdp, n).item() for n in (100, None)] == [-13.0, -13.0]


def test_the_best_return_within_a_limit_watches_the_clock():
    """FrozenLake, not slippery: the goal is six steps away."""
    mdp = TabularMDP.from_env(gym.make("FrozenLake-v1", is_slippery=False))
    assert [optimal_return(mdp, n).item() for n in (5, 6)] == [0.0, 1.0]


def test_no_policy_earns_more_than_the_best():
    mdp = random_mdp(0)
    for seed in range(20):
        assert expected_return(mdp, random_rows(seed, 4, 3), 12) <= optimal_return(mdp, 12) + 1e-12


def test_batches_agree_with_their_worlds():
    mdp, policy = random_mdp(0, batch=3), random_rows(1, 3, 4, 3)
    for function in (discounted_visits, lambda m, p: episode_visits(m, p, 5), lambda m, p: expected_return(m, p, 5)):
        together = function(mdp, policy)
        for i in range(3):
            one = TabularMDP(mdp.transition[i], mdp.reward[i], discount=0.9)
            torch.testing.assert_close(together[i], function(one, policy[i]))


def test_starting_at_the_end_earns_nothing_and_has_no_visits():
    over = TabularMDP(UNIFORM.expand(2, 2, 2), UNIFORM, discount=0.9, terminal=[True, True])
    assert expected_return(over, UNIFORM, None).item() == 0.0
    with pytest.raises(InputError, match="at least one decision"):
        discounted_visits(over, UNIFORM)


def test_a_best_return_that_keeps_growing_is_refused():
    mdp = TabularMDP([[[1.0]]], [[1.0]], discount=0.9)
    with pytest.raises(InputError, match=r"^Expected returns that settle without a step limit, but .+ give steps\.$"):
        optimal_return(mdp, None)


def test_a_policy_that_turns_back_never_terminates():
    with pytest.raises(InputError, match=r"^Expected the visits without a step limit to be finite, but .+ a limit\.$"):
        episode_visits(corridor(), BACK, None)
    with pytest.raises(InputError, match=r"^Expected the return without a step limit to be finite, but .+ a limit\.$"):
        expected_return(corridor(), BACK, None)


@pytest.mark.parametrize("seed", range(5))
def test_a_policy_that_wanders_for_ever_never_terminates(seed: int):
    """Rounding makes the singular system solvable, with values around 1e16."""
    transition = torch.zeros(4, 2, 4, dtype=torch.float64)
    transition[:3, 0, :3] = random_rows(seed, 3, 3)
    transition[3, 0, 3] = transition[:, 1, 3] = 1.0
    end = [False, False, False, True]
    mdp = TabularMDP(transition, -torch.ones(4, 2), discount=1.0, terminal=end, start=[1.0, 0.0, 0.0, 0.0])
    with pytest.raises(InputError, match="may never terminate"):
        expected_return(mdp, BACK, None)


def test_a_singular_chain_is_refused_by_name():
    with pytest.raises(InputError, match=r"^Expected the answer to be finite"):
        solve_chain(torch.eye(2, dtype=torch.float64), torch.ones(2, dtype=torch.float64), "the answer")
