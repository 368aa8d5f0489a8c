"""The pairs (s', r) of a finite world, read from its transition table."""

from pathlib import Path
from typing import Any

import gymnasium as gym
import pytest
import torch
from gymnasium.spaces import Discrete
from gymnasium.wrappers import NormalizeReward, TimeLimit, TransformReward

from gio_pyro import GIO, IntrinsicReward, tabular
from gio_pyro.diagnostics import policy_table
from gio_pyro.errors import InputError
from gio_pyro.futures import Features, NextStateAndReward, exact_of, written
from gio_pyro.futures.wrapped import future_in
from gio_pyro.tabular.reading import next_states_and_rewards
from gio_pyro.types import Transitions


class Tolls(gym.Env[Any, Any]):
    """Two states and two actions; staying pays −1, or −5 for the other action; state 2 is never entered."""

    observation_space, action_space = Discrete(3), Discrete(2)

    def __init__(self) -> None:
        self.P = {
            0: {0: [(0.5, 0, -1.0, False), (0.5, 1, 2.0, False)], 1: [(1.0, 0, -5.0, False), (0.0, 2, 9.0, False)]},
            1: {a: [(1.0, 1, -1.0, False)] for a in range(2)},
            2: {a: [(1.0, 0, -1.0, False)] for a in range(2)},
        }
        self.at = 0

    def reset(self, *, seed: int | None = None, options: Any = None) -> tuple[int, dict[str, Any]]:
        super().reset(seed=seed)
        self.at = 0
        return self.at, {}

    def step(self, action: Any) -> tuple[int, float, bool, bool, dict[str, Any]]:
        outcomes = self.P[self.at][int(action)]
        _, self.at, reward, ended = outcomes[self.np_random.choice(len(outcomes), p=[row[0] for row in outcomes])]
        return self.at, reward, ended, False, {}


BOTH = "NextStateAndReward"
SETTINGS: dict[str, Any] = {"reward_weight": 0.0, "temperature": 1.0}
PAIRS = ((0, -5.0), (0, -1.0), (1, -1.0), (1, 2.0), (2, -5.0))


def rows(state: list[int], reward: list[float]) -> Transitions:
    zero = torch.zeros(len(state))
    s = torch.tensor(state)
    return Transitions(s, s, torch.tensor(reward), s, zero > 0, zero > 0, zero, zero + 1)


def test_the_pairs_that_occur_are_numbered_and_every_state_has_one():
    assert next_states_and_rewards(Tolls()) == PAIRS
    future = future_in(NextStateAndReward(), Tolls(), Discrete(3))
    assert future.space(Discrete(3)) == Discrete(5)
    state, reward = zip(*PAIRS, strict=True)
    assert future.of(rows([*state], [*reward])).tolist() == [0, 1, 2, 3, 4]
    assert future.outcome is not None
    told = future.outcome(torch.arange(5), Discrete(3))
    assert tuple(zip(*(column.tolist() for column in told if column is not None), strict=True)) == PAIRS


def test_another_reward_is_taken_for_the_nearest_of_the_same_state():
    future = future_in(NextStateAndReward(), Tolls(), Discrete(3))
    assert future.of(rows([0, 0, 1, 1, 2], [-2.9, -3.1, -9.0, 0.6, 7.0])).tolist() == [1, 0, 2, 3, 4]


@pytest.mark.parametrize(
    "env",
    [
        gym.make("CartPole-v1"),
        TransformReward(TimeLimit(Tolls(), 9), lambda reward: -reward),
        NormalizeReward(Tolls()),
    ],
)
def test_without_a_table_of_its_rewards_they_must_be_given(env: Any):
    assert next_states_and_rewards(env) == ()
    future = future_in(NextStateAndReward(), env, Discrete(3))
    with pytest.raises(InputError, match=r"^Expected the rewards that occur, .* no transition table"):
        future.space(Discrete(3))
    given = NextStateAndReward((0.0, 1.0))
    assert future_in(given, Tolls(), Discrete(3)) is given


def test_where_the_state_determines_the_reward_it_is_the_state():
    """The goal of the frozen lake pays 1 whenever it is entered; what its table says of steps from it is no future."""
    agents = [GIO("FrozenLake-v1", future=future, seed=0, device="cpu").learn(1_000) for future in (None, BOTH)]
    assert agents[1].spec.future_space == Discrete(16)
    assert torch.equal(*(agent.future.of(agents[0].replay.all()) for agent in agents))
    assert torch.equal(*(agent.policy(torch.arange(16)).logits for agent in agents))


def test_features_of_it_read_the_environment_too():
    future = future_in(Features(NextStateAndReward(), lambda pair: pair // 2, Discrete(3)), Tolls(), Discrete(3))
    assert future.of(rows([0, 1, 2], [-5.0, 2.0, -1.0])).tolist() == [0, 1, 2]


def test_the_reward_adds_what_it_tells_beside_the_state():
    """In state 0, s' = 0 follows either action, and r tells which it was: I = H(A | s) = log 2 for uniform actions."""
    mdp, future = tabular.TabularMDP.from_env(Tolls()), future_in(NextStateAndReward(), Tolls(), Discrete(3))
    both, alone = (
        tabular.mutual_information(channel(mdp, mdp.uniform), mdp.uniform)[:2].tolist()
        for channel in (exact_of(future), tabular.next_state)
    )
    assert both == pytest.approx([0.693147, 0.0], abs=1e-6)
    assert alone == pytest.approx([0.215762, 0.0], abs=1e-6)


def test_an_agent_learns_the_exact_information_and_resumes_from_its_text(tmp_path: Path):
    agent = GIO(TimeLimit(Tolls(), 5), future=BOTH, seed=0, device="cpu", **SETTINGS).learn(3_000)
    mdp = tabular.TabularMDP.from_env(agent.env)
    pi = policy_table(agent, mdp)
    exact = tabular.mutual_information(exact_of(agent.future)(mdp, pi), pi)
    torch.testing.assert_close(agent.intrinsic_reward(torch.arange(2)).double(), exact[:2], atol=0.02, rtol=0)
    assert written(agent.future) == BOTH
    agent.save(tmp_path / "run")
    again = GIO.load(tmp_path / "run", environment=TimeLimit(Tolls(), 5))
    assert again.future == agent.future
    assert IntrinsicReward(agent.env, future=BOTH).spec.future_space == Discrete(5)
