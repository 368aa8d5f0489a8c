from math import e, log

import gymnasium as gym
import pytest
import torch
from torch import Tensor

from gio_pyro.errors import ConvergenceWarning, InputError
from gio_pyro.tabular import (
    TabularMDP,
    bayes,
    blahut_arimoto,
    expected_return,
    fixed_posterior,
    fixed_prior,
    intrinsic_bellman,
    klyubin_maze,
    marginal,
    mutual_information,
    next_state,
    next_state_and_reward,
    policy_iteration,
    posterior,
    state_after,
    uniform,
)
from gio_pyro.tabular.futures import Future
from gio_pyro.tabular.guides import Guide

from .worlds import EYE, UNIFORM, bsc, corridor, random_mdp, random_rows, two_states

NATS = {"abs": 1e-6}


def test_information_alone_is_worth_a_discounted_sum_of_capacities():
    solution = policy_iteration(two_states(bsc(0.1)), temperature=1.0)
    assert solution.value.tolist() == pytest.approx([3.680642] * 2, **NATS)
    assert solution.mutual_information.tolist() == pytest.approx([0.368064] * 2, **NATS)


@pytest.mark.parametrize(("discount", "value"), [(0.0, 1.313262), (0.9, 13.132617)])
def test_where_the_outcome_is_the_action_control_is_a_softmax(discount: float, value: float):
    solution = policy_iteration(two_states(EYE, (1.0, 0.0), discount), temperature=1.0)
    assert solution.value.tolist() == pytest.approx([value] * 2, **NATS)
    assert solution.policy[:, 0].tolist() == pytest.approx([e / (e + 1)] * 2, **NATS)


@pytest.mark.parametrize(("discount", "value"), [(0.0, 1.051846), (0.9, 10.518461)])
def test_reward_and_information_through_a_noisy_channel(discount: float, value: float):
    solution = policy_iteration(two_states(bsc(0.1), (1.0, 0.0), discount), temperature=1.0)
    assert solution.value.tolist() == pytest.approx([value] * 2, **NATS)


def test_the_policy_of_that_channel():
    solution = policy_iteration(two_states(bsc(0.1), (1.0, 0.0), 0.0), temperature=1.0, tolerance=1e-14)
    assert solution.policy[0].tolist() == pytest.approx([0.846625, 0.153375], **NATS)


def test_an_action_without_support_never_comes_back():
    mdp = two_states(bsc(0.1), (0.0, 1.0))
    stuck = policy_iteration(mdp, temperature=1.0, policy=[[1.0, 0.0]] * 2)
    assert stuck.value.tolist() == [0.0, 0.0]
    assert stuck.policy.tolist() == [[1.0, 0.0]] * 2


def test_full_support_reaches_the_optimum_however_little():
    start = [[1 - 1e-9, 1e-9]] * 2
    solution = policy_iteration(two_states(bsc(0.1), (0.0, 1.0)), temperature=1.0, policy=start)
    assert solution.value.tolist() == pytest.approx([10.518461] * 2, **NATS)


@pytest.mark.parametrize("guide", [fixed_prior([0.5, 0.5]), uniform], ids=["prior", "uniform"])
@pytest.mark.parametrize(("discount", "value"), [(0.0, 0.620115), (0.9, 6.201145)])
def test_a_bandit_with_a_uniform_prior(guide: Guide, discount: float, value: float):
    mdp = TabularMDP(torch.ones(1, 2, 1), [[1.0, 0.0]], discount=discount)
    solution = policy_iteration(mdp, temperature=1.0, guide=guide)
    assert solution.value.item() == pytest.approx(value, **NATS)
    assert solution.policy[0, 0].item() == pytest.approx(0.731059, **NATS)


def mirl(temperature: float) -> tuple[float, float, float]:
    """Expected reward, I(S; A) and prior(0) of two states, visited (.8, .2), each of which wants its own action."""
    visits = torch.tensor([0.8, 0.2], dtype=torch.float64)
    mdp = TabularMDP(EYE[:, None, :].expand(2, 2, 2), EYE, discount=0.0, start=visits)
    policy = policy_iteration(mdp, temperature, guide=marginal).policy
    reward = (visits[:, None] * policy * EYE).sum()
    return reward.item(), mutual_information(policy, visits).item(), (visits @ policy)[0].item()


def test_mutual_information_regularised_control():
    assert mirl(0.5) == pytest.approx((0.880797, 0.135069, 0.893911), **NATS)
    assert mirl(0.25)[1] == pytest.approx(0.410308, **NATS)


def test_dear_information_about_the_state_is_not_bought():
    _, information, prior = mirl(1.0)
    assert (prior, information) == pytest.approx((1.0, 0.0), **NATS)


def test_one_backup_by_hand():
    """V(s') = E_π Q + α I: (.5·1 + .5·3) + 2·(log 2 − H(.1)), and half of it comes back at γ = 1/2."""
    mdp = two_states(bsc(0.1), (1.0, -1.0), discount=0.5)
    backup = intrinsic_bellman(mdp, UNIFORM, [[1.0, 3.0]] * 2, temperature=2.0)
    expected = 0.5 * (2.0 + 2.0 * 0.368064)
    assert backup[0].tolist() == pytest.approx([1 + expected, -1 + expected], **NATS)


def test_a_backup_takes_nothing_from_a_terminal_state():
    mdp = corridor(2, discount=0.5)
    backup = intrinsic_bellman(mdp, UNIFORM, torch.full((2, 2), 100.0), temperature=1.0, guide=uniform)
    assert backup[0, 1].item() == -1.0
    assert backup[1].tolist() == [0.0, 0.0]


@pytest.mark.parametrize("guide", [bayes, uniform, marginal, fixed_prior([0.2, 0.3, 0.5])])
@pytest.mark.parametrize("future", [next_state, next_state_and_reward, state_after(3)])
def test_the_backup_of_a_solution_is_its_own_q(guide: Guide, future: Future):
    mdp = random_mdp(0)
    policy = random_rows(1, 4, 3)
    with pytest.warns(ConvergenceWarning):
        solution = policy_iteration(mdp, 0.5, policy, guide=guide, future=future, max_iterations=0)
    backup = intrinsic_bellman(mdp, policy, solution.q, temperature=0.5, guide=guide, future=future)
    torch.testing.assert_close(backup, solution.q, atol=1e-10, rtol=0)
    torch.testing.assert_close(solution.policy, policy, atol=1e-15, rtol=0)


def test_the_posterior_of_a_symmetric_channel():
    rows = posterior(two_states(bsc(0.1)), [[0.8, 0.2]] * 2)
    assert rows.shape == (2, 2, 2)
    assert rows[0, 0].tolist() == pytest.approx([0.72 / 0.74, 0.02 / 0.74])
    assert rows[1, 1].tolist() == pytest.approx([0.08 / 0.26, 0.18 / 0.26])


def test_the_posterior_of_a_future_that_never_comes_is_the_policy():
    rows = posterior(two_states(EYE), [[1.0, 0.0]] * 2)
    assert rows.tolist() == [[[1.0, 0.0], [1.0, 0.0]]] * 2


def test_at_discount_0_the_value_is_blahut_arimotos():
    mdp = random_mdp(3, discount=0.0)
    best = blahut_arimoto(mdp.transition, mdp.reward / 0.3)
    solution = policy_iteration(mdp, temperature=0.3)
    torch.testing.assert_close(solution.value, 0.3 * best.capacity, atol=1e-8, rtol=0)


def test_history_runs_from_the_first_policy_to_the_last():
    start = random_rows(0, 4, 3)
    solution = policy_iteration(random_mdp(0), 1.0, start)
    with pytest.warns(ConvergenceWarning):
        first = policy_iteration(random_mdp(0), 1.0, start, max_iterations=0)
    assert (solution.history[0] == first.value).all()
    assert (solution.history[-1] == solution.value).all()


@pytest.mark.parametrize("discount", [0.0, 0.9, 0.999])
@pytest.mark.parametrize("temperature", [1e-4, 1e-2, 1.0, 100.0])
def test_cliff_walking_converges_at_any_temperature(discount: float, temperature: float):
    mdp = TabularMDP.from_env(gym.make("CliffWalking-v1"), discount=discount)
    solution = policy_iteration(mdp, temperature)
    assert solution.gap <= 1e-9 / (1 - discount)
    assert solution.policy.isfinite().all()
    assert solution.q.isfinite().all()


@pytest.mark.parametrize("discount", [0.9, 0.999, 1.0])
@pytest.mark.parametrize("temperature", [1e-4, 1e-2])
def test_cheap_information_leaves_cliff_walking_its_best_path(discount: float, temperature: float):
    mdp = TabularMDP.from_env(gym.make("CliffWalking-v1"), discount=discount)
    solution = policy_iteration(mdp, temperature)
    assert expected_return(mdp, solution.policy, 200).item() == pytest.approx(-13.0, abs=1e-9)


@pytest.mark.parametrize(
    ("env", "future"),
    [
        ("FrozenLake-v1", next_state),
        ("FrozenLake-v1", next_state_and_reward),
        ("FrozenLake-v1", state_after(2)),
        ("Taxi-v4", next_state),
        ("Taxi-v4", next_state_and_reward),
    ],
)
def test_toy_text_is_solved_without_a_warning(env: str, future: Future):
    mdp = TabularMDP.from_env(gym.make(env), discount=0.95)
    solution = policy_iteration(mdp, 0.1, future=future, tolerance=1e-6)
    assert solution.policy.isfinite().all()
    torch.testing.assert_close(solution.policy.sum(-1), torch.ones(mdp.states, dtype=torch.float64))


def test_without_a_reward_the_maze_is_solved_without_a_warning():
    solution = policy_iteration(klyubin_maze(noise=0.1), 1.0, tolerance=1e-6)
    assert solution.value.isfinite().all()


def test_discount_one_in_a_corridor_by_hand():
    """A free walk of three steps: the value counts the steps and pays log 2 for each choice of two outcomes."""
    solution = policy_iteration(corridor(), temperature=1e-6)
    assert solution.value.tolist() == pytest.approx([-3.0, -2.0, -1.0, 0.0], abs=1e-4)
    assert solution.gap == torch.inf


def test_a_terminal_state_pays_no_information():
    arrival = torch.zeros(2, 2, 2)
    arrival[1, 0, 1] = 5.0
    mdp = TabularMDP(UNIFORM.expand(2, 2, 2), arrival, discount=0.9, terminal=[False, True])
    solution = policy_iteration(mdp, 1.0, future=next_state_and_reward)
    assert solution.mutual_information[1] == 0.0
    assert solution.value[1] == 0.0


def test_huge_rewards_decide_without_nan():
    mdp = TabularMDP(bsc(0.1).expand(2, 2, 2), [[1e5, -1e5], [-1e5, 1e5]], discount=0.9)
    solution = policy_iteration(mdp, 1.0, tolerance=1e-6)
    torch.testing.assert_close(solution.policy, EYE)
    assert solution.value.tolist() == pytest.approx([1e6, 1e6], rel=1e-9)


def test_sparse_and_noisy_worlds_never_give_nan():
    for kind in ("dense", "sparse", "deterministic"):
        mdp = random_mdp(0, batch=20, kind=kind, discount=0.99)
        solution = policy_iteration(mdp, 1.0, tolerance=1e-6)
        assert solution.value.isfinite().all()
        assert solution.gap.max() <= 1e-4 * (1 + 1e-9)


def test_a_prior_of_zero_for_an_action_that_the_first_policy_takes_is_refused_by_name():
    """Its value is minus infinity, whether or not the world terminates."""
    with pytest.raises(InputError, match=r"prior|guide"):
        policy_iteration(two_states(bsc(0.1)), 1.0, guide=fixed_prior([1.0, 0.0]))


def test_starting_inside_the_prior_it_is_kept():
    start = [[1.0, 0.0]] * 2
    solution = policy_iteration(two_states(bsc(0.1), (0.0, 1.0)), 1.0, start, guide=fixed_prior([1.0, 0.0]))
    assert solution.policy.tolist() == start


def test_stopping_early_warns_and_names_the_advantage_left():
    with pytest.warns(ConvergenceWarning, match=r"^Stopped after 2 rounds with an advantage of \S+ left, above"):
        early = policy_iteration(random_mdp(0), 1.0, max_iterations=2)
    best = policy_iteration(random_mdp(0), 1.0)
    assert len(early.history) == 3
    assert (best.value <= early.value + early.gap).all()


@pytest.mark.parametrize("temperature", [0.0, -1.0, float("nan"), float("inf")])
def test_a_temperature_is_positive(temperature: float):
    mdp, message = two_states(bsc(0.1)), r"^Expected a temperature > 0 \(reward units per nat\), but got \S+\.$"
    with pytest.raises(InputError, match=message):
        policy_iteration(mdp, temperature)
    with pytest.raises(InputError, match=message):
        intrinsic_bellman(mdp, UNIFORM, UNIFORM, temperature=temperature)


@pytest.mark.parametrize("policy", [torch.full((2, 3), 1 / 3), torch.full((3, 2), 0.5), torch.tensor([0.5, 0.5])])
def test_a_policy_has_a_row_for_each_state(policy: Tensor):
    with pytest.raises(InputError, match=r"^Expected a policy of shape \(2, 2\), but got \(.+\)\.$"):
        policy_iteration(two_states(bsc(0.1)), 1.0, policy)


def test_a_batch_of_policies_fits_the_batch_of_worlds():
    with pytest.raises(InputError, match=r"^Expected a policy of shape"):
        policy_iteration(random_mdp(0, batch=3), 1.0, random_rows(0, 4, 4, 3))


@pytest.mark.parametrize(
    ("row", "message"), [([0.5, 0.4], "sum to 1"), ([1.5, -0.5], "non-negative"), ([float("nan"), 1.0], "finite")]
)
def test_a_policy_is_made_of_distributions(row: list[float], message: str):
    with pytest.raises(InputError, match=f"^Expected .*the policy.*{message}"):
        posterior(two_states(bsc(0.1)), [row, row])


@pytest.mark.parametrize("shape", [(2, 3), (5, 2), (2, 1)])
def test_a_backup_needs_a_q_for_each_state_and_action(shape: tuple[int, ...]):
    with pytest.raises(InputError, match=r"^Expected .*\(2, 2\), but got"):
        intrinsic_bellman(two_states(bsc(0.1)), UNIFORM, torch.zeros(shape), temperature=1.0)


def test_a_guide_that_rules_out_what_happens_pays_about_minus_700_nats_not_infinity():
    certain = fixed_posterior([[[1.0, 0.0], [0.0, 1.0]]] * 2)
    solution = policy_iteration(two_states(bsc(0.5)), 1.0, guide=certain, max_iterations=0)
    assert solution.intrinsic.tolist() == pytest.approx([log(2) - 0.5 * 708.396] * 2, abs=1e-3)
