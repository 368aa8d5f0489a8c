"""Evaluation and improvement together, as tables and as networks, and what collects."""

import copy
from dataclasses import dataclass
from math import log, pi, sqrt
from typing import Any

import pyro.distributions as dist
import pytest
import torch
from gymnasium.spaces import Discrete
from torch import Tensor

from gio_pyro import tabular
from gio_pyro.actor_critic import (
    ContinuousBehaviour,
    DiscreteBehaviour,
    NetworkActorCritic,
    TableActorCritic,
    TableBehaviour,
)
from gio_pyro.actor_critic.guide_reward import Imagined, Replayed, Reward
from gio_pyro.data.replay_buffer import Replay
from gio_pyro.futures import NextState
from gio_pyro.guides import BayesGuide, UniformGuide
from gio_pyro.programs import ActionSamples, build_guide, detached, sample_actions, without_validation
from gio_pyro.schedules.temperature import Temperature
from gio_pyro.settings import Settings
from gio_pyro.tabular import TabularMDP
from gio_pyro.types import Policy, Spec, Transitions
from tests.finite import drawn_replay, exact_replay, spec_of, true_model
from tests.spaces import spec, vector
from tests.tabular.worlds import corridor, random_mdp

ALPHA, GAMMA = 0.5, 0.9


@pytest.fixture(autouse=True)
def _seeded() -> Any:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        yield


@dataclass(frozen=True)
class Stub:
    """A reward that says what it is told to."""

    bonuses: Any
    paid_out: Tensor

    def bonus(self, policy: Policy, state: Tensor, chosen: ActionSamples) -> Tensor:
        return self.bonuses(chosen)

    def transition_bonus(self, policy: Policy, batch: Transitions) -> Tensor:
        return self.paid_out


def four_rows(state: Tensor, action: Tensor) -> Transitions:
    """Going on, terminated, truncated, and both."""
    over, cut = torch.tensor([False, True, False, True]), torch.tensor([False, False, True, True])
    reward = torch.tensor([1.0, 2.0, 3.0, 4.0])
    return Transitions(state, action, reward, state, over, cut, torch.zeros(4), torch.ones(4))


def network(world: Spec, **settings: Any) -> NetworkActorCritic:
    return NetworkActorCritic(world, Settings(**{"hidden": (16,), "discount": GAMMA, **settings}))


def test_the_soft_target_by_hand_for_discrete_actions():
    control = network(spec(Discrete(3), Discrete(2)))
    with torch.no_grad():
        control.policy.net[-1].bias.copy_(torch.tensor([0.25, 0.75]).log())
    control.critic.later = lambda state, chosen: torch.tensor([1.0, 2.0]).expand(len(state), 2)
    paid = torch.tensor([0.1, 0.2, 0.3, 0.4])
    reward = Stub(lambda chosen: torch.tensor([-0.5, 0.25]).expand_as(chosen.log_prob), paid)
    rows = four_rows(torch.tensor([0, 1, 2, 0]), torch.tensor([0, 1, 0, 1]))
    value = 0.25 * (1 + ALPHA * (-0.5 - log(0.25))) + 0.75 * (2 + ALPHA * (0.25 - log(0.75)))
    expected = [1 + ALPHA * 0.1 + GAMMA * value, 2 + ALPHA * 0.2, 3 + ALPHA * 0.3 + GAMMA * value, 4 + ALPHA * 0.4]
    target = control.target(control.policy, rows, reward, torch.tensor(ALPHA))
    assert target.tolist() == pytest.approx(expected, rel=1e-5)
    assert not target.requires_grad


def test_the_soft_target_by_hand_for_continuous_actions():
    control = network(spec(vector(3), vector(2)))
    drawn: list[Tensor] = []

    def later(state: Tensor, chosen: ActionSamples) -> Tensor:
        drawn.append(chosen.action)
        return chosen.action.sum(-1, keepdim=True)

    control.critic.later = later
    reward = Stub(lambda chosen: -chosen.action.abs().sum(-1, keepdim=True), torch.tensor([0.1, 0.2, 0.3, 0.4]))
    rows = four_rows(torch.randn(4, 3), torch.randn(4, 2))
    target = control.target(control.policy, rows, reward, torch.tensor(ALPHA))
    (u,) = drawn
    log_pi = -0.5 * u.square().sum(-1) - log(2 * pi)
    value = u.sum(-1) + ALPHA * (-u.abs().sum(-1) - log_pi)
    going = torch.tensor([1.0, 0.0, 1.0, 0.0])
    expected = rows.reward + ALPHA * reward.paid_out + GAMMA * going * value
    torch.testing.assert_close(target, expected)


class World:
    """A finite world with its true model, beside which a guide reads."""

    def __init__(self, mdp: TabularMDP, guide: Any = BayesGuide) -> None:
        self.mdp, self.spec, self.rows = mdp, spec_of(mdp), exact_replay(mdp)
        self.model, self.guide_class = true_model(mdp.transition), guide

    def reward(self, intrinsic: str, policy: Policy) -> Reward:
        guide = build_guide(self.guide_class, self.spec, self.model, policy, torch.zeros(1, dtype=torch.long))
        return Replayed(guide, NextState()) if intrinsic == "replayed" else Imagined(self.model, guide, 1)

    def tables(self, intrinsic: str, rounds: int = 60) -> TableActorCritic:
        """Tables after rounds of evaluation and improvement on exact frequencies."""
        settings = Settings(discount=self.mdp.discount, sweeps=2_000, initial_value=0.0)
        control = TableActorCritic(self.spec, settings)
        reward, alpha = self.reward(intrinsic, control.policy), Temperature(ALPHA, target=0.0, learning_rate=0.1)
        with without_validation():
            for _ in range(rounds):
                control.improve(self.rows, reward, alpha, 0)
        return control

    def solution(self) -> Any:
        exact = {BayesGuide: tabular.bayes, UniformGuide: tabular.uniform}[self.guide_class]
        return tabular.policy_iteration(self.mdp, temperature=ALPHA, guide=exact)


WORLDS = {
    "dense": random_mdp(1),
    "sparse": random_mdp(2, kind="sparse", discount=0.7),
    "deterministic": random_mdp(3, kind="deterministic", discount=0.5),
    "ends": corridor(4, discount=0.9),
}
every_world = pytest.mark.parametrize("kind", WORLDS)
both_readings = pytest.mark.parametrize("intrinsic", ["imagined", "replayed"])
both_guides = pytest.mark.parametrize("guide", [BayesGuide, UniformGuide])


@both_guides
@both_readings
@every_world
def test_tables_reach_the_optimum_of_the_exact_tier_wherever_the_guide_is_read(kind: str, intrinsic: str, guide: Any):
    world = World(WORLDS[kind], guide)
    control, exact = world.tables(intrinsic), world.solution()
    live = ~world.mdp.terminal
    torch.testing.assert_close(control.policy.log_pi.exp().double()[live], exact.policy[live], atol=2e-3, rtol=0)


@both_guides
@every_world
def test_the_replayed_reading_takes_log_rho_into_its_values(kind: str, guide: Any):
    """Q̃ = Q + α log ρ̄: one fixed point, written in two ways."""
    world = World(WORLDS[kind], guide)
    imagined, replayed = world.tables("imagined"), world.tables("replayed")
    state = torch.arange(world.mdp.states)[~world.mdp.terminal]
    reward = world.reward("imagined", imagined.policy)
    with torch.no_grad(), without_validation():
        log_rho = reward.bonus(imagined.policy, state, sample_actions(imagined.policy(state)))
    torch.testing.assert_close(replayed.critic(state), imagined.critic(state) + ALPHA * log_rho, atol=5e-3, rtol=1e-3)
    torch.testing.assert_close(imagined.critic(state).double(), world.solution().q[state], atol=5e-3, rtol=1e-3)


def test_what_a_table_reads_as_intrinsic_is_the_mutual_information():
    world = World(WORLDS["dense"])
    control = world.tables("imagined")
    state = torch.tensor([3, 0, 3])
    exact = tabular.mutual_information(world.mdp.transition, control.policy.log_pi.exp().double())
    paid = control.intrinsic(world.reward("imagined", control.policy), state)
    torch.testing.assert_close(paid.double(), exact[state], atol=1e-5, rtol=0)


def mild_world() -> TabularMDP:
    """Three states whose best policies, for either guide, keep both actions."""
    mdp = random_mdp(4, 3, 2, discount=0.5)
    return TabularMDP(mdp.transition, 0.2 * mdp.reward, discount=0.5)


@pytest.mark.parametrize(
    ("intrinsic", "guide", "tolerance"),
    [
        ("imagined", BayesGuide, 0.02),
        pytest.param("replayed", BayesGuide, 0.06, marks=pytest.mark.slow),
        pytest.param("imagined", UniformGuide, 0.02, marks=pytest.mark.slow),
    ],
)
def test_networks_of_one_hot_states_reach_the_exact_tiers_policy(intrinsic: str, guide: Any, tolerance: float):
    """The policy is averaged over its last hundred steps; read at replayed transitions it is noisier."""
    world = World(mild_world(), guide)
    control = network(world.spec, hidden=(32,), discount=0.5, learning_rate=0.01, target_rate=0.1)
    reward, alpha = world.reward(intrinsic, control.policy), Temperature(ALPHA, target=0.0, learning_rate=0.1)
    replay, policies = Replay(4_000), []
    replay.add(drawn_replay(world.mdp, 4_000))
    with without_validation():
        for _ in range(250):
            rows = replay.sample(128)
            control.improve(rows, reward, alpha, 0)
            policies.append(control.policy(torch.arange(3)).probs.detach().double())
    learned = torch.stack(policies[-100:]).mean(0)
    torch.testing.assert_close(learned, world.solution().policy, atol=tolerance, rtol=0)


def test_the_methods_of_the_test_above_differ_by_more_than_it_tolerates():
    best = [World(mild_world(), guide).solution().policy for guide in (BayesGuide, UniformGuide)]
    assert float((best[0] - best[1]).abs().max()) > 0.15
    assert all(0.1 < float(p) < 0.9 for policy in best for p in policy.flatten())


CONTINUOUS = spec(vector(3), vector(2))
DISCRETE = spec(vector(3), Discrete(3))
kinds = pytest.mark.parametrize("world", [CONTINUOUS, DISCRETE], ids=["continuous", "discrete"])


def rows_of(world: Spec, count: int = 32) -> Transitions:
    discrete = isinstance(world.action_space, Discrete)
    action = torch.randint(3, (count,)) if discrete else torch.randn(count, 2)
    no = torch.zeros(count, dtype=torch.bool)
    return Transitions(
        torch.randn(count, 3),
        action,
        torch.randn(count),
        torch.randn(count, 3),
        no,
        no,
        torch.zeros(count),
        torch.ones(count),
    )


NOTHING = Stub(lambda chosen: torch.zeros_like(chosen.log_prob), torch.zeros(()))


def improve(control: NetworkActorCritic, world: Spec, alpha: str | float = ALPHA, **temperature: Any) -> Any:
    given = Temperature(alpha, **{"target": 0.0, "learning_rate": 0.1, **temperature})
    rows = rows_of(world)
    return control.improve(rows, NOTHING, given, 0), given


@pytest.mark.parametrize("rate", [0.005, 0.3, 1.0])
@kinds
def test_slow_targets_follow_at_the_given_rate(world: Spec, rate: float):
    control = network(world, target_rate=rate)
    improve(control, world)
    before = copy.deepcopy(dict(control.critic.target.named_parameters()))
    improve(control, world)
    for name, online in control.critic.online.named_parameters():
        expected = (1 - rate) * before[name] + rate * online
        torch.testing.assert_close(dict(control.critic.target.named_parameters())[name], expected)


@kinds
def test_an_improvement_moves_critic_and_policy_and_leaves_targets_without_gradient(world: Spec):
    control = network(world)
    before = copy.deepcopy(control.state_dict())
    figures, _ = improve(control, world)
    moved = {name for name, value in control.state_dict().items() if not torch.equal(value, before[name])}
    assert {name.split(".")[0] for name in moved} == {"policy", "critic"}
    assert all(p.grad is None for p in control.critic.target.parameters())
    names = {"critic_loss", "q", "critic_gradient", "actor_loss", "entropy", "policy_gradient"}
    assert set(figures) == names
    assert all(value.ndim == 0 and not value.requires_grad for value in figures.values())


@kinds
def test_the_policys_step_leaves_the_critic_alone_and_the_critics_the_policy(world: Spec):
    control, rows = network(world), rows_of(world)
    alpha = torch.tensor(ALPHA)
    before = copy.deepcopy(control.state_dict())
    control.projection.step(NOTHING, alpha, rows.state)
    assert not differs(control, before, "critic")
    assert differs(control, before, "policy")
    before = copy.deepcopy(control.state_dict())
    control.evaluation.step(NOTHING, alpha, *rows.tensors())
    assert differs(control, before, "critic.online")
    assert not differs(control, before, "critic.target")
    assert not differs(control, before, "policy")


def differs(control: NetworkActorCritic, before: dict[str, Tensor], prefix: str) -> bool:
    return any(not torch.equal(v, before[n]) for n, v in control.state_dict().items() if n.startswith(prefix))


@kinds
def test_a_learned_temperature_follows_the_policys_entropy(world: Spec):
    control = network(world)
    _, rising = improve(control, world, "auto:0.2", target=100.0)
    _, falling = improve(control, world, "auto:0.2", target=-100.0)
    assert float(rising.at(0)) > 0.2 > float(falling.at(0))


@kinds
def test_statistics_of_the_inputs_are_told_to_policy_critic_and_target_alike(world: Spec):
    control = network(world)
    control.observe(5 + 2 * torch.randn(500, 3))
    encoders = [control.policy.encoder, control.critic.online.encoder, control.critic.target.encoder]
    for encoder in encoders:
        torch.testing.assert_close(encoder.scale.mean, torch.full((3,), 5.0), atol=0.5, rtol=0)
        torch.testing.assert_close(encoder.scale.state_dict(), encoders[0].scale.state_dict(), rtol=0, atol=0)


def test_a_networks_entropy_is_that_of_the_squashed_action_for_continuous_policies():
    """At the start u ~ N(0, 1): the entropy of tanh u over (−1, 1) is 1.4189 − E log(1/(1 − tanh² u)) nats a number."""
    control = network(CONTINUOUS)
    u = torch.linspace(-9, 9, 20_001, dtype=torch.float64)
    density = (-0.5 * u.square()).exp() / sqrt(2 * pi)
    slope = -2 * torch.log(torch.cosh(u))
    exact = 2 * float(torch.trapezoid(density * (0.5 * u.square() + 0.5 * log(2 * pi) + slope), u))
    drawn = float(control.entropy(torch.randn(200_000, 3)))
    assert drawn == pytest.approx(exact, abs=0.02)
    assert float(network(DISCRETE).entropy(torch.randn(5, 3))) == pytest.approx(log(3))


@kinds
def test_what_an_improvement_reads_is_a_sample_of_the_batch_size(world: Spec):
    replay = Replay(100)
    replay.add(rows_of(world))
    assert len(network(world, batch_size=7).rows(replay)) == 7


def test_what_a_table_reads_is_everything_merged():
    world = World(WORLDS["dense"])
    replay = Replay(1_000)
    replay.add(drawn_replay(world.mdp, 500))
    rows = TableActorCritic(world.spec, Settings()).rows(replay)
    assert float(rows.weight.sum()) == 500
    assert len(rows) <= 4 * 3 * 4


def test_each_kind_of_world_has_its_behaviour():
    tables = TableActorCritic(spec(Discrete(3), Discrete(2)), Settings())
    assert isinstance(tables.behaviour(uniform_share=0.1), TableBehaviour)
    assert isinstance(network(DISCRETE).behaviour(uniform_share=0.1), DiscreteBehaviour)
    assert isinstance(network(CONTINUOUS).behaviour(uniform_share=0.1), ContinuousBehaviour)


SKEWED = torch.tensor([[0.7, 0.2, 0.1], [0.05, 0.05, 0.9]])


def skewed(state: Tensor) -> dist.Categorical:
    return dist.Categorical(probs=SKEWED[state])


@pytest.mark.parametrize("share", [0.0, 0.3, 1.0])
@pytest.mark.parametrize("kind", [TableBehaviour, DiscreteBehaviour])
def test_a_discrete_behaviour_draws_what_it_says(kind: Any, share: float):
    count = 30_000
    state = torch.zeros(count, dtype=torch.long)
    action, log_mu = kind(skewed, share)(state)
    mu = (1 - share) * SKEWED[0] + share / 3
    torch.testing.assert_close(log_mu.float(), mu[action].log(), atol=1e-5, rtol=0)
    frequency = torch.bincount(action, minlength=3) / count
    assert float(((frequency - mu).abs() / (mu * (1 - mu) / count).sqrt()).max()) < 5.0


@pytest.mark.parametrize("kind", [TableBehaviour, DiscreteBehaviour])
def test_a_discrete_behaviour_reads_each_state_on_its_own(kind: Any):
    state = torch.tensor([1, 0, 1])
    action, log_mu = kind(skewed, 0.0)(state)
    assert (action.shape, log_mu.shape) == ((3,), (3,))
    torch.testing.assert_close(log_mu.float(), SKEWED[state, action].log())


def shifted(state: Tensor) -> dist.Independent:
    return dist.Normal(state[:, :2], 0.5).to_event(1)


@pytest.mark.parametrize("share", [0.0, 0.4, 1.0])
def test_a_continuous_behaviour_says_the_density_of_its_mixture(share: float):
    state = torch.randn(1_000, 3)
    action, log_mu = ContinuousBehaviour(shifted, share)(state)
    own = torch.distributions.Normal(state[:, :2], 0.5).log_prob(action).sum(-1).exp()
    box = 0.25 * (1 - action.tanh().double().square()).prod(-1)
    assert (action.shape, log_mu.shape) == ((1_000, 2), (1_000,))
    mixture = (1 - share) * own.double() + share * box
    torch.testing.assert_close(log_mu.double().exp(), mixture, atol=1e-5, rtol=1e-3)


def test_the_log_density_of_a_hundred_action_numbers_is_finite():
    state = torch.zeros(4, 200)
    _, log_mu = ContinuousBehaviour(lambda s: dist.Normal(s[:, :100], 1e-2).to_event(1), 0.0)(state)
    assert torch.isfinite(log_mu).all()
    assert float(log_mu.min()) > 200.0


def test_a_continuous_behaviour_explores_with_its_share():
    state = torch.full((20_000, 3), 10.0)
    action, _ = ContinuousBehaviour(shifted, 0.25)(state)
    far = (action < 5.0).all(-1).float().mean()
    assert float(far) == pytest.approx(0.25, abs=0.02)


@kinds
def test_behaviours_carry_no_gradient(world: Spec):
    action, log_mu = network(world).behaviour(uniform_share=0.1)(torch.randn(4, 3))
    assert not action.requires_grad
    assert not log_mu.requires_grad


def test_a_tables_behaviour_asks_the_policy_once_for_each_state():
    asked: list[int] = []

    def counting(state: Tensor) -> dist.Categorical:
        asked.extend(state.tolist())
        return skewed(state)

    behaviour = TableBehaviour(counting, 0.1)
    for _ in range(5):
        behaviour(torch.tensor([0, 1, 0]))
    assert sorted(asked) == [0, 1]


def test_a_detached_policy_is_asked_once_about_one_batch():
    control = network(CONTINUOUS)
    fixed, state = detached(control.policy), torch.randn(3, 3)
    assert fixed(state) is fixed(state)
    assert not fixed(state).mean.requires_grad
    assert fixed(state.clone()) is not fixed(state)
