"""Playing with beliefs: predict keeps a state, in one's own loop, in evaluate, and in Stable-Baselines3."""

from typing import Any

import numpy as np
import pytest
import torch
from gymnasium.vector import AutoresetMode, SyncVectorEnv

from gio_pyro import GIO
from gio_pyro.collection import evaluate
from tests.beliefs.agents import Rewarded, Short, small


@pytest.fixture(scope="module")
def agent() -> GIO:
    return small().learn(60)


def test_predict_has_the_beliefs_of_the_behaviour(agent: GIO):
    """The filter of the library reads no rewards, so that both know as much."""
    width = agent.beliefs.world.size
    fixed = small(batch_size=900, learning_starts=900, burn_in=40, piece_length=41)
    fixed.learn(50)
    rows, seen = fixed.replay.all(), fixed.replay.seen.all()
    state: Any = None
    for number in range(50):
        begins = number == 0 or bool(rows.episode[number] != rows.episode[number - 1])
        _, state = fixed.predict(seen.state[number].numpy(), state, [begins])
        np.testing.assert_allclose(state[0, :width], rows.state[number].numpy(), rtol=1e-4, atol=1e-5)
        state[0, width:] = seen.action[number]  # what was done there


def test_a_batch_is_predicted_as_each_alone(agent: GIO):
    random = np.random.default_rng(0)
    seen = random.normal(size=(6, 3, 2)).astype(np.float32)
    flags = random.random((6, 3)) < 0.3
    together: Any = None
    alone: list[Any] = [None] * 3
    for now, begins in zip(seen, flags, strict=True):
        actions, together = agent.predict(now, together, begins, deterministic=True)
        for row in range(3):
            action, alone[row] = agent.predict(now[row], alone[row], begins[row : row + 1], deterministic=True)
            assert action == actions[row]
            np.testing.assert_allclose(together[row], alone[row][0], rtol=1e-5, atol=1e-6)


def test_predict_changes_nothing_that_it_is_given(agent: GIO):
    seen = np.ones(2, np.float32)
    _, state = agent.predict(seen)
    before = state.copy()
    running = agent.beliefs.running.belief.clone()
    agent.predict(seen, state, np.array([False]))
    np.testing.assert_array_equal(state, before)
    assert torch.equal(running, agent.beliefs.running.belief)


def test_episodes_in_copies_are_those_one_by_one(agent: GIO, monkeypatch: pytest.MonkeyPatch):
    at_once = agent.evaluate(7, deterministic=True)
    with monkeypatch.context() as patch:
        patch.setattr(evaluate, "play_episodes_in_copies", lambda *_, **__: None)
        patch.setattr("gio_pyro.agent.gio.play_episodes_in_copies", lambda *_, **__: None)
        in_turn = agent.evaluate(7, deterministic=True)
    assert at_once.lengths == in_turn.lengths
    np.testing.assert_allclose(at_once.returns, in_turn.returns)


def test_evaluating_leaves_the_running_episode_alone():
    first, second = small().learn(30), small().learn(30)
    first.evaluate(3)
    first.evaluate(2, environment=SyncVectorEnv([Short] * 2))
    for agent in (first, second):
        agent.learn(20)
    assert torch.equal(first.beliefs.running.belief, second.beliefs.running.belief)


@pytest.mark.parametrize("mode", AutoresetMode, ids=lambda mode: mode.name)
def test_episodes_in_a_vector(agent: GIO, mode: AutoresetMode):
    found = agent.evaluate(5, deterministic=True, environment=SyncVectorEnv([Short] * 2, autoreset_mode=mode))
    assert len(found.returns) == 5
    assert max(found.lengths) <= 7


@pytest.mark.filterwarnings("ignore:Evaluation environment is not wrapped:UserWarning")
@pytest.mark.parametrize("count", [1, 2])
def test_stable_baselines3_plays_with_the_state(agent: GIO, count: int, monkeypatch: pytest.MonkeyPatch):
    pytest.importorskip("stable_baselines3")
    from stable_baselines3.common.evaluation import evaluate_policy
    from stable_baselines3.common.vec_env import DummyVecEnv

    calls: list[Any] = []
    inner = agent.predict

    def predict(observation: Any, state: Any = None, episode_start: Any = None, deterministic: bool = False) -> Any:
        found = inner(observation, state=state, episode_start=episode_start, deterministic=deterministic)
        calls.append((observation.copy(), episode_start.copy(), found[1].copy(), found[0].copy()))
        return found

    monkeypatch.setattr(agent, "predict", predict)
    env = DummyVecEnv([lambda i=i: Short() for i in range(count)])
    env.seed(0)
    returns, _ = evaluate_policy(agent, env, n_eval_episodes=4, return_episode_rewards=True)
    assert len(returns) == 4
    alone: list[Any] = [None] * count
    for seen, begins, state, actions in calls:
        for row in range(count):
            action, alone[row] = inner(
                seen[row], None if begins[row] else alone[row], deterministic=True
            )  # an episode by itself
            np.testing.assert_allclose(alone[row][0], state[row], rtol=1e-5, atol=1e-6)
            assert action == actions[row]


def test_a_filter_that_reads_rewards_predicts_without():
    agent = small(filter=Rewarded).learn(20)
    _, state = agent.predict(np.zeros(2, np.float32))
    agent.predict(np.zeros(2, np.float32), state)
    assert len(agent.evaluate(3).returns) == 3
