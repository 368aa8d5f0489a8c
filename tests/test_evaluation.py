"""The critic's fixed point is the exact tier's, where replay holds the exact frequencies."""

from math import log

import pyro.distributions as dist
import pytest
import torch
from torch import Tensor

from gio_pyro import tabular
from gio_pyro.evaluation import TableCritic, optimistic_value
from gio_pyro.tabular import TabularMDP
from gio_pyro.tabular.iteration import intrinsic_reward as exact_reward
from gio_pyro.types import Policy, Transitions

from .tabular.worlds import corridor, random_mdp, random_rows

S, A = 4, 3
ALPHA = 0.5


def table_policy(table: Tensor) -> Policy:
    return lambda state: dist.Categorical(logits=table.float().log()[state])


def exact_replay(mdp: TabularMDP) -> Transitions:
    """Every transition that can happen, weighted by its probability."""
    p = torch.where(mdp.terminal[:, None, None], 0.0, mdp.transition)
    s, a, s_next = p.nonzero(as_tuple=True)
    no = torch.zeros(len(s), dtype=torch.bool)
    reward, weight = mdp.reward[s, a].float(), p[s, a, s_next].float()
    return Transitions(s, a, reward, s_next, mdp.terminal[s_next], no, torch.ones(len(s)), weight)


def fixed_point(mdp: TabularMDP, pi: Tensor, guide: tabular.guides.Guide = tabular.bayes) -> Tensor:
    q = torch.zeros_like(pi)
    for _ in range(500):
        q = tabular.intrinsic_bellman(mdp, pi, q, temperature=ALPHA, guide=guide)
    return q


def evaluated(mdp: TabularMDP, pi: Tensor, guide: tabular.guides.Guide = tabular.bayes) -> Tensor:
    batch = exact_replay(mdp)
    critic = TableCritic(mdp.states, mdp.actions)
    bonus = exact_reward(pi, guide(mdp, pi, mdp.transition)).float()[batch.next_state]
    critic.evaluate(
        batch, table_policy(pi), bonus, discount=mdp.discount, temperature=ALPHA, sweeps=5_000, tolerance=1e-7
    )
    return critic.q


def step(*rows: tuple[int, int, float, int, bool, bool]) -> Transitions:
    """Transitions `(s, a, r, s', terminated, truncated)`."""
    s, a, r, n, done, cut = (torch.tensor(column) for column in zip(*rows, strict=True))
    return Transitions(s, a, r, n, done, cut, torch.ones(len(s)), torch.ones(len(s)))


def one_action(state: Tensor) -> dist.Categorical:
    return dist.Categorical(logits=torch.zeros(len(state), 1))


def evaluate(critic: TableCritic, batch: Transitions, policy: Policy = one_action, sweeps: int = 100) -> float:
    return critic.evaluate(
        batch, policy, torch.zeros(len(batch)), discount=0.5, temperature=1.0, sweeps=sweeps, tolerance=0.0
    )


@pytest.mark.parametrize("kind", ["dense", "sparse", "deterministic"])
@pytest.mark.parametrize("seed", range(4))
def test_the_fixed_point_is_the_exact_tiers(seed: int, kind: str):
    mdp, pi = random_mdp(seed, S, A, kind=kind), random_rows(seed + 20, S, A)
    torch.testing.assert_close(evaluated(mdp, pi).double(), fixed_point(mdp, pi), atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("discount", [0.0, 0.5, 0.95])
def test_the_fixed_point_is_exact_at_every_discount(discount: float):
    mdp, pi = random_mdp(7, S, A, discount=discount), random_rows(8, S, A)
    torch.testing.assert_close(evaluated(mdp, pi).double(), fixed_point(mdp, pi), atol=2e-4, rtol=1e-4)


def test_the_fixed_point_with_a_uniform_guide_is_the_exact_tiers():
    mdp, pi = random_mdp(9, S, A), random_rows(9, S, A)
    exact = fixed_point(mdp, pi, tabular.uniform)
    torch.testing.assert_close(evaluated(mdp, pi, tabular.uniform).double(), exact, atol=1e-4, rtol=1e-4)


def test_a_terminal_world_is_exact():
    mdp, pi = corridor(5, discount=0.9), random_rows(3, 5, 2)
    got, exact = evaluated(mdp, pi).double(), fixed_point(mdp, pi)
    torch.testing.assert_close(got[:-1], exact[:-1], atol=1e-4, rtol=1e-4)


def test_at_the_optimum_the_critic_agrees_with_policy_iteration():
    mdp = random_mdp(5, S, A)
    best = tabular.policy_iteration(mdp, temperature=ALPHA)
    torch.testing.assert_close(evaluated(mdp, best.policy).double(), best.q, atol=1e-4, rtol=1e-4)


def test_one_backup_by_hand():
    critic = TableCritic(2, 1, initial_value=4.0)
    batch = step((0, 0, 1.0, 1, False, False))
    critic.evaluate(batch, one_action, torch.tensor([3.0]), discount=0.5, temperature=2.0, sweeps=1)
    assert critic.q.tolist() == [[1.0 + 0.5 * (4.0 + 2.0 * 3.0)], [4.0]]


def test_termination_ends_the_sum():
    critic = TableCritic(2, 1, initial_value=100.0)
    critic.evaluate(
        step((0, 0, 1.0, 1, True, False)), one_action, torch.tensor([9.0]), discount=0.5, temperature=1.0, sweeps=5
    )
    assert critic.q[0].item() == 1.0


def test_truncation_does_not_end_the_sum():
    critic = TableCritic(2, 1, initial_value=100.0)
    evaluate(critic, step((0, 0, 1.0, 1, False, True)))
    assert critic.q[0].item() == 51.0


def test_an_episode_both_terminated_and_truncated_has_ended():
    critic = TableCritic(2, 1, initial_value=100.0)
    evaluate(critic, step((0, 0, 1.0, 1, True, True)))
    assert critic.q[0].item() == 1.0


def test_equal_pairs_are_averaged_by_weight():
    critic = TableCritic(2, 1)
    rows = step((0, 0, 0.0, 1, True, False), (0, 0, 4.0, 1, True, False))
    weighted = Transitions(**{**vars(rows), "weight": torch.tensor([1.0, 3.0])})
    evaluate(critic, weighted)
    assert critic.q[0].item() == 3.0


def test_a_pair_tried_earlier_keeps_its_value_when_a_batch_lacks_it():
    critic = TableCritic(2, 1)
    evaluate(critic, step((0, 0, 1.0, 0, False, False), (1, 0, 3.0, 1, False, False)))
    evaluate(critic, step((0, 0, 1.0, 0, False, False)))
    assert critic.q.flatten().tolist() == pytest.approx([2.0, 6.0])


def test_batches_of_pairs_in_turn_reach_the_same_values_as_one_batch():
    together, apart = TableCritic(3, 1), TableCritic(3, 1)
    rows = step((0, 0, 1.0, 1, False, False), (1, 0, 0.0, 2, False, False), (2, 0, 2.0, 2, True, False))
    evaluate(together, rows)
    for turn in range(12):
        evaluate(apart, rows[[turn % 3]])
    torch.testing.assert_close(apart.q, together.q)


def test_an_untried_pair_keeps_the_given_value():
    critic = TableCritic(2, 2, initial_value=-7.0)
    evaluate(critic, step((0, 1, 1.0, 0, True, False)), lambda s: dist.Categorical(logits=torch.zeros(len(s), 2)))
    assert critic.q.tolist() == [[-7.0, 1.0], [-7.0, -7.0]]


def test_an_untried_pair_is_worth_an_upper_bound():
    critic = TableCritic(2, 1)
    evaluate(critic, step((0, 0, 3.0, 0, True, False)))
    assert critic.q[1].item() == pytest.approx(optimistic_value(3.0, 1, 0.5, 1.0))


@pytest.mark.parametrize("shift", [-20.0, -1.0, 0.0, 5.0])
@pytest.mark.parametrize("discount", [0.0, 0.9])
@pytest.mark.parametrize("seed", range(5))
def test_the_optimistic_value_bounds_every_value(seed: int, discount: float, shift: float):
    mdp = random_mdp(seed, S, A, discount=discount)
    mdp = TabularMDP(mdp.transition, mdp.reward + shift, discount=discount)
    best = tabular.policy_iteration(mdp, temperature=ALPHA)
    bound = optimistic_value(float(mdp.reward.max()), A, discount, ALPHA)
    assert float(best.q.max()) <= bound + 1e-9


@pytest.mark.parametrize("discount", [0.5, 0.9])
def test_the_optimistic_value_bounds_a_world_that_ends(discount: float):
    best = tabular.policy_iteration(corridor(5, discount=discount), temperature=ALPHA)
    assert float(best.q[:-1].max()) <= optimistic_value(-1.0, 2, discount, ALPHA) + 1e-9


def test_the_optimistic_value_by_hand():
    assert optimistic_value(1.0, 2, 0.9, 1.0) == pytest.approx((1 + log(2)) / 0.1)
    assert optimistic_value(-3.0, 2, 0.9, 1.0) == pytest.approx(-3 + log(2))


def test_evaluation_returns_the_last_change():
    critic = TableCritic(1, 1, initial_value=0.0)
    assert evaluate(critic, step((0, 0, 1.0, 0, False, False)), sweeps=3) == pytest.approx(0.25)


def test_evaluation_stops_at_its_tolerance():
    critic = TableCritic(1, 1, initial_value=0.0)
    batch = step((0, 0, 1.0, 0, False, False))
    change = critic.evaluate(
        batch, one_action, torch.zeros(1), discount=0.5, temperature=1.0, sweeps=1_000, tolerance=0.01
    )
    assert 0.005 < change <= 0.02


def test_the_critic_reads_one_row_for_each_state():
    critic = TableCritic(3, 2)
    critic.q.copy_(torch.arange(6).reshape(3, 2))
    assert critic(torch.tensor([2, 0])).tolist() == [[4.0, 5.0], [0.0, 1.0]]


def test_the_state_dict_holds_what_was_tried():
    critic, other = TableCritic(2, 1), TableCritic(2, 1)
    evaluate(critic, step((0, 0, 3.0, 0, True, False)))
    other.load_state_dict(critic.state_dict())
    assert other.tried.tolist() == [[True], [False]]
    assert torch.equal(other.q, critic.q)
