"""Skills against counts, the exact tier, and the information that they can have at most.

Cost: 10 s.
"""

import math
from typing import Any

import gymnasium as gym
import pytest
import torch
from gymnasium.spaces import Box, Discrete

import gio_pyro.envs
from gio_pyro import GIO, tabular
from gio_pyro.errors import InputError
from gio_pyro.explorers import SkillExplorer
from gio_pyro.explorers.discriminators import NetworkDiscriminator, TableDiscriminator
from gio_pyro.explorers.pairs import FiniteSkillPairs, PairMasks, VectorSkillPairs
from tests.explorers.worlds import MDP_DISCOUNT, distances, everything, replay_of, source_of, table

MDP = table()


@pytest.fixture(autouse=True)
def private_numbers():
    with torch.random.fork_rng():
        torch.manual_seed(0)
        yield


class TestDiscriminator:
    def test_of_finite_states_it_is_the_posterior_of_the_counts_and_the_reward_their_information(self):
        joint = torch.tensor(
            [[300, 0, 100], [50, 150, 100]]
        )  # how often each of two skills led to each of three states
        state = torch.cat([torch.full((n,), s) for row in joint.tolist() for s, n in enumerate(row)])
        skill = torch.cat([torch.full((sum(row),), z) for z, row in enumerate(joint.tolist())])
        found = TableDiscriminator(4, 2, memory=700)
        found.remember(state, skill)
        exact = (joint.T + 0.5) / (joint.sum(0)[:, None] + 1)
        torch.testing.assert_close(found.log_q(torch.arange(3)).exp(), exact)
        torch.testing.assert_close(found.log_q(torch.tensor([3])).exp(), torch.tensor([[0.5, 0.5]]))
        channel = (joint / joint.sum(1, keepdim=True)).double()
        information = tabular.mutual_information(channel, joint.sum(1).double() / 700)
        mean = found.log_q(state).gather(-1, skill[:, None]).mean().double()
        entropy = torch.distributions.Categorical(joint.sum(1).double()).entropy()
        assert float(mean + entropy) == pytest.approx(float(information), abs=5e-3)  # the pseudo-counts

    def test_it_forgets_what_is_older_than_its_memory(self):
        found = TableDiscriminator(2, 2, memory=3)
        found.remember(torch.tensor([0, 0]), torch.tensor([1, 1]))
        found.remember(torch.tensor([0, 0]), torch.tensor([0, 0]))
        assert sorted(found.known()[1].tolist()) == [0, 0, 1]
        found.remember(torch.tensor([0]), torch.tensor([0]))
        assert found.known()[1].tolist() == [0, 0, 0]

    def test_a_network_learns_the_posterior_of_a_mixture_of_two_normals(self):
        """q(z = 1 | s) = 1 / (1 + exp(−2 s)) for normals of scale 1 around −1 and 1."""
        found = NetworkDiscriminator(Box(-9, 9, (1,)), 2, 4_000, hidden=(32,), learning_rate=3e-3)
        skill = torch.randint(2, (4_000,))
        state = torch.randn(4_000, 1) + 2 * skill[:, None] - 1
        found.observe(state)
        found.remember(state, skill)
        for _ in range(500):
            found.learn(None)
        grid = torch.linspace(-2, 2, 9)[:, None]
        torch.testing.assert_close(found.log_q(grid)[:, 1].exp(), torch.sigmoid(2 * grid[:, 0]), atol=0.06, rtol=0)
        assert 0 < float(found.information()) < math.log(2)


def test_the_policy_of_each_skill_is_the_exact_optimum_for_its_reward():
    """Policy iteration with uniform priors on r(s, a, z) = E log q(z|s') + log K, q being held."""
    source = source_of(MDP.states, MDP.actions, discount=MDP_DISCOUNT)
    explorer = SkillExplorer(source, 2, temperature=0.05)
    replay = replay_of(everything(MDP))
    cells = everything(MDP).next_state
    explorer.discriminator.remember(cells, (cells % 2).long())
    for step in range(60):
        explorer.improve(replay, step)
    walked = distances(MDP)[int(MDP.start.argmax())].isfinite() & ~MDP.terminal
    log_q = explorer.discriminator.log_q(torch.arange(MDP.states)).double()
    for skill in range(2):
        reward = MDP.transition @ (log_q[:, skill] + math.log(2))
        world = tabular.TabularMDP(
            MDP.transition, reward, discount=MDP_DISCOUNT, terminal=MDP.terminal, start=MDP.start
        )
        exact = tabular.policy_iteration(world, 0.05, guide=tabular.uniform).policy[walked]
        found = explorer.policy(skill)(torch.arange(MDP.states)).probs.double()[walked]
        torch.testing.assert_close(found, exact, atol=2e-3, rtol=0)


def test_two_skills_of_a_corridor_go_to_its_two_ends():
    """I(Z; S') is at most log 2, and both are told apart nearly always: states of the middle are shared at first."""
    env = gym.wrappers.TimeLimit(gio_pyro.envs.Maze(("....S....", "########G")), 20)
    given = {"explorer": "Skills(2, memory=2000)", "explorer_share": 1.0, "guide": "UniformGuide"}
    agent = GIO(env, train_freq=100, seed=0, **given)
    agent.learn(3_000)
    nats = agent.metrics()["train/explorer_skill_nats"]
    assert 0.75 * math.log(2) < nats <= math.log(2)
    (left, right) = (agent.explorer.explorer.policy(skill)(torch.tensor([4])).probs for skill in range(2))
    assert float((left - right).abs().max()) > 0.5


def test_pairs_and_their_masks_are_those_of_the_states():
    finite, vectors = FiniteSkillPairs(Discrete(3), 4), VectorSkillPairs(Box(-1, 1, (2,)), 4)
    state, skill = torch.tensor([0, 2]), torch.tensor([3, 1])
    assert finite.state_of(finite.join(state, skill)).tolist() == [0, 2]
    assert int(finite.space.n) == 12
    numbers = torch.tensor([[0.5, -1.0], [0.0, 1.0]])
    assert vectors.join(numbers, skill).tolist() == [[0.5, -1, 0, 0, 0, 1], [0, 1, 0, 1, 0, 0]]
    assert torch.equal(vectors.state_of(vectors.join(numbers, skill)), numbers)
    masks = PairMasks(lambda states: states[:, None] > torch.arange(2), finite)
    assert masks(finite.join(state, skill)).tolist() == [[False, False], [True, True]]


def test_a_skill_is_drawn_for_each_turn():
    explorer = SkillExplorer(source_of(5, streams=400), 3)
    explorer.begin(torch.arange(200))
    counts = torch.bincount(explorer.skill[:200], minlength=3)
    assert counts.min() > 40
    assert explorer.skill[200:].tolist() == [0] * 200


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"count": 1}, "Expected count to be"),
        ({"memory": 0}, "Expected memory to be"),
        ({"temperature": 0}, "Expected temperature"),
    ],
)
def test_mistakes(given: dict[str, Any], message: str):
    with pytest.raises(InputError) as caught:
        SkillExplorer(source_of(5), **given)
    assert str(caught.value).startswith(message)
    with pytest.raises(InputError, match=r"^Expected skill to be"):
        SkillExplorer(source_of(5), 3).policy(3)
