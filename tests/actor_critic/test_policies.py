"""Policy improvement: the closed form of theory, equation 6, with a floor; and losses whose least value it is."""

from math import e, log, pi, sqrt
from typing import Any

import pyro.distributions as dist
import pytest
import torch
from gymnasium.spaces import Discrete
from torch import Tensor

from gio_pyro import tabular
from gio_pyro.actor_critic import LOG_FLOOR, CategoricalPolicy, GaussianPolicy, TablePolicy, network_policy
from gio_pyro.actor_critic.network_policy import LEAST_LOG_SCALE, LOG_SCALE, MEAN
from gio_pyro.programs import ActionSamples, sample_actions
from tests.spaces import image, vector
from tests.tabular.worlds import random_mdp, random_rows

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


@pytest.mark.parametrize("states", [vector(3), Discrete(5), image(7)])
@pytest.mark.parametrize(("actions", "kind"), [(Discrete(4), CategoricalPolicy), (vector(2), GaussianPolicy)])
def test_a_network_policy_starts_by_preferring_nothing(states: Any, actions: Any, kind: Any):
    policy = network_policy(states, actions, (16,))
    assert isinstance(policy, kind)
    state = torch.arange(5) if isinstance(states, Discrete) else 50 * torch.ones(5, *states.shape)
    start = policy(state)
    assert start.batch_shape == (5,)
    if kind is CategoricalPolicy:
        torch.testing.assert_close(start.probs, torch.full((5, 4), 0.25))
    else:
        torch.testing.assert_close((start.mean, start.stddev), (torch.zeros(5, 2), torch.ones(5, 2)))


class Logits(CategoricalPolicy):
    """A categorical policy whose network is a table, to see its gradient."""

    def __init__(self, logits: Tensor) -> None:
        super().__init__(Discrete(len(logits)), Discrete(logits.shape[-1]), ())
        with torch.no_grad():
            self.net[0].weight.copy_(logits.T)

    @property
    def table(self) -> Tensor:
        return self.net[0].weight.T


@pytest.mark.parametrize("alpha", [0.1, 1.0])
def test_the_gradient_of_a_categorical_policy_is_its_difference_from_the_projection(alpha: float):
    g = torch.Generator().manual_seed(0)
    logits, q, bonus = (torch.randn(S, A, generator=g) for _ in range(3))
    policy = Logits(logits)
    policy.loss(sample_actions(policy(STATES)), q, bonus, alpha).backward()
    best = torch.softmax(q / alpha + bonus, -1)
    expected = (torch.softmax(logits, -1) - best) / S
    torch.testing.assert_close(policy.net[0].weight.grad.T, expected, atol=1e-6, rtol=1e-4)


def test_a_categorical_policy_comes_back_from_a_sure_mistake():
    """Where π is nearly certain and wrong, π − p* is as large as it can be; the gradient of KL(π ‖ p*) would vanish."""
    policy = Logits(torch.tensor([[20.0, 0.0]]))
    optimiser = torch.optim.Adam(policy.parameters(), lr=0.3)
    for _ in range(150):
        loss = policy.loss(
            sample_actions(policy(torch.tensor([0]))), torch.tensor([[0.0, 1.0]]), torch.zeros(1, 2), 0.2
        )
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    best = torch.softmax(torch.tensor([0.0, 5.0]), -1)
    torch.testing.assert_close(policy(torch.tensor([0])).probs[0].detach(), best, atol=0.02, rtol=0)


def test_a_categorical_loss_takes_no_gradient_through_values_and_bonus():
    policy = Logits(torch.zeros(S, A))
    q, bonus = torch.randn(2, S, A).requires_grad_(True).unbind(0)
    loss = policy.loss(sample_actions(policy(STATES)), q, bonus, 0.5)
    found = torch.autograd.grad(loss, [*policy.parameters(), q], allow_unused=True)
    assert found[-1] is None


def test_a_learned_temperature_may_be_a_tensor():
    policy, q = Logits(torch.randn(S, A)), torch.randn(S, A)
    given = [policy.loss(sample_actions(policy(STATES)), q, q, alpha) for alpha in (0.3, torch.tensor(0.3))]
    torch.testing.assert_close(*given)


def test_the_entropy_of_a_categorical_policy():
    policy = Logits(torch.tensor([[0.0, 0.0], [log(3.0), 0.0]]))
    by_hand = (log(2) + (0.75 * log(4 / 3) + 0.25 * log(4))) / 2
    assert policy.entropy(sample_actions(policy(torch.arange(2)))).item() == pytest.approx(by_hand, rel=1e-5)


def test_the_likeliest_actions_of_network_policies():
    policy = Logits(torch.tensor([[0.0, 2.0, 1.0], [3.0, 0.0, 0.0]]))
    assert policy.mode(torch.tensor([1, 0])).tolist() == [0, 1]
    gaussian = normal_policy([0.3, -4.0], [0.0, 0.0])
    torch.testing.assert_close(gaussian.mode(torch.zeros(2, 1)), torch.tensor([[0.3, -4.0]] * 2))


def normal_policy(mean: list[float], log_scale: list[float], *, bounded: bool = False) -> GaussianPolicy:
    policy = GaussianPolicy(vector(1), vector(len(mean)), (), bounded=bounded)
    with torch.no_grad():
        policy.net[0].bias.copy_(torch.tensor([*mean, *log_scale]))
    return policy


@pytest.mark.parametrize(("given", "kept"), [(-99.0, LOG_SCALE[0]), (99.0, LOG_SCALE[1]), (0.5, 0.5)])
def test_the_scale_of_a_normal_policy_is_bounded(given: float, kept: float):
    policy = normal_policy([0.0], [given])
    assert float(policy(torch.zeros(1, 1)).stddev.log().detach()) == pytest.approx(kept, rel=1e-5)


def test_a_bounded_policy_comes_back_from_the_flat_of_the_squash():
    gradients = []
    for bounded in (True, False):
        policy = normal_policy([8.0, 0.01], [-9.0, 0.0], bounded=bounded)
        pi_ = policy(torch.zeros(1, 1))
        pi_.mean.tanh().sum().backward()
        gradients.append(policy.net[0].bias.grad[:2])
        if bounded:
            torch.testing.assert_close(pi_.mean[0, 1].detach(), torch.tensor(0.01), rtol=1e-4, atol=0)
            assert MEAN - 0.1 < float(pi_.mean[0, 0].detach()) < MEAN
            assert float(pi_.stddev[0, 0].log().detach()) == pytest.approx(LEAST_LOG_SCALE)
    assert float(gradients[0][0]) > 100 * float(gradients[1][0]) > 0
    torch.testing.assert_close(gradients[0][1], gradients[1][1], rtol=1e-4, atol=0)


def test_the_two_numbers_of_a_normal_policy_are_independent():
    pi_ = normal_policy([0.5, -1.0], [0.0, 1.0])(torch.zeros(1, 1))
    assert (pi_.batch_shape, pi_.event_shape) == ((1,), (2,))
    u = torch.tensor([[0.7, 0.2]])
    by_hand = -0.5 * (0.2**2 + (1.2 / e) ** 2) - 1.0 - log(2 * pi)
    assert float(pi_.log_prob(u).detach()) == pytest.approx(by_hand, rel=1e-5)


def test_the_loss_of_a_normal_policy_by_hand():
    policy = normal_policy([0.0], [0.0])
    chosen = ActionSamples(torch.zeros(2, 1), torch.tensor([[-1.0], [-3.0]]), torch.zeros(2, 1))
    q, bonus = torch.tensor([[2.0], [4.0]]), torch.tensor([[0.5], [1.0]])
    loss = policy.loss(chosen, q, bonus, 0.2)
    assert float(loss) == pytest.approx((0.2 * (-1.5) - 2 + 0.2 * (-4.0) - 4) / 2)


def test_a_normal_policy_follows_the_gradient_of_values_and_bonus():
    policy = normal_policy([0.5], [0.0])
    with torch.random.fork_rng():
        torch.manual_seed(0)
        chosen = sample_actions(policy(torch.zeros(4_000, 1)))
    u = chosen.action
    loss = policy.loss(chosen, -(u - 2.0).square(), -0.1 * u, 0.3)
    gradient = torch.autograd.grad(loss, policy.net[0].bias)[0]
    by_hand = [2 * (0.5 - 2.0) + 0.3 * 0.1, 2.0 - 0.3]  # of α(log π − bonus) − Q in mean and log scale
    torch.testing.assert_close(gradient, torch.tensor(by_hand), atol=0.15, rtol=0)


@pytest.mark.parametrize(("mean", "log_scale"), [(0.0, 0.0), (1.0, -1.0), (0.0, 1.0)])
def test_the_entropy_of_a_normal_policy_is_that_of_the_squashed_action(mean: float, log_scale: float):
    scale = e**log_scale
    u = torch.linspace(mean - 9 * scale, mean + 9 * scale, 40_001, dtype=torch.float64)
    normal = torch.distributions.Normal(torch.tensor(mean, dtype=torch.float64), scale)
    exact = float(normal.entropy()) + float(torch.trapezoid(normal.log_prob(u).exp() * -2 * u.cosh().log(), u))
    policy = normal_policy([mean], [log_scale])
    with torch.random.fork_rng(), torch.no_grad():
        torch.manual_seed(0)
        drawn = sample_actions(policy(torch.zeros(100_000, 1)))
    assert float(policy.entropy(drawn)) == pytest.approx(exact, abs=0.03)


def test_the_greatest_entropy_of_a_squashed_action_is_log_two():
    """That of the uniform distribution over (−1, 1), to which the logistic of scale ½ is squashed."""
    u = dist.Logistic(torch.zeros(100_000, 1), 0.5).to_event(1)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        drawn = u.sample()
    nats = normal_policy([0.0], [0.0]).entropy(
        ActionSamples(drawn, u.log_prob(drawn)[:, None], torch.zeros(100_000, 1))
    )
    assert float(nats) == pytest.approx(log(2), abs=5 / sqrt(100_000))
