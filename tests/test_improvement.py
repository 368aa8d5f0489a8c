"""Policy improvement is the closed form of theory, equation 6, with a floor."""

from math import log

import pytest
import torch

from gio_pyro import tabular
from gio_pyro.improvement import LOG_FLOOR, TablePolicy

from .tabular.worlds import random_mdp, random_rows

S, A = 4, 3
STATES = torch.arange(S)


def table(policy: TablePolicy) -> torch.Tensor:
    return policy.log_pi.exp()


def test_a_policy_starts_uniform():
    torch.testing.assert_close(table(TablePolicy(S, A)), torch.full((S, A), 1 / A))


def test_a_policy_is_one_distribution_for_each_state():
    pi = TablePolicy(S, A)(torch.tensor([3, 0, 3]))
    assert pi.batch_shape == (3,)
    assert pi.log_prob(torch.tensor([0, 1, 2])).tolist() == pytest.approx([-log(A)] * 3)


@pytest.mark.parametrize("temperature", [0.1, 1.0, 10.0])
@pytest.mark.parametrize("seed", range(3))
def test_the_projection_is_the_softmax_of_q_over_alpha_plus_log_rho(temperature: float, seed: int):
    g = torch.Generator().manual_seed(seed)
    q, log_rho = torch.randn(S, A, generator=g) / 5, torch.log_softmax(torch.randn(S, A, generator=g), -1)
    policy = TablePolicy(S, A)
    policy.improve(STATES, q, log_rho, temperature=temperature)
    torch.testing.assert_close(table(policy), torch.softmax(q / temperature + log_rho, -1), atol=2e-6, rtol=1e-4)


def test_two_actions_by_hand():
    policy = TablePolicy(1, 2)
    policy.improve(torch.tensor([0]), torch.tensor([[2.0, 0.0]]), torch.tensor([[log(0.5)] * 2]), temperature=2.0)
    assert table(policy)[0, 0].item() == pytest.approx(1 / (1 + 2.718281828**-1))


def test_rounds_of_improvement_are_those_of_exact_policy_iteration():
    mdp = random_mdp(2, S, A, discount=0.5)
    policy, pi = TablePolicy(S, A), torch.full((S, A), 1 / A, dtype=torch.float64)
    for _ in range(5):
        log_rho = tabular.bayes(mdp, pi, mdp.transition)
        q = torch.zeros_like(pi)
        for _ in range(60):
            q = tabular.intrinsic_bellman(mdp, pi, q, temperature=0.7)
        policy.improve(STATES, q.float(), log_rho.float(), temperature=0.7)
        pi = torch.softmax(q / 0.7 + log_rho, -1)
    torch.testing.assert_close(table(policy).double(), pi, atol=1e-4, rtol=0)


def test_no_action_falls_below_the_floor():
    policy = TablePolicy(1, A)
    policy.improve(torch.tensor([0]), torch.tensor([[1e6, 0.0, -1e6]]), torch.zeros(1, A), temperature=0.01)
    assert float(policy.log_pi.min()) == pytest.approx(LOG_FLOOR, abs=1e-4)
    assert float(table(policy).sum()) == pytest.approx(1.0)


def test_a_lost_action_comes_back():
    policy = TablePolicy(1, 2)
    state = torch.tensor([0])
    policy.improve(state, torch.tensor([[1e6, 0.0]]), torch.zeros(1, 2), temperature=1.0)
    policy.improve(state, torch.tensor([[0.0, 30.0]]), policy.log_pi[state], temperature=1.0)
    assert table(policy)[0, 1].item() > 0.99


def test_states_that_are_not_named_keep_their_actions():
    policy = TablePolicy(S, A)
    policy.improve(torch.tensor([1]), torch.tensor([[5.0, 0.0, 0.0]]), torch.zeros(1, A), temperature=1.0)
    torch.testing.assert_close(table(policy)[[0, 2, 3]], torch.full((3, A), 1 / A))
    assert table(policy)[1, 0].item() > 0.9


def test_improvement_leaves_no_gradient():
    policy = TablePolicy(S, A)
    policy.improve(STATES, torch.randn(S, A, requires_grad=True), torch.zeros(S, A), temperature=1.0)
    assert not policy.log_pi.requires_grad


def test_improvement_never_lowers_the_regularised_value_of_a_state():
    g = torch.Generator().manual_seed(4)
    q, log_rho = torch.randn(S, A, generator=g), random_rows(4, S, A).float().log()
    policy = TablePolicy(S, A)
    policy.improve(STATES, q, log_rho, temperature=0.5)

    def value(log_pi: torch.Tensor) -> torch.Tensor:
        return (log_pi.exp() * (q / 0.5 + log_rho - log_pi)).sum(-1)

    assert bool((value(policy.log_pi) >= value(torch.full((S, A), -log(A)))).all())
