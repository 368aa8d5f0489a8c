"""The guide is the method: the one loop, from samples, against the exact solution of each member of the family."""

from typing import Any

import gymnasium as gym
import numpy as np
import pytest
import torch
from gymnasium.spaces import Discrete

from gio_pyro import GIO, tabular
from gio_pyro.diagnostics import policy_table
from tests.slow import slow_but


class TableWorld(gym.Env[Any, Any]):
    """A continuing world from arrays: transition [S, A, S], reward [S, A]; the first state is drawn from `start`."""

    def __init__(self, transition: Any, reward: Any, start: Any) -> None:
        self.transition, self.reward, self.start = (np.asarray(x, dtype=float) for x in (transition, reward, start))
        states, actions, _ = self.transition.shape
        self.observation_space, self.action_space = Discrete(states), Discrete(actions)
        self.state = 0

    def reset(self, *, seed: int | None = None, options: Any = None) -> tuple[int, dict[str, Any]]:
        super().reset(seed=seed)
        self.state = int(self.np_random.choice(len(self.start), p=self.start))
        return self.state, {}

    def step(self, action: Any) -> tuple[int, float, bool, bool, dict[str, Any]]:
        reward = float(self.reward[self.state, action])
        self.state = int(self.np_random.choice(len(self.start), p=self.transition[self.state, action]))
        return self.state, reward, False, False, {}


ALPHA, DISCOUNT = 0.5, 0.8
TRANSITION = np.array(
    [
        [[0.9, 0.1, 0.0], [0.1, 0.8, 0.1], [0.5, 0.5, 0.0]],
        [[0.2, 0.7, 0.1], [0.0, 0.1, 0.9], [0.0, 0.1, 0.9]],
        [[0.8, 0.1, 0.1], [0.1, 0.1, 0.8], [0.4, 0.3, 0.3]],
    ]
)
REWARD = np.array([[0.0, 0.2, 0.1], [0.0, 0.0, 0.3], [1.0, 0.4, 0.0]])


def table_world() -> TableWorld:
    return TableWorld(TRANSITION, REWARD, np.full(3, 1 / 3))


def table_worlds(count: int) -> gym.vector.VectorEnv[Any, Any, Any]:
    """Several at a time, which are faster to step."""
    return gym.vector.SyncVectorEnv([table_world] * count)


def learn(guide: str, steps: int = 8_000, world: Any = None, **settings: Any) -> GIO:
    world = table_world() if world is None else world
    return GIO(world, guide=guide, temperature=ALPHA, discount=DISCOUNT, seed=0, **settings).learn(steps)


def regret(agent: GIO, guide: Any) -> float:
    """How much the learned policy falls short of the method's exact solution, in the worst state."""
    mdp = tabular.TabularMDP(TRANSITION, REWARD, discount=DISCOUNT)
    best = tabular.policy_iteration(mdp, ALPHA, guide=guide)
    own = tabular.policy_iteration(mdp, ALPHA, policy_table(agent), guide=guide).history[0]
    return float((best.value - own).max())


@pytest.mark.parametrize("name", slow_but(["BayesGuide", "CategoricalGuide"], "CategoricalGuide"))
def test_both_posteriors_reach_the_optimum_with_mutual_information(name):
    assert regret(learn(name), tabular.bayes) <= 0.01


@pytest.mark.slow
def test_the_uniform_guide_reaches_the_maximum_entropy_optimum():
    agent = learn("UniformGuide")
    assert regret(agent, tabular.uniform) <= 0.01
    assert regret(agent, tabular.bayes) > 0.05  # the methods differ here, so the tests above can fail


@pytest.mark.slow
def test_the_habit_guide_reaches_kl_control_towards_its_own_habit():
    agent = learn("HabitGuide")
    habit = torch.softmax(agent.guide.program.table.detach().double(), -1)
    assert regret(agent, tabular.fixed_prior(habit)) <= 0.01
    uniform = torch.full((3, 3), 1 / 3, dtype=torch.float64)
    assert float((habit - uniform).abs().max()) > 0.2  # it did move


@pytest.mark.slow
def test_the_marginal_guide_reaches_mirls_fixed_point():
    """Two states drawn as (.8, .2) whatever is done, reward for naming the state, temperature .5 (MIRL, by hand)."""
    start = np.array([0.8, 0.2])
    world = TableWorld(np.broadcast_to(start, (2, 2, 2)), np.eye(2), start)
    agent = GIO(world, guide="MarginalGuide", temperature=0.5, discount=0.0, seed=0).learn(20_000)
    pi = policy_table(agent)
    prior = torch.softmax(agent.guide.program.logits.detach().double(), -1)
    earned = float((torch.tensor(start) * pi.diagonal()).sum())
    visited = torch.tensor(start)
    marginal = visited @ pi
    information = float((visited[:, None] * pi * (pi / marginal).log()).sum())
    assert prior[0].item() == pytest.approx(0.893911, abs=0.02)
    assert earned == pytest.approx(0.880797, abs=0.01)
    assert information == pytest.approx(0.135069, abs=0.01)


def require_the_right_reward(agent: GIO) -> None:
    mdp = tabular.TabularMDP(TRANSITION, REWARD, discount=DISCOUNT)
    exact = tabular.mutual_information(mdp.transition, policy_table(agent))
    torch.testing.assert_close(agent.intrinsic_reward(torch.arange(3)).double(), exact, atol=0.02, rtol=0)
    assert regret(agent, tabular.bayes) <= 0.01


@pytest.mark.slow
@pytest.mark.parametrize("objective", ["elbo", "forward_kl", "sleep", "wake_sleep"])
def test_every_objective_learns_a_reward_that_is_right(objective):
    require_the_right_reward(learn("CategoricalGuide", objective=objective))


@pytest.mark.slow
@pytest.mark.parametrize("objective", ["trajectory_elbo", "weighted_trajectory_elbo"])
def test_so_do_those_of_trajectories_whose_equal_pieces_are_not_merged(objective):
    """From batches, and from more data: seeds 0 to 3 were wrong by at most 0.015 nats."""
    batches = {"batch_size": 10_000, "train_freq": 6_000}
    require_the_right_reward(learn("CategoricalGuide", 60_000, table_worlds(20), objective=objective, **batches))


@pytest.mark.slow
def test_the_network_programs_learn_too():
    agent = learn("CategoricalNetworkGuide", model="CategoricalNetworkModel", gradient_steps=100)
    assert regret(agent, tabular.bayes) <= 0.02


@pytest.mark.slow
def test_minibatches_reach_only_the_fit_and_the_critic_sees_the_whole_replay():
    assert regret(learn("CategoricalGuide", batch_size=64), tabular.bayes) <= 0.03
