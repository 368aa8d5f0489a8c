"""MIRL in full: the one loop with a guide that moves by itself, beside its closed forms and the exact tier.

π(a|s) ∝ π_0(a) exp(Q(s, a)/τ), π_0 ← (1 − η) π_0 + η π(·|s), 1/τ ← (1 − η_β)/τ + η_β/loss, greedy but for a share
that is drawn from π_0 (Grau-Moya et al., 2019).

Cost: 60 s.
"""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyro.distributions as dist
import pytest
import torch
from gymnasium.spaces import Box, Discrete
from gymnasium.wrappers import TransformObservation
from torch import Tensor

from gio_pyro import GIO, tabular
from gio_pyro.actor_critic import NetworkActorCritic, TablePolicy
from gio_pyro.actor_critic.guide_reward import intrinsic_reward
from gio_pyro.data.merging import merge
from gio_pyro.diagnostics import policy_table
from gio_pyro.guides import MovingMarginalGuide
from gio_pyro.guides.priors import MIN_PRIOR
from gio_pyro.programs import sample_actions
from gio_pyro.settings import Settings
from gio_pyro.types import Policy, Spec, Transitions
from tests.agents import differences
from tests.test_methods import DISCOUNT, REWARD, TRANSITION, TableWorld

START = np.array([0.8, 0.2])
FULL: dict[str, Any] = {"guide": "MovingMarginalGuide", "temperature": "loss:0.5:0.01", "greedy": True}
QUICK: dict[str, Any] = {"gradient_steps": 0, "sweeps": 5, "improvements": 10, "train_freq": 100, "seed": 0}


class Fast(MovingMarginalGuide):
    rate = 0.3


def moved(policy: Policy, state: list[int], weight: list[float], rounds: int = 1, actions: int = 2) -> Tensor:
    guide = MovingMarginalGuide(Spec(Discrete(3), Discrete(actions), Discrete(3)))
    with torch.no_grad():
        for _ in range(rounds):
            guide.follow(policy, torch.tensor(state), torch.tensor(weight))
    return guide.prior


def test_the_prior_moves_by_its_rate_towards_the_weighted_marginal():
    """From (1/2, 1/2) by η = .05 to the marginal (.75 · .9 + .25 · .1, ...) = (.7, .3)."""
    rows = torch.tensor([[0.9, 0.1], [0.1, 0.9]])
    prior = moved(lambda s: dist.Categorical(probs=rows[s]), [0, 1], [3.0, 1.0])
    assert prior.tolist() == pytest.approx([0.51, 0.49])


def test_the_prior_arrives_and_stays_normalised():
    rows = torch.softmax(torch.randn(3, 7, generator=torch.Generator().manual_seed(0)), -1)
    prior = moved(lambda s: dist.Categorical(probs=rows[s]), [0, 1, 2], [1.0, 2.0, 5.0], rounds=400, actions=7)
    torch.testing.assert_close(prior, torch.tensor([1.0, 2.0, 5.0]) / 8 @ rows, atol=1e-5, rtol=1e-4)
    assert float(prior.double().sum()) == pytest.approx(1.0, abs=1e-6)


def test_an_action_that_was_lost_keeps_a_finite_share():
    prior = moved(lambda s: dist.Categorical(probs=torch.tensor([1.0, 0.0]).expand(len(s), -1)), [0], [1.0], 400)
    assert float(prior[1]) == pytest.approx(MIN_PRIOR, rel=1e-3)
    assert bool(torch.isfinite(prior.log()).all())


def test_a_table_that_is_improved_has_the_soft_maximum_as_its_value():
    """E_π[Q + α(log π_0 − log π)] = α log Σ_a π_0 exp(Q/α) where π ∝ π_0 exp(Q/α): there is no second backup."""
    g = torch.Generator().manual_seed(3)
    q, log_prior, alpha = torch.randn(5, 4, generator=g), torch.log_softmax(torch.randn(4, generator=g), -1), 0.4
    policy = TablePolicy(5, 4)
    policy.improve(torch.arange(5), q, log_prior.expand(5, -1), temperature=alpha)
    chosen = sample_actions(policy(torch.arange(5)))
    value = chosen.mean(q) + alpha * intrinsic_reward(chosen, log_prior.expand(5, -1))
    torch.testing.assert_close(value, alpha * torch.logsumexp(log_prior + q / alpha, -1), atol=1e-5, rtol=0)


def test_the_networks_target_is_the_soft_one_and_a_policy_that_lags_gets_less():
    """(TQ)(s, a, s') = r + γ τ log Σ_a' π_0(a') exp(Q⁻(s', a')/τ)."""
    space, alpha, discount, count = Box(-9, 9, (3,)), torch.tensor(0.3), 0.9, 64
    control = NetworkActorCritic(Spec(space, Discrete(4), space), Settings(discount=discount, hidden=(8,)))
    log_prior = torch.log_softmax(torch.randn(4), -1)
    rows = Transitions(
        torch.randn(count, 3), torch.randint(4, (count,)), torch.randn(count), torch.randn(count, 3),
        torch.rand(count) < 0.3, torch.zeros(count, dtype=torch.bool), torch.zeros(count), torch.ones(count),
    )  # fmt: skip
    uniform = sample_actions(control.policy(rows.next_state))
    with torch.no_grad():
        score = log_prior + control.critic.later(rows.next_state, uniform) / alpha

    class Prior:
        def bonus(self, policy: Policy, state: Tensor, chosen: Any) -> Tensor:
            return log_prior.expand(len(state), -1)

        def transition_bonus(self, policy: Policy, batch: Transitions) -> float:
            return 0.0

    soft = rows.reward + discount * (~rows.terminated) * alpha * torch.logsumexp(score, -1)
    target = control.target(lambda s: dist.Categorical(logits=score), rows, Prior(), alpha)
    torch.testing.assert_close(target, soft, atol=1e-5, rtol=0)
    lagging = control.target(control.policy, rows, Prior(), alpha)
    assert bool((lagging <= soft + 1e-5).all())


class InTurn(TableWorld):
    """Two states of which every fifth is the second, whatever is done: (.8, .2) without the noise of drawing them."""

    taken = 0

    def step(self, action: Any) -> tuple[int, float, bool, bool, dict[str, Any]]:
        _, reward, *rest = super().step(action)
        self.taken += 1
        self.state = int(self.taken % 5 == 4)
        return self.state, reward, *rest


def named(discount: float = 0.0) -> tabular.TabularMDP:
    """Naming the state pays 1."""
    return tabular.TabularMDP(np.tile(START, (2, 2, 1)), np.eye(2), discount=discount, start=START)


def by_name(temperature: float, discount: float = 0.0, steps: int = 2_000) -> GIO:
    world = InTurn(np.tile(START, (2, 2, 1)), np.eye(2), [1.0, 0.0])
    return GIO(world, guide=Fast, temperature=temperature, discount=discount, **QUICK).learn(steps)


def prior_of(agent: GIO) -> Tensor:
    return agent.guide.program.prior.double()


@pytest.mark.parametrize(
    ("temperature", "discount", "earned", "information", "first"),
    [
        (0.5, 0.0, 0.880797, 0.135069, 0.893911),
        pytest.param(1.0, 0.0, 0.8, 0.0, 1.0, marks=pytest.mark.slow),
        pytest.param(0.5, 0.5, 0.880797, 0.135069, 0.893911, marks=pytest.mark.slow),
        pytest.param(0.25, 0.0, None, 0.410308, None, marks=pytest.mark.slow),
    ],
)
def test_the_loop_meets_the_oracles(
    temperature: float, discount: float, earned: float | None, information: float, first: float | None
):
    """What a state is followed by moves no action's advantage here, so the discount does not matter to the policy."""
    agent = by_name(temperature, discount)
    pi, visits = policy_table(agent), torch.tensor(START)
    assert replayed_visits(agent).tolist() == START.tolist()
    assert float(tabular.action_information(named(), pi)) == pytest.approx(information, abs=1e-3)
    if earned is not None:
        assert float(visits @ pi.diagonal()) == pytest.approx(earned, abs=1e-3)
    if first is not None:
        assert float(prior_of(agent)[0]) == pytest.approx(first, abs=1e-3)


@pytest.mark.parametrize(("discount", "value"), [(0.0, 0.620115), (0.9, 6.201145)])
def test_the_loop_meets_the_bandit_with_a_uniform_prior(discount: float, value: float):
    world = TableWorld(np.ones((1, 2, 1)), [[1.0, 0.0]], [1.0])
    agent = GIO(world, guide="UniformGuide", temperature=1.0, discount=discount, gradient_steps=0).learn(1_000)
    pi = policy_table(agent)[0]
    soft = pi @ (agent.actor_critic.critic.q[0].double() - pi.log() - np.log(2))
    assert float(pi[0]) == pytest.approx(0.731059, abs=1e-4)
    assert float(soft) == pytest.approx(value, abs=1e-3)


def replayed_visits(agent: GIO) -> Tensor:
    """The share of replay's transitions from each state, `[S]`: what the learned prior averages over."""
    state = agent.replay.all().state
    if state.is_floating_point():
        return state.double().mean(0)
    return torch.bincount(state, minlength=agent.spec.state_space.n).double() / len(state)


STEERED = tabular.TabularMDP(TRANSITION, REWARD, discount=DISCOUNT, start=[1.0, 0.0, 0.0])
STEERED_ALPHA = 0.3
"""All actions keep a share of the prior here, so the exact alternation converges quickly."""


def as_tables(mdp: tabular.TabularMDP, temperature: float) -> GIO:
    world = TableWorld(mdp.transition, mdp.reward, mdp.start)
    often = QUICK | {"train_freq": 200, "improvements": 15}
    return GIO(world, guide=Fast, temperature=temperature, discount=mdp.discount, **often).learn(4_000)


def regret(agent: GIO, mdp: tabular.TabularMDP, guide: Any) -> float:
    """By how much the learned policy differs in value, averaged over starts, from the exact one of the method."""
    alpha = agent.settings.temperature
    best = tabular.policy_iteration(mdp, alpha, guide=guide)
    own = tabular.policy_iteration(mdp, alpha, policy_table(agent), guide=guide).history[0]
    return float(((best.value - own) * mdp.start).sum().abs())


@pytest.mark.slow
def test_where_nobody_steers_the_states_both_tiers_meet():
    """One state after the other, whatever is done: replay's visits are the discounted ones, exactly."""
    transition = np.repeat(np.roll(np.eye(3), 1, axis=1)[:, None], 3, axis=1)
    mdp = tabular.TabularMDP(transition, REWARD, discount=DISCOUNT, start=np.full(3, 1 / 3))
    agent = as_tables(mdp, STEERED_ALPHA)
    exact = tabular.policy_iteration(mdp, STEERED_ALPHA, guide=tabular.marginal)
    torch.testing.assert_close(replayed_visits(agent), tabular.discounted_visits(mdp, exact.policy), atol=1e-3, rtol=0)
    torch.testing.assert_close(prior_of(agent), tabular.action_marginal(mdp, exact.policy), atol=0.005, rtol=0)
    torch.testing.assert_close(policy_table(agent), exact.policy, atol=0.005, rtol=0)
    assert regret(agent, mdp, tabular.marginal) <= 0.001
    assert regret(agent, mdp, tabular.uniform) > 0.01


@pytest.mark.slow
def test_where_the_policy_steers_the_states_the_loop_meets_the_exact_tier_over_its_own_visits():
    """Discounted visits from the start are others, by more than 0.1; so is maximum entropy's policy."""
    agent, mdp, alpha = as_tables(STEERED, STEERED_ALPHA), STEERED, STEERED_ALPHA
    visits = replayed_visits(agent)
    own = tabular.marginal_over(visits)
    exact = tabular.policy_iteration(mdp, alpha, guide=own)
    marginal = tabular.action_marginal(mdp, exact.policy, visits=visits)
    torch.testing.assert_close(prior_of(agent), marginal, atol=0.02, rtol=0)
    torch.testing.assert_close(policy_table(agent), exact.policy, atol=0.03, rtol=0)
    assert regret(agent, mdp, own) <= 0.01
    assert regret(agent, mdp, tabular.marginal) <= 0.02
    assert float((tabular.discounted_visits(mdp, exact.policy) - visits).abs().max()) > 0.1
    entropic = tabular.policy_iteration(mdp, alpha, guide=tabular.uniform)
    assert float((entropic.policy - exact.policy).abs().max()) > 0.1


@dataclass
class Late:
    """Policy, prior and Q of an agent of networks over one-hot states, averaged over the reports of its last half."""

    seen: list[tuple[Tensor, Tensor, Tensor]] = field(default_factory=list)

    def __call__(self, agent: GIO, metrics: dict[str, float]) -> None:
        every = torch.eye(*agent.spec.state_space.shape)
        with torch.no_grad():
            pi = agent.policy(every)
            self.seen.append(
                (pi.probs.double(), prior_of(agent).clone(), agent.actor_critic.critic(every, sample_actions(pi)))
            )

    def averages(self) -> list[Tensor]:
        late = self.seen[len(self.seen) // 2 :]
        return [torch.stack(tables).double().mean(0) for tables in zip(*late, strict=True)]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("mdp", "temperature"), [(named(0.5), 0.5), (STEERED, STEERED_ALPHA)], ids=["by name", "steered"]
)
def test_networks_of_one_hot_states_meet_the_exact_tier_over_their_own_visits(
    mdp: tabular.TabularMDP, temperature: float
):
    """A Box of observations: policy, critic and prior learn from batches of replay, collected greedily."""
    size, late = mdp.states, Late()
    world = TransformObservation(
        TableWorld(mdp.transition, mdp.reward, mdp.start),
        lambda state: np.eye(size, dtype=np.float32)[state],
        Box(0.0, 1.0, (size,)),
    )
    agent = GIO(
        world, guide=Fast, temperature=temperature, discount=mdp.discount, greedy=True, uniform_share=0.2, seed=0,
        hidden=(16,), learning_rate=0.01, target_rate=0.1, learning_starts=100, batch_size=256, gradient_steps=0,
        train_freq=100, updates=25, log_interval=100,
    ).learn(2_400, callback=late)  # fmt: skip
    assert isinstance(agent.actor_critic, NetworkActorCritic)
    visits = replayed_visits(agent)
    exact = tabular.policy_iteration(mdp, temperature, guide=tabular.marginal_over(visits))
    policy, prior, q = late.averages()
    torch.testing.assert_close(policy, exact.policy, atol=0.05, rtol=0)
    torch.testing.assert_close(prior, tabular.action_marginal(mdp, exact.policy, visits=visits), atol=0.03, rtol=0)
    torch.testing.assert_close(q, exact.q, atol=0.08, rtol=0)
    entropic = tabular.policy_iteration(mdp, temperature, guide=tabular.uniform)
    assert float((entropic.policy - exact.policy).abs().max()) > 0.15


@pytest.mark.slow
def test_in_a_world_without_noise_the_temperature_falls_from_its_start_as_the_critic_settles():
    agent = GIO("CliffWalking-v1", **FULL, **QUICK, initial_value=0.0, uniform_share=0.3)
    alpha = [float(agent.learn(500).temperature.at(0)) for _ in range(4)]
    assert alpha[-1] < min(alpha[0], 0.25)
    assert 0.5e-3 <= min(alpha) <= max(alpha) <= 0.5e3


@pytest.mark.parametrize(
    ("world", "quick"),
    [
        ("FrozenLake-v1", {"train_freq": 50, "gradient_steps": 3, "sweeps": 20}),
        pytest.param(
            "CartPole-v1", {"learning_starts": 40, "batch_size": 16, "hidden": (8, 8)}, marks=pytest.mark.slow
        ),
    ],
)
def test_it_resumes_exactly_temperature_prior_and_all(world: str, quick: dict[str, Any], tmp_path: Path):
    first = GIO(world, **FULL, **quick, seed=0).learn(200)
    first.save(tmp_path)
    second = GIO.load(tmp_path)
    assert not differences(first.learn(200), second.learn(200))
    assert float(second.temperature.at(0)) != 0.5
    assert not torch.equal(prior_of(second), torch.full_like(prior_of(second), 1 / len(prior_of(second))))


@pytest.mark.learning
@pytest.mark.parametrize("seed", range(3))
def test_with_networks_it_learns_to_balance_for_longer(seed: int):
    """Uniform actions balance for 22 steps on average. Fewer steps do not tell methods apart: theory, MIRL in full."""
    quick = {"hidden": (64, 64), "learning_starts": 1_000, "uniform_share": 0.2, "seed": seed}
    agent = GIO("CartPole-v1", **FULL, **quick).learn(10_000)
    prior = prior_of(agent)
    assert float(prior.sum()) == pytest.approx(1.0, abs=1e-5)
    assert bool((prior > 0.02).all())  # both directions are needed
    assert np.mean(agent.evaluate(10, deterministic=True).returns) > 100


def test_a_replay_that_is_merged_counts_as_much_as_one_that_is_not():
    agent = by_name(0.5, steps=500)
    rows = agent.replay.all()
    state, weight = merge(rows).distinct_states()
    torch.testing.assert_close(weight, torch.bincount(rows.state).double()[state])
