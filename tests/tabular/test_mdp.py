from collections import defaultdict
from types import SimpleNamespace
from typing import Any

import gymnasium as gym
import numpy as np
import pytest
import torch
from torch import Tensor

from gio_pyro.errors import InputError
from gio_pyro.tabular import TabularMDP, expected_return

from .worlds import UNIFORM, corridor, random_mdp, random_rows

HALF = torch.full((2, 2, 2), 0.5)
ENVIRONMENTS = {
    "FrozenLake-v1": {},
    "FrozenLake-v1 8x8, not slippery": {"map_name": "8x8", "is_slippery": False},
    "CliffWalking-v1": {},
    "CliffWalking-v1, slippery": {"is_slippery": True},
    "Taxi-v4": {},
}


def make(name: str) -> Any:
    return gym.make(name.split()[0].rstrip(","), **ENVIRONMENTS[name])


def environment(table: Any, start: Any = None) -> Any:
    """An object with a transition table, as `TabularMDP.from_env` reads it."""
    return SimpleNamespace(unwrapped=SimpleNamespace(P=table, initial_state_distrib=start))


def reachable(env: Any) -> tuple[set[int], set[int]]:
    """The states in which an episode can go on, and those in which it ends, by walking through `P`."""
    todo = [int(s) for s in np.flatnonzero(env.unwrapped.initial_state_distrib)]
    live, ends = set(todo), set()
    while todo:
        for outcomes in env.unwrapped.P[todo.pop()].values():
            for _, s, _, done in outcomes:
                if done:
                    ends.add(int(s))
                elif int(s) not in live:
                    live.add(int(s))
                    todo.append(int(s))
    return live, ends


def value_by_steps(env: Any, policy: Tensor, steps: int) -> float:
    """The expected return of the first `steps` steps, by backward induction over the lists of `P`."""
    live, pi = reachable(env)[0], policy.tolist()
    value = dict.fromkeys(live, 0.0)
    for _ in range(steps):
        value = {
            s: sum(
                pi[s][a] * p * (r + (0.0 if done else value[int(n)]))
                for a, outcomes in env.unwrapped.P[s].items()
                for p, n, r, done in outcomes
            )
            for s in live
        }
    return sum(float(env.unwrapped.initial_state_distrib[s]) * value[s] for s in live)


@pytest.mark.parametrize("name", ENVIRONMENTS)
def test_terminal_states_are_those_that_an_episode_ends_in(name: str):
    env = make(name)
    ends = reachable(env)[1]
    assert set(TabularMDP.from_env(env).terminal.nonzero().flatten().tolist()) == ends


@pytest.mark.parametrize("name", ENVIRONMENTS)
def test_expected_rewards_and_transitions_are_those_of_the_table(name: str):
    env = make(name)
    mdp = TabularMDP.from_env(env)
    for s in reachable(env)[0]:
        for a, outcomes in env.unwrapped.P[s].items():
            row = np.zeros(mdp.states)
            for p, n, _, _ in outcomes:
                row[n] += p
            assert mdp.reward[s, a].item() == pytest.approx(sum(p * r for p, _, r, _ in outcomes))
            np.testing.assert_allclose(mdp.transition[s, a].numpy(), row, atol=1e-12)


@pytest.mark.parametrize("name", ENVIRONMENTS)
def test_outcomes_are_the_pairs_of_next_state_and_reward(name: str):
    env = make(name)
    joint = TabularMDP.from_env(env).outcomes
    column = {pair: f for f, pair in enumerate(zip(joint.next_state.tolist(), joint.reward.tolist(), strict=True))}
    for s in reachable(env)[0]:
        for a, outcomes in env.unwrapped.P[s].items():
            expected = defaultdict(float)
            for p, n, r, _ in outcomes:
                expected[column[int(n), float(r)]] += p
            found = joint.probability[s, a]
            assert found.sum().item() == pytest.approx(1.0)
            assert {f: pytest.approx(p) for f, p in expected.items()} == {
                int(f): found[f].item() for f in found.nonzero().flatten()
            }


@pytest.mark.parametrize("name", ENVIRONMENTS)
def test_a_random_policy_earns_what_the_table_says(name: str):
    env = make(name)
    mdp = TabularMDP.from_env(env)
    policy = random_rows(0, mdp.states, mdp.actions) * mdp.allowed
    policy = policy / policy.sum(-1, keepdim=True)
    assert expected_return(mdp, policy, 25).item() == pytest.approx(value_by_steps(env, policy, 25), rel=1e-9)


def test_frozen_lake_pays_a_third_for_stepping_towards_the_goal():
    mdp = TabularMDP.from_env(gym.make("FrozenLake-v1"))
    torch.testing.assert_close(mdp.reward[14], torch.tensor([0, 1, 1, 1], dtype=torch.float64) / 3)
    assert mdp.reward.sum().item() == pytest.approx(1.0)
    assert mdp.terminal.nonzero().flatten().tolist() == [5, 7, 11, 12, 15]
    assert mdp.start.tolist() == [1.0] + [0.0] * 15


def test_one_next_state_with_two_rewards_makes_two_outcomes():
    table = [[[(0.25, 1, 1.0, True), (0.75, 1, 0.0, True)]], [[(1.0, 1, 0.0, True)]]]
    joint = TabularMDP.from_env(environment(table, [1.0, 0.0])).outcomes
    assert joint.next_state.tolist() == [1, 1]
    assert joint.reward.tolist() == [0.0, 1.0]
    assert joint.probability[0, 0].tolist() == [0.75, 0.25]


def test_the_terminal_state_of_a_table_keeps_no_reward():
    table = [[[(1.0, 1, 2.0, True)]], [[(1.0, 1, 9.0, True)]]]
    mdp = TabularMDP.from_env(environment(table, [1.0, 0.0]))
    assert mdp.reward.tolist() == [[2.0], [0.0]]
    assert mdp.outcomes.probability[1].tolist() == [[1.0, 0.0]]


def test_without_a_start_it_is_uniform():
    table = [[[(1.0, 1, 0.0, False)]], [[(1.0, 0, 0.0, False)]]]
    assert TabularMDP.from_env(environment(table)).start.tolist() == [0.5, 0.5]


def test_an_ambiguous_terminal_state_is_refused():
    table = [[[(1.0, 1, 0.0, True)], [(1.0, 1, 0.0, False)]], [[(1.0, 0, 0.0, False)]] * 2]
    with pytest.raises(InputError, match=r"^Expected each state to be terminal or not, but state 1 is .*the end\.$"):
        TabularMDP.from_env(environment(table, [1.0, 0.0]))


def test_ambiguity_out_of_reach_does_not_matter():
    """State 2 enters 1 without termination, but no episode gets there."""
    table = [[[(1.0, 1, 0.0, True)]], [[(1.0, 1, 0.0, True)]], [[(1.0, 1, 0.0, False)]]]
    assert TabularMDP.from_env(environment(table, [1.0, 0.0, 0.0])).terminal.tolist() == [False, True, False]


def test_an_environment_without_a_table_is_refused():
    with pytest.raises(InputError, match=r"^Expected an environment with a transition table `P`, but .*toy-text\.$"):
        TabularMDP.from_env(gym.make("CartPole-v1"))


@pytest.mark.parametrize("bad", [-0.5, float("nan")])
def test_a_table_with_a_bad_probability_is_refused(bad: float):
    table = [[[(bad, 0, 0.0, False), (1.0, 0, 0.0, False)]]]
    with pytest.raises(InputError, match=r"^Expected non-negative probabilities in env\.P, but got .+\.$"):
        TabularMDP.from_env(environment(table))


@pytest.mark.parametrize("cell", [[], [(0.5, 0, 0.0, False)]])
def test_a_table_whose_row_is_no_distribution_is_refused(cell: list[Any]):
    with pytest.raises(InputError, match=r"^Expected the rows of the transition table to sum to 1, but row \(0, 0\)"):
        TabularMDP.from_env(environment([[cell], [[(1.0, 1, 0.0, False)]]]))


@pytest.mark.parametrize("state", [-1, 2])
def test_a_table_that_leads_to_no_state_is_refused(state: int):
    table = [[[(1.0, state, 0.0, False)]], [[(1.0, 1, 0.0, False)]]]
    with pytest.raises(InputError, match="state"):
        TabularMDP.from_env(environment(table))


def test_a_terminal_state_absorbs_without_reward():
    mdp = TabularMDP(HALF, torch.ones(2, 2), discount=0.9, terminal=[False, True])
    assert mdp.transition[1].tolist() == [[0.0, 1.0], [0.0, 1.0]]
    assert mdp.reward.tolist() == [[1.0, 1.0], [0.0, 0.0]]
    assert mdp.continuation[0].tolist() == [[0.5, 0.0], [0.5, 0.0]]
    assert mdp.start.tolist() == [1.0, 0.0]


def test_a_reward_on_arrival_is_averaged():
    arrival = torch.tensor([[[0.0, 2.0], [1.0, 1.0]], [[4.0, 0.0], [0.0, 0.0]]])
    mdp = TabularMDP(HALF, arrival, discount=0.9)
    assert mdp.reward.tolist() == [[1.0, 1.0], [2.0, 0.0]]


def test_a_reward_on_arrival_splits_the_outcomes():
    arrival = torch.zeros(2, 2, 2)
    arrival[0, 0, 1] = 3.0
    joint = TabularMDP(HALF, arrival, discount=0.9).outcomes
    assert list(zip(joint.next_state.tolist(), joint.reward.tolist(), strict=True)) == [(0, 0), (1, 0), (1, 3)]
    assert joint.probability[0].tolist() == [[0.5, 0.0, 0.5], [0.5, 0.5, 0.0]]


def test_a_reward_on_arrival_does_not_count_in_a_terminal_state():
    """Otherwise it would carry information about the action."""
    arrival = torch.zeros(2, 2, 2)
    arrival[1, 0, 1] = 5.0
    joint = TabularMDP(HALF, arrival, discount=0.9, terminal=[False, True]).outcomes
    assert (joint.probability[1, 0] == joint.probability[1, 1]).all()


def test_rewards_of_a_batch_average_each_with_its_own_table():
    batch = random_mdp(0, batch=3)
    arrival = torch.randn(3, 4, 3, 4, generator=torch.Generator().manual_seed(0)).double()
    together = TabularMDP(batch.transition, arrival, discount=0.9).reward
    for i in range(3):
        torch.testing.assert_close(together[i], TabularMDP(batch.transition[i], arrival[i], discount=0.9).reward)


def test_only_zeros_and_ones_are_deterministic():
    assert corridor().is_deterministic
    assert not TabularMDP(HALF, torch.zeros(2, 2), discount=0.9).is_deterministic


def test_sizes():
    mdp = random_mdp(0, states=5, actions=3)
    assert (mdp.states, mdp.actions) == (5, 3)


def test_discount_one_is_accepted_where_an_end_can_be_reached():
    assert corridor(discount=1.0).discount == 1.0


def test_discount_one_without_an_end_is_refused():
    with pytest.raises(InputError, match=r"^Expected a discount below 1 where some state never terminates, but .+\.$"):
        TabularMDP(HALF, UNIFORM, discount=1.0)


def test_discount_one_with_a_trap_is_refused():
    trap = torch.eye(3)[:, None, :]
    with pytest.raises(InputError, match="never terminates"):
        TabularMDP(trap, torch.zeros(3, 1), discount=1.0, terminal=[False, True, True])


@pytest.mark.parametrize("discount", [-0.1, 1.1, float("nan"), float("inf")])
def test_a_discount_lies_between_0_and_1(discount: float):
    with pytest.raises(InputError, match=r"^Expected a discount in \[0, 1\], but got .+ is a usual choice\.$"):
        TabularMDP(HALF, UNIFORM, discount=discount)


def test_a_transition_table_is_square():
    with pytest.raises(InputError, match=r"^Expected transitions of shape \[\.\.\., S, A, S\], but got \(2, 2, 3\)\.$"):
        TabularMDP(torch.full((2, 2, 3), 1 / 3), UNIFORM, discount=0.9)


def test_a_transition_table_has_three_axes():
    with pytest.raises(InputError, match=r"^Expected transitions of shape \[\.\.\., S, A, S\], but got \(2, 2\)\.$"):
        TabularMDP(UNIFORM, UNIFORM, discount=0.9)


@pytest.mark.parametrize(
    ("row", "message"),
    [([0.5, 0.4], "sums to 0.9"), ([1.5, -0.5], "non-negative"), ([float("nan"), 1.0], "finite")],
)
def test_a_transition_table_is_made_of_distributions(row: list[float], message: str):
    table = HALF.clone()
    table[1, 0] = torch.tensor(row)
    with pytest.raises(InputError, match=f"^Expected .*the transition table.*{message}"):
        TabularMDP(table, UNIFORM, discount=0.9)


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_rewards_are_finite(bad: float):
    with pytest.raises(InputError, match=r"^Expected finite rewards, but got NaN or infinity; .+\.$"):
        TabularMDP(HALF, [[bad, 0.0], [0.0, 0.0]], discount=0.9)


@pytest.mark.parametrize("shape", [(), (2,), (2, 3), (3, 2), (3, 2, 2), (5, 2, 2, 2)])
def test_rewards_fit_the_transitions(shape: tuple[int, ...]):
    with pytest.raises(InputError, match=r"^Expected rewards of shape .+, but got .+\.$"):
        TabularMDP(HALF, torch.zeros(shape), discount=0.9)


def test_a_reward_on_arrival_has_the_batch_shape_of_its_transitions():
    with pytest.raises(InputError, match=r"^Expected rewards of shape .+, but got .+\.$"):
        TabularMDP(HALF.expand(3, 2, 2, 2), torch.zeros(2, 2, 2), discount=0.9)


@pytest.mark.parametrize("shape", [(3,), (3, 2)])
def test_there_is_one_terminal_flag_for_each_state(shape: tuple[int, ...]):
    with pytest.raises(InputError, match=r"^Expected one terminal flag for each of 2 states, but got shape .+\.$"):
        TabularMDP(HALF, UNIFORM, discount=0.9, terminal=torch.zeros(shape))


@pytest.mark.parametrize("shape", [(3,), (3, 2)])
def test_there_is_one_start_probability_for_each_state(shape: tuple[int, ...]):
    with pytest.raises(InputError, match=r"^Expected .*start.*, but got .+\.$"):
        TabularMDP(HALF, UNIFORM, discount=0.9, start=torch.full(shape, 1 / shape[-1]))


def test_a_start_is_a_distribution():
    with pytest.raises(InputError, match=r"^Expected the rows of the start distribution to sum to 1"):
        TabularMDP(HALF, UNIFORM, discount=0.9, start=[0.5, 0.4])


def test_outcomes_of_a_batch_are_refused():
    with pytest.raises(InputError, match=r"^Expected one MDP, but got a batch: .+ one by one\.$"):
        _ = random_mdp(0, batch=2).outcomes
