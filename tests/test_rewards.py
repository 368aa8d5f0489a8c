"""The intrinsic reward, read from programs, equals the exact tier's on finite worlds."""

from math import log
from typing import Any

import pyro
import pyro.distributions as dist
import pytest
import torch
from gymnasium.spaces import Discrete
from torch import Tensor

from gio_pyro import tabular
from gio_pyro.errors import TrainingError
from gio_pyro.guides import BayesGuide, CategoricalGuide, HabitGuide, MarginalGuide, UniformGuide
from gio_pyro.programs import Guide, Model, build_guide
from gio_pyro.rewards import expected_log_guide, intrinsic_reward
from gio_pyro.tabular.iteration import intrinsic_reward as exact_reward
from gio_pyro.types import Policy, Spec

from .tabular.worlds import random_mdp, random_rows

NATS = {"atol": 1e-5, "rtol": 0.0}
worlds = pytest.mark.parametrize("kind", ["dense", "sparse", "deterministic"])
seeds = pytest.mark.parametrize("seed", range(5))
sizes = pytest.mark.parametrize(("states", "actions"), [(4, 3), (2, 2), (9, 5)])


def table_policy(table: Tensor) -> Policy:
    return lambda state: dist.Categorical(logits=table.float().log()[state])


def true_model(channel: Tensor) -> Model:
    """The program that knows the world, zeros included."""

    def world(policy: Policy, state: Tensor, future: Tensor | None = None) -> Tensor:
        with pyro.plate("batch", len(state)):
            action = pyro.sample("action", policy(state))
            return pyro.sample("future", dist.Categorical(logits=channel.float().log()[state, action]), obs=future)

    return Model(world)


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
        return expected_log_guide(self.model, self.guide, self.policy, self.state, samples=4)

    def reward(self) -> Tensor:
        return intrinsic_reward(self.policy, self.state, self.log_rho())


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
        paid = intrinsic_reward(policy, state, expected_log_guide(model, guide, policy, state, samples=8))
    exact = float(tabular.mutual_information(mdp.transition, pi)[0])
    assert abs(float(paid.mean()) - exact) < 5 * float(paid.std()) / 1_000**0.5


def test_two_actions_told_apart_for_sure_pay_log_two():
    channel = torch.eye(2, dtype=torch.float64).expand(2, 2, 2)
    policy, model = table_policy(torch.full((2, 2), 0.5)), true_model(channel)
    guide = build_guide(BayesGuide, Spec(Discrete(2), Discrete(2), Discrete(2)), model, policy, torch.arange(2))
    state = torch.arange(2)
    paid = intrinsic_reward(policy, state, expected_log_guide(model, guide, policy, state, samples=1))
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
        expected_log_guide(pair.model, guide, pair.policy, pair.state, samples=4)


def test_a_model_that_gives_nan_stops_loudly():
    def half_broken(policy: Policy, state: Tensor, future: Tensor | None = None) -> Tensor:
        action = pyro.sample("action", policy(state))
        logits = torch.zeros(len(state), 4)
        logits[(state == 0) & (action == 0)] = torch.nan
        return pyro.sample("future", dist.Categorical(logits=logits, validate_args=False), obs=future)

    pair = Pair(0, "dense", UniformGuide)
    with pyro.validation_enabled(False), pytest.raises(TrainingError):
        expected_log_guide(Model(half_broken), pair.guide, pair.policy, pair.state, samples=4)
