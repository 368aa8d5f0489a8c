"""The intrinsic reward, read from programs, equals the exact tier's on finite worlds."""

from math import log
from typing import Any

import pyro
import pyro.distributions as dist
import pytest
import torch
from gymnasium.spaces import Discrete
from torch import Tensor

from gio_pyro import GIO, tabular
from gio_pyro.actor_critic.guide_reward import Imagined, Replayed, finite_nats, intrinsic_reward, reward_named
from gio_pyro.errors import InputError, TrainingError
from gio_pyro.futures import NextState, StateAfter
from gio_pyro.guides import (
    BayesGuide,
    CategoricalGuide,
    GaussianGuide,
    HabitGuide,
    MarginalGuide,
    UniformGuide,
)
from gio_pyro.models import GaussianModel
from gio_pyro.programs import ActionSamples, Guide, Model, build_guide, build_model, sample_actions
from gio_pyro.tabular.iteration import intrinsic_reward as exact_reward
from gio_pyro.types import Policy, Spec, Transitions
from tests.finite import exact_replay, table_policy, true_model
from tests.spaces import spec, vector
from tests.tabular.worlds import random_mdp, random_rows

NATS = {"atol": 1e-5, "rtol": 0.0}
worlds = pytest.mark.parametrize("kind", ["dense", "sparse", "deterministic"])
seeds = pytest.mark.parametrize("seed", range(5))
sizes = pytest.mark.parametrize(("states", "actions"), [(4, 3), (2, 2), (9, 5)])


@torch.no_grad()
def log_rho(model: Model, guide: Guide, policy: Policy, state: Tensor, samples: int) -> Tensor:
    """log ρ̄ of every action, as `GIO.intrinsic_reward` reads it."""
    return finite_nats(Imagined(model, guide, samples).bonus(policy, state, sample_actions(policy(state))), guide.name)


class Pair:
    """A random world, a random policy, and a guide beside the true model."""

    def __init__(self, seed: int, kind: str, guide: Any, states: int = 4, actions: int = 3) -> None:
        self.mdp = random_mdp(seed, states, actions, kind=kind)
        self.pi = random_rows(seed + 50, states, actions)
        self.policy, self.model = table_policy(self.pi), true_model(self.mdp.transition)
        self.state = torch.arange(states)
        spec = Spec(Discrete(states), Discrete(actions), Discrete(states))
        with torch.random.fork_rng():
            self.guide: Guide = build_guide(guide, spec, self.model, self.policy, self.state)

    def log_rho(self) -> Tensor:
        return log_rho(self.model, self.guide, self.policy, self.state, samples=4)

    def reward(self) -> Tensor:
        return intrinsic_reward(sample_actions(self.policy(self.state)), self.log_rho())


@seeds
@worlds
@sizes
def test_with_the_exact_posterior_the_reward_is_mutual_information(seed: int, kind: str, states: int, actions: int):
    pair = Pair(seed, kind, BayesGuide, states, actions)
    exact = tabular.mutual_information(pair.mdp.transition, pair.pi)
    torch.testing.assert_close(pair.reward().double(), exact, **NATS)


@seeds
@worlds
def test_with_the_exact_posterior_log_rho_is_the_exact_tiers(seed: int, kind: str):
    pair = Pair(seed, kind, BayesGuide)
    exact = tabular.bayes(pair.mdp, pair.pi, pair.mdp.transition)
    torch.testing.assert_close(pair.log_rho().double(), exact, **NATS)


@seeds
@worlds
def test_a_fixed_guide_is_paid_as_in_the_exact_tier(seed: int, kind: str):
    pair = Pair(seed, kind, CategoricalGuide)
    table = torch.randn(4, 4, 3, generator=torch.Generator().manual_seed(seed))
    pair.guide.load_state_dict({"program.table": table})
    q = torch.softmax(pair.pi.log()[:, None] + table.double(), -1)
    exact = tabular.fixed_posterior(q)(pair.mdp, pair.pi, pair.mdp.transition)
    torch.testing.assert_close(pair.log_rho().double(), exact, **NATS)
    torch.testing.assert_close(pair.reward().double(), exact_reward(pair.pi, exact), **NATS)


@seeds
@worlds
def test_any_guide_is_paid_at_most_the_mutual_information(seed: int, kind: str):
    pair = Pair(seed, kind, CategoricalGuide)
    pair.guide.load_state_dict({"program.table": torch.randn(4, 4, 3, generator=torch.Generator().manual_seed(seed))})
    exact = tabular.mutual_information(pair.mdp.transition, pair.pi)
    assert bool((pair.reward().double() <= exact + 1e-5).all())


def test_a_guide_that_is_the_policy_is_paid_nothing():
    torch.testing.assert_close(Pair(0, "dense", CategoricalGuide).reward(), torch.zeros(4), **NATS)


@seeds
def test_the_uniform_guide_pays_the_entropy_less_log_a(seed: int):
    pair = Pair(seed, "dense", UniformGuide)
    torch.testing.assert_close(pair.log_rho(), torch.full((4, 3), -log(3)), **NATS)
    exact = tabular.uniform(pair.mdp, pair.pi, pair.mdp.transition)
    torch.testing.assert_close(pair.reward().double(), exact_reward(pair.pi, exact), **NATS)


@seeds
def test_the_marginal_guide_pays_log_rho(seed: int):
    pair = Pair(seed, "sparse", MarginalGuide)
    logits = torch.randn(3, generator=torch.Generator().manual_seed(seed))
    pair.guide.load_state_dict({"program.logits": logits})
    torch.testing.assert_close(pair.log_rho(), torch.log_softmax(logits, -1).expand(4, 3), **NATS)


@seeds
def test_the_habit_guide_pays_minus_the_divergence_from_the_habit(seed: int):
    pair = Pair(seed, "sparse", HabitGuide)
    table = torch.randn(4, 3, generator=torch.Generator().manual_seed(seed))
    pair.guide.load_state_dict({"program.table": table})
    torch.testing.assert_close(pair.log_rho(), torch.log_softmax(table, -1), **NATS)
    exact = tabular.fixed_prior(torch.softmax(table.double(), -1))(pair.mdp, pair.pi, pair.mdp.transition)
    torch.testing.assert_close(pair.reward().double(), exact_reward(pair.pi, exact), **NATS)


def test_sampled_futures_pay_the_mutual_information_on_average():
    states, actions = 80, 2
    mdp = random_mdp(1, states, actions)
    pi = random_rows(2, states, actions)
    policy, model = table_policy(pi), true_model(mdp.transition)
    spec = Spec(Discrete(states), Discrete(actions), Discrete(states))
    guide = build_guide(BayesGuide, spec, model, policy, torch.arange(1))
    with torch.random.fork_rng():
        torch.manual_seed(0)
        state = torch.zeros(1_000, dtype=torch.long)
        paid = intrinsic_reward(sample_actions(policy(state)), log_rho(model, guide, policy, state, samples=8))
    exact = float(tabular.mutual_information(mdp.transition, pi)[0])
    assert abs(float(paid.mean()) - exact) < 5 * float(paid.std()) / 1_000**0.5


def test_two_actions_told_apart_for_sure_pay_log_two():
    channel = torch.eye(2, dtype=torch.float64).expand(2, 2, 2)
    policy, model = table_policy(torch.full((2, 2), 0.5)), true_model(channel)
    guide = build_guide(BayesGuide, Spec(Discrete(2), Discrete(2), Discrete(2)), model, policy, torch.arange(2))
    state = torch.arange(2)
    paid = intrinsic_reward(sample_actions(policy(state)), log_rho(model, guide, policy, state, samples=1))
    torch.testing.assert_close(paid, torch.full((2,), log(2)), **NATS)


def test_a_reward_carries_no_gradient():
    pair = Pair(0, "dense", CategoricalGuide)
    assert not pair.log_rho().requires_grad
    assert not pair.reward().requires_grad


def a_guide_with(logits: Tensor) -> Any:
    def broken(policy: Policy, state: Tensor, future: Tensor) -> Tensor:
        fn = dist.Categorical(logits=logits.expand(len(state), -1), validate_args=False)
        return pyro.sample("action", fn)

    return broken


@pytest.mark.parametrize("logits", [[torch.nan] * 3, [-torch.inf, 0.0, 0.0]])
def test_a_guide_that_gives_nan_or_no_probability_stops_loudly(logits: list[float]):
    pair = Pair(0, "dense", UniformGuide)
    guide = Guide(a_guide_with(torch.tensor(logits)))
    with pyro.validation_enabled(False), pytest.raises(TrainingError, match="finite log-probabilities from broken"):
        log_rho(pair.model, guide, pair.policy, pair.state, samples=4)


def test_a_model_that_gives_nan_stops_loudly():
    def half_broken(policy: Policy, state: Tensor, future: Tensor | None = None) -> Tensor:
        action = pyro.sample("action", policy(state))
        logits = torch.zeros(len(state), 4)
        logits[(state == 0) & (action == 0)] = torch.nan
        return pyro.sample("future", dist.Categorical(logits=logits, validate_args=False), obs=future)

    pair = Pair(0, "dense", UniformGuide)
    with pyro.validation_enabled(False), pytest.raises(TrainingError):
        log_rho(Model(half_broken), pair.guide, pair.policy, pair.state, samples=4)


@seeds
@worlds
def test_what_replay_is_paid_averages_to_what_is_imagined(seed: int, kind: str):
    """On exact frequencies: Σ_F p(F|s,a) log q(a|s,F) = log ρ̄(s,a)."""
    pair = Pair(seed, kind, CategoricalGuide)
    pair.guide.load_state_dict({"program.table": torch.randn(4, 4, 3, generator=torch.Generator().manual_seed(seed))})
    rows = exact_replay(pair.mdp)
    paid = Replayed(pair.guide, NextState()).transition_bonus(pair.policy, rows)
    table = torch.zeros(12).index_add(0, rows.state * 3 + rows.action, rows.weight * paid)
    torch.testing.assert_close(table.reshape(4, 3), pair.log_rho(), **NATS)
    assert not paid.requires_grad


def test_each_reading_leaves_nothing_for_the_other():
    pair = Pair(0, "dense", BayesGuide)
    rows, chosen = exact_replay(pair.mdp), sample_actions(pair.policy(pair.state))
    assert Imagined(pair.model, pair.guide, 1).transition_bonus(pair.policy, rows) == 0.0
    nothing = Replayed(pair.guide, NextState()).bonus(pair.policy, pair.state, chosen)
    assert torch.equal(nothing, torch.zeros(4, 3))


def test_a_reading_is_known_by_its_name():
    pair = Pair(0, "dense", BayesGuide)
    assert reward_named("imagined", pair.model, pair.guide, NextState(), samples=3) == Imagined(
        pair.model, pair.guide, 3
    )
    assert reward_named("replayed", pair.model, pair.guide, NextState(), samples=3) == Replayed(pair.guide, NextState())
    with pytest.raises(InputError, match="Expected intrinsic to be imagined or replayed, but got 'dreamt'"):
        reward_named("dreamt", pair.model, pair.guide, NextState(), samples=3)
    with pytest.raises(InputError, match=r"^Expected a future of one step where .* but got StateAfter\(steps=2"):
        reward_named("replayed", pair.model, pair.guide, StateAfter(2), samples=3)


class Continuous:
    """A model and a guide of a continuous world as they start, and a policy."""

    def __init__(self, guide: Any = GaussianGuide) -> None:
        self.spec = spec(vector(3), vector(2))
        with torch.random.fork_rng():
            torch.manual_seed(0)
            self.state = torch.randn(6, 3)
            self.model: Model = build_model(GaussianModel, self.spec, self.policy, self.state)
            self.guide: Guide = build_guide(guide, self.spec, self.model, self.policy, self.state)

    def policy(self, state: Tensor) -> dist.Independent:
        return dist.Normal(state[:, :2], 0.7).to_event(1)

    def bonus(self, chosen: ActionSamples, samples: int = 1) -> Tensor:
        return Imagined(self.model, self.guide, samples).bonus(self.policy, self.state, chosen)


@pytest.mark.parametrize("draws", [1, 3])
@pytest.mark.parametrize("samples", [1, 4])
def test_drawn_actions_have_a_bonus_each(draws: int, samples: int):
    world = Continuous()
    with torch.random.fork_rng():
        chosen = sample_actions(world.policy(world.state), draws)
        assert world.bonus(chosen, samples).shape == chosen.log_prob.shape == (6, draws)


def test_a_bonus_belongs_to_its_state_and_action():
    """With a guide that ignores the future nothing is random: each bonus is that of its own action."""
    world = Continuous(UniformGuide)
    with torch.random.fork_rng():
        chosen = sample_actions(world.policy(world.state), 3)
        bonus = world.bonus(chosen)
    actions = chosen.action.reshape(6, 3, 2)
    expected = (0.5 * (1 - actions.double().tanh().square())).log().sum(-1)
    torch.testing.assert_close(bonus.double(), expected, atol=1e-4, rtol=1e-4)


def test_a_bonus_passes_gradients_to_the_action_of_each_example():
    world = Continuous()
    with torch.random.fork_rng():
        chosen = sample_actions(world.policy(world.state))
        action = chosen.action.clone().requires_grad_(True)
        bonus = world.bonus(ActionSamples(action, chosen.log_prob, chosen.log_weight))
    (gradient,) = torch.autograd.grad(bonus.sum(), action)
    assert bool((gradient != 0).any(-1).all())


def test_a_continuous_guide_that_is_the_policy_is_paid_nothing():
    def prior(policy: Any, state: Tensor, future: Tensor) -> None:
        with pyro.plate("batch", len(state)):
            pyro.sample("action", policy(state))

    prior.ignores_future = True  # type: ignore[attr-defined]
    world = Continuous(prior)
    with torch.no_grad(), torch.random.fork_rng():
        chosen = sample_actions(world.policy(world.state), 5)
        torch.testing.assert_close(intrinsic_reward(chosen, world.bonus(chosen)), torch.zeros(6), **NATS)


def test_replayed_continuous_actions_are_paid_the_guides_log_density_over_the_box():
    world = Continuous()
    with torch.random.fork_rng():
        action, after, no = torch.randn(6, 2), torch.randn(6, 3), torch.zeros(6, dtype=torch.bool)
    one = torch.ones(6)
    rows = Transitions(world.state, action, one, after, no, no, 0 * one, one)
    paid = Replayed(world.guide, NextState()).transition_bonus(world.policy, rows)
    expected = world.guide.posterior(world.policy, world.state, after).log_prob(action)
    slope = (1 - action.tanh().square()).log().sum(-1)
    torch.testing.assert_close(paid, expected.detach() - slope)


def test_with_a_uniform_guide_replayed_continuous_actions_are_paid_a_constant():
    """Over the box [−1, 1]² the uniform density is ¼; what is left is the entropy over the box: a soft actor-critic."""
    world = Continuous(UniformGuide)
    with torch.random.fork_rng():
        action, after, no = torch.randn(6, 2), torch.randn(6, 3), torch.zeros(6, dtype=torch.bool)
    one = torch.ones(6)
    replayed = Replayed(world.guide, NextState())
    rows = Transitions(world.state, action, one, after, no, no, 0 * one, one)
    constant = torch.full((6,), -2 * log(2))
    torch.testing.assert_close(replayed.transition_bonus(world.policy, rows), constant, **NATS)
    with torch.random.fork_rng():
        chosen = sample_actions(world.policy(world.state), 5)
        imagined = Imagined(world.model, world.guide, 1).bonus(world.policy, world.state, chosen)
    bonus = replayed.bonus(world.policy, world.state, chosen)
    torch.testing.assert_close(bonus + constant[:, None], imagined, **NATS)


def test_what_an_agent_reports_does_not_depend_on_where_its_reward_is_read():
    """Under `replayed` the bonus is only a part of the reward; what is reported is the bound (3) all the same."""
    agents = [GIO("CartPole-v1", intrinsic=name, seed=3, hidden=(8,)) for name in ("imagined", "replayed")]
    state = torch.linspace(-1, 1, 12).reshape(3, 4)
    one, other = (agent.intrinsic_reward(state) for agent in agents)
    torch.testing.assert_close(one, other)
    assert float((one - log(2)).abs().min()) > 1e-3  # not the entropy of the first, uniform policy
