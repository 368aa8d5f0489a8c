"""A value of the signal's own: exact under its discount, and the same sum as a signal within the reward."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pyro.distributions as dist
import pytest
import torch
from gymnasium.spaces import Discrete
from torch import Tensor

from gio_pyro import GIO, tabular
from gio_pyro.actor_critic import NetworkActorCritic, TableActorCritic, total
from gio_pyro.actor_critic.guide_reward import Imagined
from gio_pyro.diagnostics import policy_table
from gio_pyro.errors import InputError
from gio_pyro.guides import BayesGuide, UniformGuide
from gio_pyro.programs import build_guide, without_validation
from gio_pyro.schedules.temperature import Temperature
from gio_pyro.settings import Settings
from gio_pyro.signals import Signal
from gio_pyro.signals.reward_mix import EnvironmentReward, RewardMix
from gio_pyro.tabular import TabularMDP
from gio_pyro.types import Spec, Transitions, WeightedBatch
from tests.agents import differences
from tests.finite import exact_replay, spec_of, true_model
from tests.signals.test_reward_mix import NAMED, QUICK, Likes
from tests.spaces import spec, vector
from tests.tabular.worlds import corridor, random_mdp

ALPHA = 0.5
TOLERANCE = 1e-5
"""Change of a value, of the largest one, at which sweeps stop: what is left is at most that over 1 − γ."""
SIGNALLED: dict[str, Any] = {"signal": NAMED, "signal_value": True}


class Table(Signal):
    """Pays what a table says of each state and action, of no fitted thing."""

    unit = "points"

    def __init__(self, table: Tensor) -> None:
        super().__init__(None)  # type: ignore[arg-type]
        self.table = table

    def read(self, rows: Transitions) -> Tensor:
        return self.table[rows.state, rows.action]


class World:
    """Exact frequencies of a finite world, its true model, and a table of what a signal pays there."""

    def __init__(self, mdp: TabularMDP) -> None:
        self.mdp, self.rows, self.spec = mdp, exact_replay(mdp), spec_of(mdp)
        self.model = true_model(mdp.transition)
        self.points = torch.randn(mdp.states, mdp.actions, generator=torch.Generator().manual_seed(5))

    def actor_critic(self, **settings: Any) -> TableActorCritic:
        return TableActorCritic(self.spec, Settings(**{"discount": self.mdp.discount, "sweeps": 5_000, **settings}))

    def improve(
        self,
        control: TableActorCritic,
        reward_mix: EnvironmentReward,
        rounds: int,
        step: int = 0,
        kind: Any = BayesGuide,
    ) -> None:
        guide = build_guide(kind, self.spec, self.model, control.policy, torch.zeros(1, dtype=torch.long))
        reward, alpha = Imagined(self.model, guide, 1), Temperature(ALPHA, target=0.0, learning_rate=0.1)
        paid, apart = reward_mix.mix(self.rows, step), reward_mix.auxiliary(self.rows, step)
        with without_validation():
            for _ in range(rounds):
                control.improve(paid, reward, alpha, step, apart)


WORLDS = {
    "dense": random_mdp(1),
    "sparse": random_mdp(2, kind="sparse", discount=0.7),
    "ends": corridor(4, discount=0.9),
}
every_world = pytest.mark.parametrize("kind", WORLDS)


def exact_value(mdp: TabularMDP, pi: Tensor, points: Tensor, discount: float) -> Tensor:
    """Q of what the table pays, by a linear solve over states; `[S, A]`."""
    live = (~mdp.terminal).double()
    gain = (pi * points).sum(-1).double() * live
    chain = torch.einsum("sa,san->sn", pi, mdp.transition) * live[:, None] * live
    value = torch.linalg.solve(torch.eye(mdp.states) - discount * chain, gain)
    return points + discount * mdp.transition @ (value * live)


@every_world
@pytest.mark.parametrize("discount", [0.0, 0.5, 0.95])
def test_the_signals_value_is_the_exact_one_of_the_policy_under_its_own_discount(kind: str, discount: float):
    world = World(WORLDS[kind])
    control = world.actor_critic(**SIGNALLED, signal_discount=discount)
    control.policy.log_pi.copy_(torch.log_softmax(world.points.flip(0), -1))
    pi = control.policy.log_pi.exp().double()
    world.improve(control, RewardMix(Table(world.points), 3.0, 1.0, separate=True), rounds=1)
    (apart,) = control.apart
    going = ~world.mdp.terminal
    exact = exact_value(world.mdp, pi, world.points.double(), discount)[going]
    stopped = TOLERANCE * float(exact.abs().max().clamp_min(1)) / (1 - discount)
    torch.testing.assert_close(apart.critic.q[going].double(), exact, atol=stopped, rtol=0)
    torch.testing.assert_close(apart(torch.arange(world.mdp.states)), 3 * apart.critic.q)


@every_world
@pytest.mark.parametrize("rounds", [1, 2, 30])
def test_at_one_discount_both_forms_have_the_same_sum_and_the_same_policy(kind: str, rounds: int):
    world = World(WORLDS[kind])
    states, going = torch.arange(world.mdp.states), ~world.mdp.terminal
    inside, outside = world.actor_critic(), world.actor_critic(**SIGNALLED)
    world.improve(inside, RewardMix(Table(world.points), 0.3, 0.5), rounds)
    world.improve(outside, RewardMix(Table(world.points), 0.3, 0.5, separate=True), rounds)
    summed = total(outside.critic, outside.apart, states)
    torch.testing.assert_close(summed[going], inside.critic.q[going], atol=3e-4, rtol=1e-4)
    torch.testing.assert_close(outside.policy.log_pi.exp(), inside.policy.log_pi.exp(), atol=1e-3, rtol=0)
    assert float((summed - outside.critic.q)[going].abs().max()) > 0.05


@every_world
def test_when_the_schedule_ends_the_policy_is_that_of_the_task(kind: str):
    """And it is at once improved by the task's value alone, which no signal ever entered."""
    world = World(WORLDS[kind])
    task, both = world.actor_critic(), world.actor_critic(**SIGNALLED)
    reward_mix = RewardMix(Table(world.points), "linear:2:0:10", 1.0, separate=True)
    world.improve(both, reward_mix, rounds=5, step=0, kind=UniformGuide)
    while_paid = both.policy.log_pi.clone()
    alone = world.actor_critic()
    alone.load_state_dict({k: v for k, v in both.state_dict().items() if not k.startswith("apart")})
    world.improve(both, reward_mix, rounds=1, step=10)
    world.improve(alone, EnvironmentReward(), rounds=1)
    assert torch.equal(both.policy.log_pi, alone.policy.log_pi)
    assert torch.equal(both.critic.q, alone.critic.q)
    world.improve(both, reward_mix, rounds=15, step=10, kind=UniformGuide)
    world.improve(task, EnvironmentReward(), rounds=15, kind=UniformGuide)
    torch.testing.assert_close(both.policy.log_pi.exp(), task.policy.log_pi.exp(), atol=1e-3, rtol=0)
    optimum = tabular.policy_iteration(world.mdp, temperature=ALPHA, guide=tabular.uniform)
    going = ~world.mdp.terminal
    torch.testing.assert_close(both.critic.q[going].double(), optimum.q[going], atol=5e-3, rtol=1e-3)
    assert not torch.allclose(while_paid, task.policy.log_pi, atol=1e-2)


@pytest.mark.parametrize(("weight", "best"), [(2.0, 2.0), (-2.0, -2.0)])
def test_a_pair_never_tried_has_the_best_value_that_the_signals_seen_allow(weight: float, best: float):
    """Of −1 and 1, seen at γ = 0.5: 1/(1 − γ) where the signal is liked, and −1/(1 − γ) where it is not."""
    control = TableActorCritic(Spec(*[Discrete(2)] * 3), Settings(**SIGNALLED, signal_discount=0.5, discount=0.5))
    row = Transitions(*(torch.tensor(x) for x in ([0, 1], [0, 0])), torch.tensor([-1.0, 1.0]), *([torch.tensor([0, 1])]
        + [torch.zeros(2, dtype=torch.bool)] * 2 + [torch.zeros(2), torch.ones(2)]))  # fmt: skip
    control._evaluate_auxiliary((WeightedBatch(row, weight),))
    (apart,) = control.apart
    assert apart.critic.q[:, 1].tolist() == [best] * 2
    fixed = TableActorCritic(Spec(*[Discrete(2)] * 3), Settings(**SIGNALLED, initial_value=4.0))
    fixed._evaluate_auxiliary((WeightedBatch(row, weight),))
    assert next(iter(fixed.apart)).critic.q[:, 1].tolist() == [0.0, 0.0]


class Nothing:
    """A guide that pays nothing."""

    def bonus(self, policy: Any, state: Tensor, chosen: Any) -> Tensor:
        return torch.zeros_like(chosen.log_prob)

    def transition_bonus(self, policy: Any, batch: Transitions) -> float:
        return 0.0


def batch_of(world: Spec, count: int = 32) -> Transitions:
    discrete = isinstance(world.action_space, Discrete)
    action = torch.randint(3, (count,)) if discrete else torch.randn(count, 2)
    over = torch.rand(count) < 0.3
    return Transitions(
        torch.randn(count, 3), action, torch.randn(count), torch.randn(count, 3),
        over, torch.zeros_like(over), torch.zeros(count), torch.ones(count),
    )  # fmt: skip


NETWORKS = {"discrete": spec(vector(3), Discrete(3)), "continuous": spec(vector(3), vector(2))}


@pytest.mark.parametrize("kind", NETWORKS)
def test_targets_of_networks_add_up_to_the_target_of_the_sum(kind: str):
    """Where later values add up, so do targets: Q' + β Q'_signal against one critic of r + β signal, entropy once."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        one = NetworkActorCritic(NETWORKS[kind], Settings(hidden=(16,), discount=0.9))
        two = NetworkActorCritic(NETWORKS[kind], Settings(hidden=(16,), discount=0.9, **SIGNALLED))
        two.policy.load_state_dict(one.policy.state_dict())
        rows, points, beta = batch_of(NETWORKS[kind]), torch.randn(32), 0.7
        (apart,) = two.apart
        task, other = two.critic.later, apart.critic.later
        one.critic.later = lambda *given: task(*given) + beta * other(*given)  # type: ignore[method-assign]

        def target(control: NetworkActorCritic, of: str, *given: Any) -> Tensor:
            torch.manual_seed(1)  # the same draws of continuous actions
            return getattr(control, of)(*given)

        alpha, paid = torch.tensor(0.3), replace(rows, reward=rows.reward + beta * points)
        summed = target(one, "target", one.policy, paid, Nothing(), alpha)
        parts = target(two, "target", two.policy, rows, Nothing(), alpha)
        points_alone = target(two, "auxiliary_target", apart, two.policy, replace(rows, reward=points))
    torch.testing.assert_close(parts + beta * points_alone, summed)
    assert not points_alone.requires_grad


@pytest.mark.parametrize("kind", NETWORKS)
def test_a_step_of_networks_moves_the_second_critic_and_the_policy_climbs_the_sum(kind: str):
    with torch.random.fork_rng():
        torch.manual_seed(0)
        control = NetworkActorCritic(NETWORKS[kind], Settings(hidden=(16,), **SIGNALLED))
        rows, (apart,) = batch_of(NETWORKS[kind]), control.apart
        before = [parameter.clone() for parameter in apart.critic.parameters()]
        temperature = Temperature(0.1, target=0.0, learning_rate=0.1)
        figures = control.improve(rows, Nothing(), temperature, 0, (WeightedBatch(rows, 5.0),))
        assert {"signal_critic_loss", "signal_q", "critic_loss"} <= figures.keys()
        moved = zip(before, apart.critic.parameters(), strict=True)
        assert any(not torch.equal(old, new) for old, new in moved)
        chosen_loss = {}
        for weight in (0.0, 5.0):
            apart.set_weight(weight)
            torch.manual_seed(2)
            chosen_loss[weight] = control._policy_loss(Nothing(), torch.tensor(0.1), rows.state)[0].item()
    assert chosen_loss[0.0] != chosen_loss[5.0]


def test_a_signal_of_its_own_value_pays_the_reward_nothing():
    rows = exact_replay(WORLDS["dense"])
    reward_mix = RewardMix(Likes(None), "linear:2:0:10", 0.5, separate=True)
    assert torch.equal(reward_mix.mix(rows, 0).reward, 0.5 * rows.reward)
    (apart,) = reward_mix.auxiliary(rows, 5)
    assert apart.weight == 1.0
    assert torch.equal(apart.rows.reward, (rows.action == 1).float())
    assert RewardMix(Likes(None), 1.0, 0.5).auxiliary(rows, 0) == () == EnvironmentReward().auxiliary(rows, 0)


@pytest.mark.slow
def test_in_the_loop_it_drives_and_when_the_schedule_ends_the_reward_does():
    """The signal fines action 1, which leads to the reward: as in a reward, but with a discount of its own."""
    env, fined = "gio/SlipperyLine-v0", f"{NAMED}(-1)"
    own: dict[str, Any] = {"signal": fined, "signal_value": True, "signal_discount": 0.5, **QUICK}
    alone = GIO(env, guide="UniformGuide", **own).learn(600)
    both = GIO(env, signal_weight="linear:1:0:200", reward_weight=1.0, discount=0.9, **own).learn(1_000)
    assert float(policy_table(alone)[0, 0]) > 0.9
    assert float(policy_table(both)[5, 1]) > 0.5
    assert alone.metrics()["train/signal_value_change"] >= 0


WORLDS_IN_THE_LOOP: dict[str, dict[str, Any]] = {
    "gio/SlipperyLine-v0": QUICK,
    "CartPole-v1": {"learning_starts": 20, "batch_size": 16, "hidden": (8, 8), "log_interval": 30},
    "Pendulum-v1": {"learning_starts": 20, "batch_size": 16, "hidden": (8, 8), "log_interval": 30},
}


@pytest.mark.parametrize("env", WORLDS_IN_THE_LOOP)
def test_it_goes_on_bit_for_bit(tmp_path: Path, env: str):
    settings = {"signal": "RandomNetworkDistillation", "signal_value": True, "signal_discount": 0.9}
    agent = GIO(env, signal_weight="linear:1:0:200", reward_weight=1.0, **settings, **WORLDS_IN_THE_LOOP[env])
    agent.learn(40).save(tmp_path)
    other = GIO.load(tmp_path)
    assert not differences(agent.learn(20), other.learn(20))
    assert float(next(iter(agent.actor_critic.apart)).weight) == pytest.approx(1 - 60 / 200, abs=0.05)


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"signal_value": True}, "Expected signal_value only beside a signal, but got True without one; name a signal"),
        ({"signal_value": 1, "signal": "Control"}, "Expected signal_value to be True or False, but got 1"),
        (
            {"signal_discount": 0.5},
            "Expected signal_discount only where the signal has a value of its own, but got 0.5",
        ),
        ({"signal_discount": 0.5, "signal": "Control"}, "Expected signal_discount only where"),
        ({**SIGNALLED, "signal_discount": 1.0}, "Expected signal_discount from 0 to 0.999999999 (below 1, or None"),
        ({**SIGNALLED, "signal_discount": "far"}, "Expected signal_discount from 0 to 0.999999999"),
    ],
)
def test_mistakes_are_told(settings: dict[str, Any], says: str):
    with pytest.raises(InputError) as caught:
        GIO("FrozenLake-v1", **settings)
    assert str(caught.value).startswith(says)


def test_the_default_discount_is_the_tasks():
    assert Settings(discount=0.8, **SIGNALLED).auxiliary_discounts == (0.8,)
    assert Settings(discount=0.8, signal_discount=0.3, **SIGNALLED).auxiliary_discounts == (0.3,)
    assert Settings(signal=NAMED).auxiliary_discounts == ()


def test_a_policy_is_asked_as_it_stands():
    """What is summed is the value of the policy, not of the best one: two actions, the second one paid."""
    control = TableActorCritic(Spec(*[Discrete(2)] * 3), Settings(**SIGNALLED, signal_discount=0.5))
    control.policy.forward = lambda s: dist.Categorical(torch.tensor([0.75, 0.25]).expand(len(s), 2))  # type: ignore
    both = torch.tensor([0, 1])
    rows = Transitions(
        torch.zeros(2).long(), both, both.float(), torch.zeros(2).long(),
        *[torch.zeros(2, dtype=torch.bool)] * 2, torch.zeros(2), torch.ones(2),
    )  # fmt: skip
    control._evaluate_auxiliary((WeightedBatch(rows, 1.0),))
    assert next(iter(control.apart)).critic.q[0].tolist() == pytest.approx([0.25, 1.25], abs=1e-4)
