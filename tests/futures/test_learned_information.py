"""What an agent learns to be paid for each future, beside the exact mutual information of the policy it has learned.

Both worlds are collected by a uniform policy, while the one that is judged is another: what later actions bring is that
of the policy only if replay is weighted.
"""

from typing import Any

import gymnasium as gym
import pytest
import torch
from gymnasium.spaces import Discrete

from gio_pyro import GIO, tabular
from gio_pyro.diagnostics import compare_with_exact, policy_table
from gio_pyro.errors import CheckpointError
from gio_pyro.futures import (
    DiscountedState,
    Features,
    FinalState,
    NextState,
    NextStateAndReward,
    Return,
    StateAfter,
    Trajectory,
    exact_of,
    steps_of,
)
from tests.test_methods import DISCOUNT, REWARD, TRANSITION, table_worlds

NATS = 0.02
AT_ONCE = 10
"""Environments, because several are faster to step."""
REWARDS = (0.0, 0.1, 0.2, 0.3, 0.4, 1.0)


def named(future: Any) -> str:
    return f"{type(future).__name__}-{steps_of(future)}"


def parity(states: torch.Tensor) -> torch.Tensor:
    return states % 2


def ring() -> tuple[gym.vector.VectorEnv[Any, Any, Any], tabular.TabularMDP]:
    """Three states, three actions, no end; several at a time."""
    return table_worlds(AT_ONCE), tabular.TabularMDP(TRANSITION, REWARD, discount=DISCOUNT)


FUTURES = [
    NextState(),
    NextStateAndReward(REWARDS),
    StateAfter(2),
    StateAfter(3),
    DiscountedState(3, 0.6),
    FinalState(3),
    Trajectory(2),
    Return(3, levels=(0.25, 0.5, 1.0, 1.5)),
    Features(StateAfter(2), parity, Discrete(2)),
]


def error_in_the_ring(future: Any, steps: int, **settings: Any) -> float:
    """By how much what is paid differs from the exact information, in the worst state."""
    world, mdp = ring()
    settings = {"temperature": 0.5, "uniform_share": 1.0, "seed": 0, "log_interval": steps, **settings}
    agent = GIO(world, future=future, discount=DISCOUNT, **settings).learn(steps)
    pi = policy_table(agent)
    assert float((pi - 1 / 3).abs().max()) > 0.2  # it is not the policy that collected
    exact = tabular.mutual_information(exact_of(future)(mdp, pi), pi)
    return float((agent.intrinsic_reward(torch.arange(3)).double() - exact).abs().max())


@pytest.mark.slow
@pytest.mark.parametrize("future", FUTURES, ids=named)
def test_in_a_world_without_end(future: Any):
    assert error_in_the_ring(future, 20_000) <= NATS


def test_a_state_two_steps_later_in_a_world_without_end():
    assert error_in_the_ring(StateAfter(2), 12_000, train_freq=2_000) <= NATS


ON_ICE = [
    NextState(),
    NextStateAndReward((0.0, 1.0)),
    StateAfter(2),
    StateAfter(3),
    FinalState(2),
    Trajectory(2),
    Return(4, levels=(0.5,)),
    Features(NextState(), parity, Discrete(2)),
]


@pytest.mark.slow
@pytest.mark.parametrize("future", ON_ICE, ids=named)
def test_in_a_world_with_ends(future: Any):
    quick = {"train_freq": 4_000, "gradient_steps": 50, "log_interval": 40_000}
    quick["samples"] = 200  # of the 256 trajectories, which are too many to enumerate
    lakes = gym.make_vec("FrozenLake-v1", AT_ONCE, vectorization_mode="sync")
    agent = GIO(lakes, future=future, temperature=0.1, uniform_share=1.0, seed=0, **quick).learn(40_000)
    agent.env = gym.make("FrozenLake-v1")  # one of them, whose table is that of all
    report = compare_with_exact(agent)
    assert report.information_learned == pytest.approx(report.information_exact, abs=NATS)
    assert report.amortisation_gap == pytest.approx(0.0, abs=NATS)


def test_unweighted_replay_would_be_wrong():
    """The tests above can fail: what is learned under the collecting policy is another number."""
    _, mdp = ring()
    pi = torch.tensor([[0.9, 0.05, 0.05]] * 3, dtype=torch.float64)
    uniform = torch.full((3, 3), 1 / 3, dtype=torch.float64)
    under_pi = tabular.mutual_information(tabular.state_after(2)(mdp, pi), uniform)
    under_mu = tabular.mutual_information(tabular.state_after(2)(mdp, uniform), uniform)
    assert float((under_pi - under_mu).abs().max()) > NATS


def test_an_agent_with_a_later_future_resumes_exactly(tmp_path: Any):
    def agent() -> GIO:
        return GIO("CartPole-v1", future="Return(5)", hidden=(16,), learning_starts=20, batch_size=16, seed=0)

    whole = agent().learn(80)
    agent().learn(40).save(tmp_path)
    again = GIO.load(tmp_path)
    assert again.future == Return(5)
    with pytest.raises(
        CheckpointError, match=r"^Expected the future Return\(steps=5\) as in training, but got the future"
    ):
        GIO.load(tmp_path, future=Return(6))
    for mine, theirs in zip(again.learn(40).model.parameters(), whole.model.parameters(), strict=True):
        assert torch.equal(mine, theirs)
